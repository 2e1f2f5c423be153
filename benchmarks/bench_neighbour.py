"""Training steps beside one busy process, and alone: how much a neighbour costs.

Real processes of ``jiff train shape --preset demo`` on a small set. The twin is torch's own choice: one thread per core,
which spins while it waits.
"""

from __future__ import annotations

import csv
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.row import Row
from benchmarks.set_of_people import write_set

_BUSY = "x = 0\nwhile True:\n    x = (x * 1103515245 + 12345) % 2147483648\n"
_TARGET = "at most 2.2 times"


@contextmanager
def _neighbour() -> Iterator[None]:
    process = subprocess.Popen([sys.executable, "-c", _BUSY])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def _seconds_per_step(root: Path, data: Path, steps: int, own_choice: bool) -> float:
    """Return the mean of the steps after the first twenty, in which caches fill and threads are chosen."""
    environment = {
        key: value for key, value in os.environ.items() if not key.startswith(("OMP_", "GOMP_", "KMP_"))
    }
    if own_choice:
        environment["OMP_NUM_THREADS"] = str(os.cpu_count() or 1)
        environment["OMP_WAIT_POLICY"] = "ACTIVE"
    words = [
        "--no-tensorboard",
        "--no-num-eval",
        "--freq-save-ply",
        "0",
        "--freq-save",
        "1000000",
        "--freq-plot",
        "10",
    ]
    command = [
        sys.executable, "-m", "jiff_cli", "train", "shape", "--preset", "demo", "--dataroot", str(data), "--gpu-ids", "-1",
        "--checkpoints-path", str(root / "runs"), "--results-path", str(root), "--overwrite", "-j", "1",
        "--max-steps", str(steps), *words,
    ]  # fmt: skip
    subprocess.run(command, env=environment, check=True, capture_output=True)
    with open(root / "runs" / "example" / "shape" / "log.csv", newline="", encoding="utf-8") as handle:
        rows = [float(row["seconds_per_step"]) for row in csv.DictReader(handle)]
    return sum(rows[2:]) / len(rows[2:])


def run(quick: bool) -> list[Row]:
    """Time the four runs; ``quick`` takes few steps."""
    steps = 40 if quick else 120
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        data = write_set(root / "data").root
        _seconds_per_step(root, data, 30, False)
        figures = {}
        for own_choice in (False, True):
            alone = _seconds_per_step(root, data, steps, own_choice)
            with _neighbour():
                figures[own_choice] = (alone, _seconds_per_step(root, data, steps, own_choice))
    (alone, beside), (twin_alone, twin_beside) = figures[False], figures[True]
    return [
        Row(
            "step alone (twin: torch's own threads)",
            alone * 1000,
            "ms",
            twin_alone * 1000,
            twin_alone / alone,
        ),
        Row("step beside a busy process", beside * 1000, "ms", twin_beside * 1000, twin_beside / beside),
        Row("times slower beside it", beside / alone, "x", twin_beside / twin_alone, None, _TARGET),
    ]
