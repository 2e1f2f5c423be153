"""What a training run shows while it goes on: figures, their table on a terminal, a run in a pseudo-terminal."""

from __future__ import annotations

import io
import os
import re
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from rich.console import Console
from tiny_set import make_set

from jiff.base.progress import NullProgress
from jiff.training.live import LiveState, LiveView, duration, note
from jiff.training.memory import memory_bytes, private_bytes
from jiff_cli.progress import LineProgress, RichProgress

ROW = {
    "loss": 0.1234, "loss_body": 0.2, "loss_face": 0.1, "loss_face_2d": 0.3, "loss_face_3d": 0.05, "loss_face_joint": 0.04,
    "seconds_per_step": 2.0, "data_share": 0.25, "learning_rate": 1e-4,
}  # fmt: skip
METRICS = {"iou": 0.61, "precision": 0.7, "face_iou": 0.9, "mse": 0.1}


def _view() -> LiveView:
    with NullProgress().task("Training") as task:
        return LiveView(task, steps_per_epoch=50, total_steps=200, batch_size=4, device=torch.device("cpu"))


def test_figures_name_heads_measures_times_and_memory():
    shown = _view().figures(LiveState(60, ROW, METRICS, {"iou": 0.65}, skipped=3))
    assert shown["Loss"] == {
        "all": "0.1234", "body": "0.2000", "face": "0.1000", "face 2d": "0.3000", "face 3d": "0.0500", "face joint": "0.0400",
    }  # fmt: skip
    assert shown["Validation"] == {"IoU": "0.610 (best 0.650)", "precision": "0.700", "face IoU": "0.900"}
    assert shown["Time"] == {
        "step": "2.00 s", "data": "25 %", "compute": "75 %", "items": "2.0/s", "left": "4 min 40 s",
    }  # fmt: skip
    assert shown["Run"] == {"epoch": "2, 20 %", "an epoch takes": "1 min 40 s", "learning rate": "1.00e-04"}
    assert shown["Skipped"] == {"items": "3"}
    assert re.fullmatch(r"\d\.\d\d GB", shown["Memory"]["process"])
    early = _view().figures(LiveState(1, {**ROW, "loss": 1.0}, {}, {}, skipped=0))
    assert "Validation" not in early and "Skipped" not in early


def test_the_note_serves_displays_without_room():
    assert note(ROW, METRICS) == "loss 0.1234 body 0.2000 face 0.1000 data 25% IoU 0.610 face IoU 0.900"


@pytest.mark.parametrize(
    ("seconds", "text"), [(3.4, "3 s"), (125, "2 min 05 s"), (11220, "3 h 07 min"), (183600, "2 d 03 h")]
)
def test_durations(seconds, text):
    assert duration(seconds) == text


def test_memory_counts_what_a_process_takes():
    if private_bytes() is None:
        pytest.skip("this system does not tell the memory of a process by pages")
    # A process of its own: one that has freed memory before would take the block from that.
    program = (
        "import os; from jiff.training.memory import memory_bytes; before = memory_bytes();"
        "block = bytearray(os.urandom(1 << 20) * 64); print(memory_bytes() - before)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert 0.7 * 2**26 < int(done.stdout) < 2 * 2**26
    assert memory_bytes(2**22 + 12345) is None


def test_bars_show_the_figures_under_the_bar_until_the_task_ends(monkeypatch):
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=100, color_system=None)
    monkeypatch.setattr("rich.console.Console", lambda **options: console)
    progress = RichProgress()
    with progress.task("Training shape", 200) as task:
        task.show(_view().figures(LiveState(60, ROW, METRICS, {}, skipped=0)))
        bars = progress._bars
        assert bars is not None
        paper = io.StringIO()
        Console(file=paper, width=100, color_system=None).print(bars.get_renderable())
    lines = paper.getvalue().splitlines()
    assert "Training shape" in lines[0]
    titles = [line.split()[0] for line in lines[1:] if line[:3] != "   "]
    assert titles == ["Loss", "Validation", "Time", "Run", "Memory"]
    # The row of losses is too long and goes on below its first figure.
    assert lines[1].index("all 0.1234") == lines[2].index("face joint 0.0400") == len("  Validation  ")
    assert "left 4 min 40 s" in paper.getvalue()
    assert all(len(line) <= 100 for line in lines)
    assert not bars.tasks[0].fields["figures"]


def test_lines_have_no_table():
    stream = io.StringIO()
    with LineProgress(stream).task("Training", 2) as task:
        task.show({"Loss": {"all": "1"}})
        task.advance(2)
    assert "Loss" not in stream.getvalue()


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_a_run_in_a_pseudo_terminal(tmp_path: Path):
    import pty

    dataset = make_set(tmp_path / "set")
    leader, follower = pty.openpty()
    words = [
        sys.executable, "-m", "jiff_cli", "train", "shape", "--preset", "tiny", "-i", str(dataset.root), "--max-steps", "40",
        "--val-every", "20", "--checkpoints-path", str(tmp_path / "c"), "--results-path", str(tmp_path / "r"), "--gpu-ids=-1",
        "--jobs", "1", "--torch-threads", "1", "--no-tensorboard", "--freq-save-ply", "0",
    ]  # fmt: skip
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "110", "LINES": "40"}
    run = subprocess.Popen(words, stdin=follower, stdout=follower, stderr=follower, env=environment)
    os.close(follower)
    seen, deadline = b"", time.monotonic() + 120
    while time.monotonic() < deadline:
        ready, _, _ = select.select([leader], [], [], 0.2)
        if ready:
            try:
                part = os.read(leader, 65536)
            except OSError:
                break
            if not part:
                break
            seen += part
        elif run.poll() is not None:
            break
    assert run.wait(timeout=30) == 0
    os.close(leader)
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", seen.decode())
    for word in (
        "Training shape",
        "Loss",
        "face joint",
        "Validation",
        "IoU",
        "compute",
        "left",
        "Memory",
        "process",
    ):
        assert word in text, word
    # The table goes away with the bar; what stays is the result.
    assert "Memory" not in text[text.rindex("Validation:") :]
