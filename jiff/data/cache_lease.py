"""Who uses the caches of a processed set: what a running process has opened is never deleted.

A process that trains writes a lease, ``CACHE/.use/<host>_<pid>_<random>.json``, before it looks for any cache. The lease
of a process of this machine holds as long as the process lives; that of another machine as long as it is renewed.
"""

from __future__ import annotations

import json
import os
import platform
import threading
import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from jiff.base.errors import InputError, OutputError
from jiff.base.files import read_json, write_json

if TYPE_CHECKING:
    from jiff.data.layout import ProcessedSet

_FOLDER = ".use"
_RENEW_SECONDS = 600.0
_FOREIGN_HOURS = 24.0
"""How long a lease of another machine holds after it was last renewed."""


def _started(pid: int) -> str | None:
    """Return when a process began, in the system's own count; None where that cannot be read."""
    try:
        # The name in brackets may hold anything.
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return None


def _lives(pid: int, started: str | None) -> bool | None:
    """Tell whether the process of a lease still runs here; None where this system does not tell."""
    if os.name == "nt":
        # Signal 0 is Ctrl-C there.
        return None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    # Numbers are used again.
    return _started(pid) == started


class CacheLease:
    """The claim of this process on caches of a set; a context manager.

    Until ``hold`` has named the entries, it claims all of them.
    """

    def __init__(self, dataset: ProcessedSet) -> None:
        self._root = dataset.caches
        name = f"{platform.node()}_{os.getpid()}_{uuid.uuid4().hex[:8]}.json"
        self._path = self._root / _FOLDER / name
        self._ended = threading.Event()
        self._entries: list[str] | None = None

    def hold(self, entries: Iterable[Path]) -> None:
        """Claim these entries and no others; they count as used now."""
        paths = list(entries)
        self._entries = [path.relative_to(self._root).as_posix() for path in paths]
        self._write()
        for path in paths:
            try:
                os.utime(path)
            except OSError:
                # Of another user: the order in which entries are deleted is all that hangs on it.
                continue

    def _write(self) -> None:
        if not self._root.parent.is_dir():
            # The set is missing, which its readers say better.
            return
        content = {
            "host": platform.node(),
            "pid": os.getpid(),
            "started": _started(os.getpid()),
            "entries": self._entries,
        }
        try:
            write_json(self._path, content)
        except OutputError:
            # A set on a disk that cannot be written: from here nobody deletes anything.
            return

    def _renew(self) -> None:
        while not self._ended.wait(_RENEW_SECONDS):
            try:
                os.utime(self._path)
            except OSError:
                self._write()

    def __enter__(self) -> CacheLease:
        self._write()
        threading.Thread(target=self._renew, name="cache lease", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._path.unlink(missing_ok=True)
        for folder in (self._path.parent, self._root):
            try:
                folder.rmdir()
            except OSError:
                # Others use it.
                return


@dataclass(frozen=True)
class Claims:
    """What leases that hold claim.

    Attributes:
        entries: ``<subject>/<entry>``.
        opening: a process is about to name its entries; until then any may be among them.
    """

    entries: frozenset[str]
    opening: bool

    def include(self, dataset: ProcessedSet, path: Path) -> bool:
        """Tell whether an entry may be in use."""
        return self.opening or path.relative_to(dataset.caches).as_posix() in self.entries


def claims(dataset: ProcessedSet) -> Claims:
    """Read all leases; those of processes that ended without giving them back are deleted."""
    entries: set[str] = set()
    opening = False
    for path in sorted((dataset.caches / _FOLDER).glob("*.json")):
        try:
            lease = read_json(path)
            if not _holds(path, lease):
                path.unlink(missing_ok=True)
                continue
            found = lease["entries"]
        except (InputError, OSError, KeyError, TypeError, ValueError, json.JSONDecodeError):
            # Given back in this moment, or damaged; a damaged one holds nothing.
            continue
        if found is None:
            opening = True
        else:
            entries.update(found)
    return Claims(frozenset(entries), opening)


def _holds(path: Path, lease: dict[str, Any]) -> bool:
    if lease["host"] == platform.node():
        lives = _lives(int(lease["pid"]), lease["started"])
        if lives is not None:
            return lives
    return time.time() - path.stat().st_mtime < _FOREIGN_HOURS * 3600
