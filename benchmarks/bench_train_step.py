"""A ``train shape`` step of the published network at batch 4 against the same network fed one item at a time.

One item at a time is what the published code does, whose layers take a batch of one only: a step of the optimiser per
item. Forward, backward and the optimiser count; data do not. Peak memory of the process follows the table.
"""

from __future__ import annotations

import time

import torch

from benchmarks.people import item_of, random_batch
from benchmarks.row import Row
from jiff.data.dataset import Batch
from jiff.models.config import shape_preset
from jiff.models.shape import ShapeNetwork
from jiff.training.stages import StageModule

BATCH = 4
_FULL = {"size": 512, "points": 5000, "face_points": 700, "grid_resolution": 64}
_QUICK = {"size": 64, "points": 500, "face_points": 70, "grid_resolution": 16}
_MEBI = 1 << 20


def _step(
    module: StageModule, optimizer: torch.optim.Optimizer, batch: Batch, dtype: torch.dtype | None
) -> float:
    """Do one optimiser step; returns its seconds."""
    device = batch.images.device
    begin = time.perf_counter()
    optimizer.zero_grad(set_to_none=True)
    with torch.autocast(device.type, dtype=dtype, enabled=dtype is not None):
        loss, _ = module(batch)
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    # Reading the loss waits for the device.
    float(loss.detach())
    return time.perf_counter() - begin


def _memory(device: torch.device) -> float | None:
    return torch.cuda.max_memory_allocated(device) / _MEBI if device.type == "cuda" else None


def run(quick: bool) -> list[Row]:
    """Time both ways in turn; ``quick`` takes small images, few points and a coarse face grid."""
    settings = _QUICK if quick else _FULL
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(0)
    network = ShapeNetwork(shape_preset("paper", grid_resolution=settings["grid_resolution"]))
    module = StageModule(network.train().to(device))
    optimizer = torch.optim.RMSprop(network.parameters(), lr=1e-4)
    batch = random_batch(BATCH, settings["size"], settings["points"], settings["face_points"]).to(device)
    singles = [item_of(batch, index) for index in range(BATCH)]
    repeats = 1 if quick else 2 if device.type == "cpu" else 10
    rows = []
    precisions = {"float32": None} | ({"bfloat16": torch.bfloat16} if device.type == "cuda" else {})
    for name, dtype in precisions.items():
        _step(module, optimizer, singles[0], dtype)
        together: list[float] = []
        alone: list[float] = []
        memory: dict[str, float | None] = {}
        for _ in range(repeats):
            for key, parts in (("one by one", singles), ("together", [batch])):
                if device.type == "cuda":
                    torch.cuda.reset_peak_memory_stats(device)
                seconds = sum(_step(module, optimizer, part, dtype) for part in parts)
                (together if key == "together" else alone).append(seconds / BATCH)
                memory[key] = _memory(device)
        ours, twin = min(together), min(alone)
        what = f"train shape, paper network, {settings['size']} px, batch {BATCH} against 1, {name}, {device.type}"
        rows.append(Row(what, ours, "s per item", twin, twin / ours, "1.5 times faster per item"))
        if memory["together"] is not None:
            rows.append(
                Row(f"memory of such a step, {name}", memory["together"], "MiB", memory["one by one"])
            )
    return rows
