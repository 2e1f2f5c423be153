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
import sys
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


@pytest.mark.skipif(not torch.distributed.is_available(), reason="this torch has no distributed package")
def test_two_processes_equal_one(tmp_path: Path):
    dataset = make_set(tmp_path / "set")
    common = {
        "dataroot": str(dataset.root), "checkpoints_path": str(tmp_path / "runs"), "results_path": str(tmp_path),
        "gpu_ids": "-1", "precision": "32", "jobs": 1, "torch_threads": 1, "random_flip": True, "tensorboard": False,
        "max_steps": 3, "batch_size": 4, "val_every": 3,
    }  # fmt: skip
    one = train_stage(preset_config("tiny", "shape", name="one", **common), NullProgress())
    write_json(tmp_path / "two.json", to_plain(preset_config("tiny", "shape", name="two", **common)))
    port = str(_free_port())
    processes = []
    for rank in range(2):
        launched = {
            "TORCHELASTIC_RUN_ID": "test", "RANK": str(rank), "LOCAL_RANK": str(rank), "GROUP_RANK": "0",
            "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port,
            "OMP_NUM_THREADS": "1",
        }  # fmt: skip
        processes.append(
            subprocess.Popen(
                [sys.executable, "-c", _SCRIPT, str(tmp_path / "two.json")], env={**os.environ, **launched}
            )
        )
    assert [process.wait(timeout=300) for process in processes] == [0, 0]
    two = tmp_path / "runs" / "two" / "shape"
    expected = [row["loss"] for row in one.history]
    lines = (two / "log.csv").read_text().splitlines()
    column = lines[0].split(",").index("loss")
    assert [float(line.split(",")[column]) for line in lines[1:]] == pytest.approx(expected, rel=1e-4)
    a, b = load_network(one.latest).state_dict(), load_network(two / "latest.safetensors").state_dict()
    differences = torch.cat([(a[key] - b[key]).abs().flatten() for key in a])
    assert differences.mean() < 1e-5
