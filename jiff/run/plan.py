"""Where work over subjects runs, and which part of them: processes, a shard of a job array, a cluster."""

from __future__ import annotations

import os
import re
import zlib
from collections.abc import Iterable
from dataclasses import dataclass

from jiff.base.memory import free_bytes
from jiff.options.work import WorkOptions, parse_shard

_GIB = 1 << 30
_SHARE_OF_FREE = 0.9
"""Of the free memory; the rest is for the file cache and whatever else starts."""


def default_jobs() -> int:
    """Return the number of processor cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return max(1, os.cpu_count() or 1)


def shard_of(name: str, count: int) -> int:
    """Return the shard, 1 to ``count``, to which a subject belongs.

    It depends on the name alone: shards that see different lists (another stage or shard is still writing) never take
    the same subject. Numbered series (0000, 0001, ...) are dealt round, other names by a checksum.
    """
    found = re.search(r"(\d+)$", name)
    number, prefix = (int(found[1]), name[: found.start()]) if found else (0, name)
    return (zlib.crc32(prefix.encode("utf-8")) * bool(prefix) + number) % count + 1


@dataclass(frozen=True)
class WorkPlan:
    """How work is carried out.

    Attributes:
        names: the subjects to do, of this shard.
        total: the number of subjects of all shards.
        shard: (i, n), or None.
        scheduler: of a cluster, or None.
        processes: on this machine.
        threads: that each subject may use.
        reason: why that many processes; empty when the user chose.
    """

    names: tuple[str, ...]
    total: int
    shard: tuple[int, int] | None = None
    scheduler: str | None = None
    processes: int = 1
    threads: int = 1
    reason: str = ""


def plan_work(options: WorkOptions, names: Iterable[str], *, worker_gib: float) -> WorkPlan:
    """Decide which subjects to do, in how many processes, with how many threads for each.

    Args:
        options: of the stage.
        names: of all subjects.
        worker_gib: memory that a process of the stage takes at most, GiB. Without ``jobs`` no more processes are started
            than fit into the free memory.
    """
    every = list(names)
    shard = parse_shard(options.shard) if options.shard is not None else None
    own = every if shard is None else [name for name in every if shard_of(name, shard[1]) == shard[0]]
    if options.scheduler is not None:
        return WorkPlan(tuple(own), len(every), shard, options.scheduler)
    cores = options.jobs or default_jobs()
    processes, reason = cores, ""
    if not options.jobs:
        reason = "one per core"
        free = free_bytes()
        if free is not None:
            fit = max(1, int(free * _SHARE_OF_FREE / (worker_gib * _GIB)))
            if fit < cores:
                processes = fit
                reason = f"as {free / _GIB:.1f} GiB of free memory hold no more of {worker_gib:g} GiB each"
    # Few subjects on many cores: the rest of the cores work on the same subject.
    threads = max(1, cores // max(1, min(processes, len(own))))
    return WorkPlan(tuple(own), len(every), shard, None, processes, threads, reason)
