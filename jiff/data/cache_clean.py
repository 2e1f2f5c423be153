"""Deleting caches of a processed set that no running process uses."""

from __future__ import annotations

import shutil
import uuid
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from jiff.data.cache_lease import claims

if TYPE_CHECKING:
    from jiff.data.layout import ProcessedSet

_TRASH = ".trash-"


@dataclass(frozen=True)
class CacheEntry:
    """One cache: a file or a folder.

    Attributes:
        path: where it lies.
        size_bytes: on disk.
        used: time of its last use, seconds.
    """

    path: Path
    size_bytes: int
    used: float


@dataclass(frozen=True)
class CacheState:
    """The caches of a set.

    Attributes:
        total_bytes: of all.
        in_use_bytes: of those that running processes claim.
        freed_bytes: of those that were deleted.
    """

    total_bytes: int
    in_use_bytes: int
    freed_bytes: int = 0


def cache_entries(dataset: ProcessedSet) -> list[CacheEntry]:
    """Return all caches of a set, the least recently used first."""
    found = []
    for folder in sorted(dataset.caches.glob("*")):
        if folder.name.startswith(".") or not folder.is_dir():
            continue
        for path in sorted(folder.iterdir()):
            if path.name.startswith("."):
                # Half-written, or on its way out.
                continue
            try:
                files = [item for item in path.rglob("*") if item.is_file()] if path.is_dir() else [path]
                found.append(
                    CacheEntry(path, sum(item.stat().st_size for item in files), path.stat().st_mtime)
                )
            except FileNotFoundError:
                continue
    return sorted(found, key=lambda entry: entry.used)


def cache_state(dataset: ProcessedSet) -> CacheState:
    """Return how large the caches of a set are."""
    entries, held = cache_entries(dataset), claims(dataset)
    used = [entry for entry in entries if held.include(dataset, entry.path)]
    return CacheState(sum(entry.size_bytes for entry in entries), sum(entry.size_bytes for entry in used))


def _delete(dataset: ProcessedSet, path: Path, ignore_opening: bool = False) -> bool:
    """Delete an entry unless a process claims it; whoever claims it meanwhile gets it back."""

    def is_claimed() -> bool:
        held = claims(dataset)
        return (replace(held, opening=False) if ignore_opening else held).include(dataset, path)

    if is_claimed():
        return False
    trash = path.with_name(f"{_TRASH}{uuid.uuid4().hex[:8]}")
    try:
        path.rename(trash)
    except FileNotFoundError:
        return False
    if is_claimed():
        trash.rename(path)
        return False
    if trash.is_dir():
        shutil.rmtree(trash, ignore_errors=True)
    else:
        trash.unlink(missing_ok=True)
    return True


def clean_caches(dataset: ProcessedSet, keep_bytes: int = 0) -> CacheState:
    """Delete caches that no running process claims, the least recently used first.

    Args:
        dataset: the set.
        keep_bytes: no more are deleted once the caches, claimed ones included, are this small.
    """
    entries = cache_entries(dataset)
    for folder in dataset.caches.glob(f"*/{_TRASH}*"):
        # Left by a cleaning that was killed.
        shutil.rmtree(folder, ignore_errors=True) if folder.is_dir() else folder.unlink(missing_ok=True)
    left = sum(entry.size_bytes for entry in entries)
    freed = 0
    for entry in entries:
        if left <= keep_bytes:
            break
        if _delete(dataset, entry.path):
            left -= entry.size_bytes
            freed += entry.size_bytes
    state = cache_state(dataset)
    return CacheState(state.total_bytes, state.in_use_bytes, freed)


def drop_superseded(dataset: ProcessedSet, entry: Path) -> None:
    """Delete entries that differ from a new one by the state of their sources alone, and that nobody has claimed.

    Args:
        dataset: the set.
        entry: named ``<kind>_<options>_<sources>``, see ``jiff.data.mesh_cache.fingerprint``.
    """
    prefix = entry.name.rpartition("_")[0]
    for path in entry.parent.glob(f"{prefix}_*"):
        if path.name.rpartition("_")[0] == prefix and path.name != entry.name:
            _delete(dataset, path, ignore_opening=True)
