"""How much memory this process may still take: of the machine, and of the control group a scheduler put it into."""

from __future__ import annotations

import os
from pathlib import Path

_CGROUP_ROOT = Path("/sys/fs/cgroup")
_MEMINFO = Path("/proc/meminfo")
_OWN_GROUP = Path("/proc/self/cgroup")


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        # Absent, unreadable, or "max": no limit.
        return None


def _reclaimable(folder: Path) -> int:
    try:
        lines = (folder / "memory.stat").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    values = dict(line.split(maxsplit=1) for line in lines if " " in line)
    # File cache counts as used but is given back on demand.
    return int(values.get("inactive_file", values.get("total_inactive_file", 0)))


def group_free_bytes(root: Path = _CGROUP_ROOT, own: Path = _OWN_GROUP) -> int | None:
    """Return what the control groups (v2 or v1) around this process leave, None where nothing limits it.

    Args:
        root: where control groups are mounted.
        own: the list of this process's groups.
    """
    try:
        lines = own.read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    free: list[int] = []
    for line in lines:
        _, controllers, place = line.split(":", 2)
        if controllers == "":
            base, limit_name, used_name = root, "memory.max", "memory.current"
        elif "memory" in controllers.split(","):
            base, limit_name, used_name = root / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes"
        else:
            continue
        folder = base / place.lstrip("/")
        # Each level may set its own limit.
        for level in (folder, *folder.parents):
            limit, used = _number(level / limit_name), _number(level / used_name)
            if limit is not None and used is not None and limit < 1 << 60:
                free.append(max(limit - used + _reclaimable(level), 0))
            if level == base:
                break
    return min(free) if free else None


def free_bytes() -> int | None:
    """Return the memory that may be taken without swapping or being killed, None where the system does not tell."""
    found = [group_free_bytes()]
    try:
        for line in _MEMINFO.read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                found.append(int(line.split()[1]) * 1024)
    except OSError:
        names = getattr(os, "sysconf_names", {})
        if "SC_PHYS_PAGES" in names and "SC_PAGE_SIZE" in names:
            # Such systems tell the whole memory only; half of it is a fair guess of what is free.
            found.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2)
    known = [value for value in found if value is not None]
    return min(known) if known else None
