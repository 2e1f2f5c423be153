"""One benchmark, or one piece of work, in a process of its own (a spawned process cannot import ``benchmarks.__main__``)."""

from __future__ import annotations

import importlib
import multiprocessing
import resource
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from jiff_cli.allocator import keep_freed_memory


def peak_mib() -> float:
    """Return the most memory that this process has taken."""
    status = Path("/proc/self/status")
    # getrusage begins with the peak of the process that started this one.
    for line in status.read_text(encoding="ascii").splitlines() if status.is_file() else ():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def run_named(name: str, quick: bool, queue: Any) -> None:
    """Run ``benchmarks/bench_<name>.py`` and put its rows or its error, its seconds and peak memory on ``queue``."""
    # As the commands do that run networks.
    keep_freed_memory()
    started = time.perf_counter()
    try:
        rows = importlib.import_module(f"benchmarks.bench_{name}").run(quick)
        outcome: dict[str, Any] = {"rows": [asdict(row) for row in rows]}
    except Exception as error:  # noqa: BLE001 - one broken benchmark must not hide the others
        outcome = {"error": f"{type(error).__name__}: {error}"}
    queue.put(outcome | {"seconds": time.perf_counter() - started, "peak_mib": peak_mib()})


def _call(queue: Any, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    begin = time.perf_counter()
    result = function(*arguments)
    queue.put((result, time.perf_counter() - begin, peak_mib()))


def in_worker(function: Callable[..., Any], *arguments: Any) -> tuple[Any, float, float]:
    """Call ``function`` in a fresh process, as a stage's worker would; return result, seconds and peak memory in MiB.

    Raises:
        RuntimeError: the process died.
    """
    context = multiprocessing.get_context("spawn")
    queue = context.SimpleQueue()
    process = context.Process(target=_call, args=(queue, function, arguments))
    process.start()
    while queue.empty() and process.is_alive():
        process.join(0.02)
    if queue.empty():
        raise RuntimeError(f"the process of {function.__name__} ended with status {process.exitcode}")
    outcome: tuple[Any, float, float] = queue.get()
    process.join()
    return outcome
