"""How many threads a process computes with: as many as there are cores that nobody else uses.

Threads of one computation wait for each other after every operation. Where another process takes a core from one of them,
all wait for it: on two cores beside one busy process two threads are three times slower than one.
"""

from __future__ import annotations

import os
import sys
import time
from functools import cache
from pathlib import Path

_CHOSEN = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "TORCH_NUM_THREADS")
"""Where the user, a launcher or a scheduler has said how many threads there are."""
_WINDOW_SECONDS = 1.0
# A core of which others use more than this part gets no thread.
_SHARED_PART = 0.35


def prepare_waiting() -> None:
    """Let idle threads of OpenMP sleep soon instead of burning a core; before torch is imported.

    A short spin is kept: threads that sleep at once make small operations up to 1.8 times slower on free cores. What the
    user has set stays.
    """
    if any(name in os.environ for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")):
        return
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    # libgomp (torch's wheels on Linux) lets the count override the policy; a millisecond is libomp's and Intel's unit.
    os.environ["GOMP_SPINCOUNT"] = "10000"
    os.environ["KMP_BLOCKTIME"] = "1"


def allowed_cores() -> float:
    """Return how many cores this process may use: affinity, and the quota of its control group."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = float(len(affinity(0)) if affinity is not None else os.cpu_count() or 1)
    quota = _quota()
    return cores if quota is None else max(1.0, min(cores, quota))


def _quota() -> float | None:
    try:
        words = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        return None if words[0] == "max" else int(words[0]) / int(words[1])
    except (OSError, ValueError, IndexError, ZeroDivisionError):
        pass
    try:
        folder = Path("/sys/fs/cgroup/cpu")
        quota = int((folder / "cpu.cfs_quota_us").read_text(encoding="ascii"))
        period = int((folder / "cpu.cfs_period_us").read_text(encoding="ascii"))
        return quota / period if quota > 0 and period > 0 else None
    except (OSError, ValueError):
        return None


def _busy_seconds() -> float | None:
    """Return the seconds that the cores of this process were busy since the system started; None where it does not tell."""
    affinity = getattr(os, "sched_getaffinity", None)
    if affinity is None:
        return None
    allowed = {f"cpu{number}" for number in affinity(0)}
    try:
        lines = Path("/proc/stat").read_text(encoding="ascii").splitlines()
        ticks, found = 0, 0
        for line in lines:
            words = line.split()
            if words and words[0] in allowed:
                # user, nice, system, idle, iowait, irq, softirq, steal
                values = [int(word) for word in words[1:9]]
                ticks += sum(values) - values[3] - values[4]
                found += 1
        return ticks / os.sysconf("SC_CLK_TCK") if found else None
    except (OSError, ValueError, IndexError):
        return None


@cache
def _own_choice() -> int:
    """Return how many threads torch chose itself (once: it is changed afterwards)."""
    import torch

    return int(torch.get_num_threads())


class ThreadGovernor:
    """Keeps torch's threads at the number of free cores while a computation goes on.

    Does nothing where the number was chosen: by an option, by ``OMP_NUM_THREADS`` (launchers set it), or on systems that
    do not tell what others use.
    """

    def __init__(self, chosen: bool | int = False, window_seconds: float = _WINDOW_SECONDS) -> None:
        """Begin to measure.

        Args:
            window_seconds: how long a neighbour is watched before anything changes.
            chosen: whether the number is settled: by an option, or because the work is another device's.
        """
        self._window = window_seconds
        self._active = not chosen and not any(os.environ.get(name) for name in _CHOSEN)
        self._mark = self._now() if self._active else None

    @staticmethod
    def _now() -> tuple[float, float, float] | None:
        busy = _busy_seconds()
        return None if busy is None else (time.monotonic(), busy, time.process_time())

    def tick(self) -> None:
        """Look again, once the window is over, and set torch's threads; called by the thread that computes."""
        if self._mark is None or time.monotonic() - self._mark[0] < self._window:
            return
        mark = self._now()
        torch = sys.modules.get("torch")
        if mark is None or torch is None:
            return
        most = _own_choice()
        elapsed, busy, own = (now - before for now, before in zip(mark, self._mark))
        self._mark = mark
        threads = free_threads(most, allowed_cores(), max(0.0, busy - own) / elapsed)
        if threads != torch.get_num_threads():
            torch.set_num_threads(threads)


def free_threads(most: int, cores: float, others: float) -> int:
    """Return how many threads to compute with.

    Args:
        most: more are never used.
        cores: that this process may use.
        others: cores that other processes use.
    """
    return max(1, min(most, int(cores - others + _SHARED_PART)))
