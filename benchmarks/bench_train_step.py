"""A ``train shape`` step of the published network at batch 4 against the same network fed one item at a time.

One item at a time, in float32, is what the published code does, whose layers take a batch of one only: a step of the
optimiser per item. It is compared with what ``jiff train shape`` does on this device by default (``--precision auto``) at
batch 4, and each precision with itself. Forward, backward and the optimiser count; data do not. Peak memory of the
process follows the table.
"""

from __future__ import annotations

import time

import torch

from benchmarks.people import item_of, random_batch
from benchmarks.row import Row
from jiff.data.sample import Batch
from jiff.models.presets import shape_preset
from jiff.models.shape import ShapeNetwork
from jiff.pipelines.train import bfloat16_is_fast
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
    repeats = 1 if quick else 3 if device.type == "cpu" else 10
    fast = device.type == "cuda" or bfloat16_is_fast()
    precisions: dict[str, torch.dtype | None] = {"float32": None} | (
        {"bfloat16": torch.bfloat16} if fast else {}
    )
    seconds: dict[tuple[str, int], float] = {}
    memory: dict[tuple[str, int], float | None] = {}
    for dtype in precisions.values():
        _step(module, optimizer, batch, dtype)
    # In turn, and the best of each, because a machine's speed changes within minutes.
    for _ in range(repeats):
        for name, dtype in precisions.items():
            for parts in (singles, [batch]):
                if device.type == "cuda":
                    torch.cuda.reset_peak_memory_stats(device)
                taken = sum(_step(module, optimizer, part, dtype) for part in parts) / BATCH
                key = name, BATCH // len(parts)
                seconds[key] = min(taken, seconds.get(key, taken))
                memory[key] = _memory(device)
    published, default = seconds["float32", 1], "bfloat16" if fast else "float32"
    ours = seconds[default, BATCH]
    what = f"train shape, paper network, {settings['size']} px, {device.type}"
    target = "1.5 times faster per item" if not quick else None
    rows = [
        Row(
            f"{what}: batch {BATCH}, {default}, against 1, float32",
            ours,
            "s per item",
            published,
            published / ours,
            target,
        )
    ]
    for name in precisions:
        alone, together = seconds[name, 1], seconds[name, BATCH]
        rows.append(
            Row(f"batch {BATCH} against 1, both {name}", together, "s per item", alone, alone / together)
        )
        if memory[name, BATCH] is not None:
            rows.append(Row(f"memory of such a step, {name}", memory[name, BATCH], "MiB", memory[name, 1]))
    return rows
