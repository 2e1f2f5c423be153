"""One figure of a benchmark."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """A figure, beside its twin where there is one.

    Attributes:
        what: what was measured.
        ours: our figure.
        unit: of both figures.
        twin: the plain twin's figure from the same run, or None.
        ratio: twin / ours for times (how many times faster), or as ``what`` says.
        target: what was asked for, in words.
    """

    what: str
    ours: float
    unit: str
    twin: float | None = None
    ratio: float | None = None
    target: str = ""


def best_seconds(function: Callable[[], object], repeats: int = 3) -> float:
    """Return the least wall time of ``repeats`` calls, seconds."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)
