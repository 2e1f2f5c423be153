"""Progress on a terminal and in a log."""

from __future__ import annotations

import io
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from jiff_cli import progress as module
from jiff_cli.progress import LineProgress, duration, rate_text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (125, "2 min 05 s"),
        (3600 * 3 + 7 * 60, "3 h 07 min"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_rates() -> None:
    assert [rate_text(0), rate_text(12.34), rate_text(0.1), rate_text(0.025)] == [
        "",
        "12.3/s",
        "0.1/s",
        "40 s each",
    ]


def test_lines_give_count_rate_time_left_and_note(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter([0.0, 5.0, 10.0, 12.0, 20.0])
    monkeypatch.setattr(module.time, "monotonic", lambda: next(now))
    stream = io.StringIO()
    with LineProgress(stream).task("Rendering", total=40) as bar:
        for subject in ("a", "b", "c"):
            bar.describe(subject)
            bar.advance(10)
    lines = stream.getvalue().splitlines()
    assert lines == ["Rendering: 20/40, 2.0/s, 10 s left, b", "Rendering: 30 in 20 s"]


def test_lines_say_when_a_task_was_stopped_and_pass_the_error_on() -> None:
    stream = io.StringIO()
    with pytest.raises(KeyError), LineProgress(stream).task("Rendering") as bar:
        bar.advance(2)
        raise KeyError
    assert re.fullmatch(r"Rendering: 2, .*\(stopped\)\n", stream.getvalue())


def test_quiet_lines_keep_warnings_only() -> None:
    stream = io.StringIO()
    progress = LineProgress(stream, quiet=True)
    with progress.task("Rendering", total=1) as bar:
        bar.advance()
    progress.info("an info")
    progress.warn("\x1b[31ma.obj: no texture")
    assert stream.getvalue() == "Warning: [31ma.obj: no texture\n"


SCRIPT = """
from jiff_cli.console import Console
console = Console()
with console.progress.task("Outer [x]", total=2) as outer:
    with console.progress.task("Inner") as inner:
        inner.advance(3)
        inner.describe("note [y]")
    console.progress.info("an info [z]")
    console.progress.warn("a warning")
    outer.advance(2)
console.say("a result")
"""


def test_terminal_gets_bars_and_results_stay_on_stdout() -> None:
    lead, follow = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "120"}
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT], stdout=subprocess.PIPE, stderr=follow, env=environment
    )
    os.close(follow)
    shown = b""
    while True:
        try:
            chunk = os.read(lead, 65536)
        except OSError:
            break
        if not chunk:
            break
        shown += chunk
    os.close(lead)
    stdout, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert stdout == b"a result\n"
    text = shown.decode()
    assert "\x1b[" in text
    for words in ("Outer [x]", "Inner", "2/2", "3/?", "an info [z]", "Warning: a warning"):
        assert words in text


def test_pipe_gets_plain_lines_without_control_characters(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stdout == "a result\n"
    assert "\x1b" not in done.stderr
    assert "\r" not in done.stderr
    assert [line.split(" in ")[0] for line in done.stderr.splitlines()] == [
        "Inner: 3",
        "an info [z]",
        "Warning: a warning",
        "Outer [x]: 2",
    ]
