"""How much memory the processes of a run take."""

from __future__ import annotations

import multiprocessing
import os
import sys
from pathlib import Path

_KIBI = 1024


def memory_bytes(process: int | None = None) -> int | None:
    """Return the memory of a process (this one by default), None where the system does not tell.

    On Linux the proportional set size: pages shared by several processes, such as memory-mapped files, count in
    parts. Elsewhere the peak resident size, of this process only.
    """
    pid = process or os.getpid()
    rollup = _fields(Path(f"/proc/{pid}/smaps_rollup"))
    if "Pss" in rollup:
        return rollup["Pss"]
    if pid != os.getpid() or sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * _KIBI


def private_bytes(process: int | None = None) -> int | None:
    """Return the anonymous memory of a process: its own data, without mapped files; None where nobody tells."""
    return _fields(Path(f"/proc/{process or os.getpid()}/smaps_rollup")).get("Anonymous")


def children() -> list[int]:
    """Return the process ids of the processes that this one has started through multiprocessing."""
    return [child.pid for child in multiprocessing.active_children() if child.pid is not None]


def _fields(path: Path) -> dict[str, int]:
    try:
        text = path.read_text(encoding="ascii")
    except OSError:
        # Another system, or the process has ended meanwhile.
        return {}
    found = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) == 3 and words[2] == "kB":
            found[words[0].rstrip(":")] = int(words[1]) * _KIBI
    return found
