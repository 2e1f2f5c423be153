"""The documentation cannot drift: every ``jiff ...`` line in it names real commands and options."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from cli_parsing import only_names, parse

from jiff_cli.registry import ROOT

ROOT_FOLDER = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT_FOLDER.glob("*.md"), *(ROOT_FOLDER / "docs").rglob("*.md")])
_FENCE = re.compile(r"^(```|~~~)[^\n]*\n(.*?)^\1", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"(?<!`)`((?:\$ )?jiff(?: [^`]*)?)`(?!`)")
GROUPS = {entry.name for entry in ROOT if entry.commands}


def fenced_lines(text: str) -> list[str]:
    """Return the ``jiff`` command lines of the code blocks, continuation lines joined."""
    found = []
    for _, block in _FENCE.findall(text):
        for line in re.sub(r"\\\n\s*", " ", block).splitlines():
            for part in re.split(r"&&|\||;|\d?>", line):
                part = part.strip().removeprefix("$ ").removeprefix(".venv/bin/")
                if part == "jiff" or part.startswith("jiff "):
                    found.append(part)
    return found


def inline_lines(text: str) -> list[str]:
    """Return the ``jiff`` command lines between single backticks in prose."""
    return [" ".join(line.split()) for line in _INLINE.findall(_FENCE.sub("", text))]


def words_of(line: str) -> list[str]:
    # A shell variable of an example stands for a value that is valid.
    words = [word.replace("$part", "1/2") for word in shlex.split(line, comments=True)[1:]]
    kept = [word for word in words if word not in ("...", "…")]
    while "--config" in kept:
        place = kept.index("--config")
        del kept[place : place + 2]
    return kept


def problem(line: str, *, complete: bool) -> str | None:
    """Return what is wrong with a documented command line, or None."""
    words = words_of(line)
    if not words or words[0].startswith("-") or (words[0] in GROUPS and len(words) == 1):
        return None
    if "--help" in words or "-h" in words:
        complete = False
    try:
        if complete:
            parse(words)
        else:
            only_names(words)
    except Exception as error:  # noqa: BLE001 - whatever the parser says is the finding
        return f"{line}: {type(error).__name__} {error}"
    return None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT_FOLDER)))
def test_documented_commands_exist_with_their_options(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    problems = [problem(line, complete=True) for line in fenced_lines(text)]
    problems += [problem(line, complete=False) for line in inline_lines(text)]
    assert [found for found in problems if found] == []


def test_the_finder_sees_commands_and_their_mistakes() -> None:
    text = (
        "Run `jiff data prt -i DIR` or `jiff data`.\n\n```sh\n$ jiff doctor --json   # all\n"
        "jiff data prt \\\n    -i DIR --n_sample 4 && jiff nonsense\n.venv/bin/jiff doctor --jsn\n```\n"
        "Also `jiff data prt --sise 3`.\n"
    )
    fenced, inline = fenced_lines(text), inline_lines(text)
    assert fenced == [
        "jiff doctor --json   # all",
        "jiff data prt  -i DIR --n_sample 4",
        "jiff nonsense",
        "jiff doctor --jsn",
    ]
    assert inline == ["jiff data prt -i DIR", "jiff data", "jiff data prt --sise 3"]
    assert [problem(line, complete=True) is None for line in fenced] == [True, True, False, False]
    assert [problem(line, complete=False) is None for line in inline] == [True, True, False]
