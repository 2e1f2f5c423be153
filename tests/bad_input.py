"""What the tests of bad input share: commands in this process with all they print, sentences, damaged files."""

from __future__ import annotations

import re
import resource
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import tiny_person
from PIL import Image
from typer.testing import CliRunner

from jiff_cli.app import app

_PROGRAMMER = re.compile(r"\w+(Error|Exception)\b|object at 0x|\bErrno\b|Traceback|unexpected|\.part\b")

Damage = Callable[[Path], None]


@dataclass(frozen=True)
class Said:
    """What a command said.

    Attributes:
        status: exit status.
        out: stdout.
        err: stderr.
    """

    status: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The one sentence that ended the command."""
        assert self.status in (1, 2), f"status {self.status}\n{self.err}"
        found = [line for line in self.err.splitlines() if line.startswith("Error: ")]
        assert len(found) == 1, self.err
        assert self.err.splitlines()[-1] == found[0]
        return check_sentence(found[0].removeprefix("Error: "))

    @property
    def failures(self) -> dict[str, str]:
        """The items that failed, each with its one sentence; the command must have status 1."""
        assert self.status == 1, f"status {self.status}\n{self.err}"
        assert "Error: " not in self.err
        match = re.search(r"^Failed \((\d+)\):\n((?:  .*\n)+)", self.err, re.MULTILINE)
        assert match, self.err
        lines = match[2].splitlines()
        assert len(lines) == int(match[1])
        assert "--debug" not in self.err, "an item failed by a bug"
        return {name: check_sentence(text) for name, text in (line.strip().split(": ", 1) for line in lines)}


def check_sentence(text: str) -> str:
    """Check that a message speaks to a user: it ends, it is no programmer's text, and it says what to do."""
    assert text.endswith((".", ")")), text
    assert not _PROGRAMMER.search(text), text
    assert re.search(r"[;,] |`jiff", text), text
    return text


class Caller:
    """Runs commands in this process; nothing may reach the terminal beside what the command says itself."""

    def __init__(self, capture: pytest.CaptureFixture[str]) -> None:
        self._capture = capture

    def __call__(self, *words: object) -> Said:
        self._capture.readouterr()
        result = CliRunner().invoke(app, [str(word) for word in words])
        assert result.exception is None or isinstance(result.exception, SystemExit), repr(result.exception)
        leaked = self._capture.readouterr()
        assert leaked.out + leaked.err == "", "a library printed something"
        assert "Traceback" not in result.stderr
        return Said(result.exit_code, result.stdout, result.stderr)


def cut(path: Path, share: float = 0.5) -> None:
    """Keep the beginning of a file only."""
    blob = path.read_bytes()
    path.write_bytes(blob[: int(len(blob) * share)])


def text_instead(path: Path) -> None:
    """Replace a file by a few words."""
    path.write_text("this is no such file")


def empty_mask(path: Path) -> None:
    """Paint a mask black."""
    with Image.open(path) as image:
        size = image.size
    Image.fromarray(np.zeros(size[::-1], np.uint8)).save(path)


def smaller(path: Path) -> None:
    """Halve an image."""
    with Image.open(path) as image:
        half = image.resize((image.width // 2, image.height // 2))
    half.save(path)


def as_jpeg(damage: Callable[[Path], None]) -> Callable[[Path], None]:
    """Return a damage that first turns a PNG into a JPEG of the same stem."""

    def act(path: Path) -> None:
        with Image.open(path) as image:
            image.convert("RGB").save(path.with_suffix(".jpg"))
        path.unlink()
        damage(path.with_suffix(".jpg"))

    return act


def copy_people(source: Path, target: Path, names: tuple[str, ...]) -> Path:
    """Copy some people of a processed set, the caches with them."""
    for folder in sorted(source.iterdir()):
        base = folder / "OBJ" if folder.name == "GEO" else folder
        for name in names:
            if (base / name).is_dir():
                shutil.copytree(base / name, target / base.relative_to(source) / name)
    shutil.copy(source / "dataset.yaml", target)
    (target / "val.txt").write_text("")
    return target


def leftovers(folder: Path) -> list[Path]:
    """Return temporary files below ``folder``."""
    return [path for path in folder.rglob("*") if ".part" in path.name]


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond ``size`` bytes, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def photos(folder: Path, *, face: bool = False) -> Path:
    """Write a test folder of two people."""
    for name in ("good", "bad"):
        tiny_person.write_photo(folder, name, face=face)
    return folder
