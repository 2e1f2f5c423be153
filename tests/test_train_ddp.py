"""Two processes on the processor (gloo) train what one process trains at the same total batch."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tiny_set import make_set

from jiff.base.config import to_plain
from jiff.base.files import write_json
from jiff.base.progress import NullProgress
from jiff.models.checkpoint import load_network
from jiff.options.presets import preset_config
from jiff.pipelines.train import train_stage

_SCRIPT = """
import atexit, sys, torch
# What is registered first is done last.
atexit.register(lambda: print("in a group:", torch.distributed.is_initialized(), file=open(sys.argv[2], "a")))
from jiff.base.config import from_plain
from jiff.base.files import read_json
from jiff.pipelines.train import TrainConfig, train_stage
from jiff.base.progress import NullProgress
train_stage(from_plain(TrainConfig, read_json(sys.argv[1])), NullProgress())
"""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _launch(command: list[str], **streams: int) -> list[subprocess.Popen[str]]:
    """Start the two processes of a training as a launcher does."""
    common = {
        "TORCHELASTIC_RUN_ID": "test", "GROUP_RANK": "0", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_free_port()), "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    return [
        subprocess.Popen(
            command,
            env={**os.environ, **common, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            text=True,
            **streams,
        )
        for rank in range(2)
    ]


@pytest.mark.skipif(not torch.distributed.is_available(), reason="this torch has no distributed package")
def test_two_processes_equal_one(tmp_path: Path):
    dataset = make_set(tmp_path / "set")
    common = {
        "dataroot": str(dataset.root), "checkpoints_path": str(tmp_path / "runs"), "results_path": str(tmp_path),
        "device": "cpu", "precision": "32", "jobs": 1, "torch_threads": 1, "random_flip": True, "tensorboard": False,
        "max_steps": 3, "batch_size": 4, "val_every": 3,
    }  # fmt: skip
    one = train_stage(preset_config("tiny", "shape", name="one", **common), NullProgress())
    write_json(tmp_path / "two.json", to_plain(preset_config("tiny", "shape", name="two", **common)))
    told = tmp_path / "told.txt"
    processes = _launch([sys.executable, "-c", _SCRIPT, str(tmp_path / "two.json"), str(told)])
    assert [process.wait(timeout=300) for process in processes] == [0, 0]
    assert told.read_text().splitlines() == ["in a group: False"] * 2
    two = tmp_path / "runs" / "two" / "shape"
    expected = [row["loss"] for row in one.history]
    lines = (two / "log.csv").read_text().splitlines()
    column = lines[0].split(",").index("loss")
    assert [float(line.split(",")[column]) for line in lines[1:]] == pytest.approx(expected, rel=1e-4)
    a, b = load_network(one.latest).state_dict(), load_network(two / "latest.safetensors").state_dict()
    differences = torch.cat([(a[key] - b[key]).abs().flatten() for key in a])
    assert differences.mean() < 1e-5


def _two(tmp_path: Path, name: str, breaks: str, **options: object) -> list[subprocess.CompletedProcess[str]]:
    """Train with two real processes of the command line, one of which is broken by ``breaks``."""
    dataset = make_set(tmp_path / "set")
    script = f"""
import os, sys
rank = int(os.environ["RANK"])
{breaks}
from jiff_cli.__main__ import main
main()
"""
    arguments = [
        "train", "shape", "--preset", "tiny", "--dataroot", str(dataset.root), "--checkpoints-path", str(tmp_path / "runs"),
        "--results-path", str(tmp_path), "--gpu-ids", "-1", "--precision", "32", "-j", "1", "--torch-threads", "1",
        "--no-tensorboard", "--max-steps", "6", "--batch-size", "4", "--name", name,
    ]  # fmt: skip
    processes = _launch(
        [sys.executable, "-c", script, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    ended = []
    for process in processes:
        out, err = process.communicate(timeout=240)
        ended.append(subprocess.CompletedProcess(process.args, process.returncode, out, err))
    return ended


_BAD_LOSS = """
from jiff.training.guard import LossGuard
whole = LossGuard.exploded
LossGuard.exploded = lambda self, step, loss: step == 2 and rank >= WHO or whole(self, step, loss)
"""


@pytest.mark.skipif(not torch.distributed.is_available(), reason="this torch has no distributed package")
@pytest.mark.parametrize("who", [0, 1])
def test_a_bad_loss_of_one_process_stops_all(tmp_path: Path, who: int) -> None:
    """One sentence and one saved batch, whether one sees it or both."""
    ended = _two(tmp_path, "bad", _BAD_LOSS.replace("WHO", str(who)))
    assert [process.returncode for process in ended] == [1, 1], [process.stderr for process in ended]
    said = [process.stderr for process in ended]
    assert said[who].count("failed_batch.pt: holds the batch at which the loss became") == 1
    assert "Error" not in said[1 - who] and "Traceback" not in "".join(said)
    assert [path.name for path in (tmp_path / "runs").rglob("failed_batch.pt")] == ["failed_batch.pt"]


@pytest.mark.skipif(not torch.distributed.is_available(), reason="this torch has no distributed package")
def test_unreadable_items_of_one_process_stop_all(tmp_path: Path) -> None:
    breaks = """
from jiff.base.errors import TrainingError
from jiff.data.dataset import TrainingSet
whole = TrainingSet.__getitem__
def broken(self, pair):
    if rank == 1 and pair[0] >= 1:
        raise TrainingError("20 items in a row cannot be read.")
    return whole(self, pair)
TrainingSet.__getitem__ = broken
"""
    ended = _two(tmp_path, "data", breaks)
    assert [process.returncode for process in ended] == [1, 1], [process.stderr for process in ended]
    assert "20 items in a row" in ended[1].stderr and "Error" not in ended[0].stderr


@pytest.mark.skipif(not torch.distributed.is_available(), reason="this torch has no distributed package")
def test_a_disk_that_fills_up_stops_all(tmp_path: Path) -> None:
    breaks = """
from jiff.base.errors import OutputError
import jiff.training.loop as loop
def full(*values):
    raise OutputError("state.ckpt: cannot be written because the disk is full; free some space.")
loop.save_state = full
"""
    ended = _two(tmp_path, "disk", breaks)
    assert [process.returncode for process in ended] == [1, 1], [process.stderr for process in ended]
    assert ended[0].stderr.count("the disk is full") == 1 and "Error" not in ended[1].stderr
