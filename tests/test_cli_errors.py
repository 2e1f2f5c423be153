"""What commands say when they fail, and at the end of a good run."""

from __future__ import annotations

import errno
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner

from jiff.base.config import option
from jiff.base.errors import ConfigError, InputError, UsageError
from jiff.run.parallel import WorkReport
from jiff_cli.console import Console
from jiff_cli.registry import ROOT, all_commands, find
from jiff_cli.spec.command import JiffCommand, config_command


@dataclass(frozen=True)
class Files:
    mesh: tuple[Path, ...] = option(help="Meshes.", positional=True)
    zoom: bool = option(False, help="Zoom.")


runner = CliRunner()


def command_result(command: JiffCommand, *words: object):  # type: ignore[no-untyped-def]
    """Call a bare command as the runner calls an app."""
    import typer.testing

    original = typer.testing._get_command
    typer.testing._get_command = lambda app: app  # type: ignore[assignment,return-value]
    try:
        return runner.invoke(command, [str(word) for word in words])  # type: ignore[arg-type]
    finally:
        typer.testing._get_command = original


def failing(error: BaseException) -> JiffCommand:
    @config_command(Files)
    def fail(config: Files, console: Console) -> None:
        """Fail."""
        raise error

    return fail


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (InputError("scans/x.obj: no texture; add one."), 1, "Error: scans/x.obj: no texture; add one."),
        (UsageError("--a and --b exclude each other; give one."), 2, "exclude each other"),
        (ConfigError("c.yaml: wrong."), 2, "c.yaml: wrong."),
        (OSError(errno.ENOSPC, "No space left on device", "out/x.glb"), 1, "out/x.glb: the disk is full"),
        (PermissionError(errno.EACCES, "Permission denied", "out/x.glb"), 1, "out/x.glb: permission denied"),
        (FileNotFoundError(errno.ENOENT, "No such file", "in"), 1, "in: no such file"),
        (MemoryError(), 1, "out of memory"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (
            ZeroDivisionError("division by zero\nmore"),
            1,
            "unexpected ZeroDivisionError: division by zero; run",
        ),
        (RuntimeError(), 1, "unexpected RuntimeError: no message"),
    ],
)
def test_errors_are_one_sentence_with_their_status(error: BaseException, status: int, words: str) -> None:
    command = failing(error)
    result = command_result(command, "x")
    assert result.exit_code == status
    assert words in result.stderr
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""
    debugged = command_result(command, "x", "--debug")
    assert debugged.exit_code == status
    assert "Traceback" in debugged.stderr
    assert words in debugged.stderr


def test_failed_items_set_the_status_and_are_listed() -> None:
    @config_command(Files)
    def batch(config: Files, console: Console) -> None:
        """Run a batch."""
        report = WorkReport(
            {"a": 1}, ["b"], {"c": "c.obj: empty; replace it.", "d": "boom"}, {"d": "Trace of d"}
        )
        console.finish(report, what="scans", wrote=["out", "out"], next_command=["jiff", "view", "a b"])

    result = command_result(batch, "x")
    assert result.exit_code == 1
    assert result.stdout == "1 scan done, 1 complete before, 2 failed.\nWrote out\n"
    assert "  c: c.obj: empty; replace it.\n" in result.stderr
    assert "Trace of d" not in result.stderr
    assert "Trace of d" in command_result(batch, "x", "--debug").stderr
    assert command_result(batch, "x", "-q").stdout == ""


def test_a_good_batch_names_output_and_next_command() -> None:
    @config_command(Files)
    def batch(config: Files, console: Console) -> None:
        """Run a batch."""
        console.finish(WorkReport({"a": 1}, outputs=["o.glb"]), next_command=["jiff", "view", "a b"])

    result = command_result(batch, "x")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == "1 item done.\nWrote o.glb\nNext: jiff view 'a b'\n"


def test_only_the_first_process_of_a_launcher_talks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "0")
    assert not Console().quiet
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert Console().quiet


def test_registry_finds_commands_by_their_words() -> None:
    names = [" ".join(words) for words, _ in all_commands()]
    assert len(names) == len(set(names))
    assert names[:3] == ["demo", "data synth", "data rescale"]
    for words, entry in all_commands():
        assert find([*words, "x"]) == (entry, ["x"])
    assert find(["data"]) is None
    assert find(["nothing"]) is None
    assert all(entry.help.endswith(".") for entry in ROOT)
