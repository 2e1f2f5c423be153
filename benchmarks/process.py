"""One benchmark in a process of its own (a spawned process cannot import ``benchmarks.__main__``)."""

from __future__ import annotations

import importlib
import resource
import time
from dataclasses import asdict
from typing import Any


def run_named(name: str, quick: bool, queue: Any) -> None:
    """Run ``benchmarks/bench_<name>.py`` and put its rows or its error, its seconds and peak memory on ``queue``."""
    started = time.perf_counter()
    try:
        rows = importlib.import_module(f"benchmarks.bench_{name}").run(quick)
        outcome: dict[str, Any] = {"rows": [asdict(row) for row in rows]}
    except Exception as error:  # noqa: BLE001 - one broken benchmark must not hide the others
        outcome = {"error": f"{type(error).__name__}: {error}"}
    peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    queue.put(outcome | {"seconds": time.perf_counter() - started, "peak_mib": peak_kib / 1024})
