"""The one rule of what is complete: a stamp of settings, inputs and format, compared before anything is done again.

Equal stamp and all files there: skipped. Another stamp: done again, and said so. No stamp but all files there (sets of
the published scripts): taken as they are.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jiff.base.config import to_plain
from jiff.base.errors import InputError
from jiff.base.files import read_json, write_json

_BLOCK = 1 << 20
BEGUN = "begun"
"""Key of a stamp whose work was not finished."""


@dataclass(frozen=True)
class Verdict:
    """Whether an item is complete, and if it was but is no more, why.

    Attributes:
        complete: nothing is to be done.
        reason: what changed since it was done, empty where it was never finished.
    """

    complete: bool
    reason: str = ""

    def __bool__(self) -> bool:
        return self.complete


def file_fingerprint(path: Path) -> str | None:
    """Return 24 hex digits of a file's content, None where it is absent.

    Content, not time: a set that was copied to another disk is the same set.

    Raises:
        InputError: the file cannot be read.
    """
    digest = hashlib.blake2b(digest_size=12)
    try:
        with open(path, "rb") as handle:
            while block := handle.read(_BLOCK):
                digest.update(block)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror}); check the file and its rights."
        ) from error
    return digest.hexdigest()


@dataclass(frozen=True)
class Stamp:
    """What decides the bytes that a stage makes of one subject.

    Attributes:
        stage: its name, for messages.
        format: number that grows when the stage itself comes to write other bytes.
        settings: plain values of the options that change bytes.
        inputs: role, as a message calls it ("scan"), -> file.
    """

    stage: str
    format: int
    settings: Mapping[str, Any]
    inputs: Mapping[str, Path] = field(default_factory=dict)

    def taken(self, base: Path, places: Mapping[str, Path] | None = None) -> dict[str, Any]:
        """Return the stamp as plain values, with the fingerprints of the inputs as they are now.

        Args:
            places: where inputs will lie that do not lie there yet.
            base: folder to which the places of inputs in it and beside it are noted, so that a set can move together with its
            scans; those of others are not.
        """
        return {
            "format": self.format,
            "settings": to_plain(dict(self.settings)),
            "inputs": {
                role: {
                    "file": _relative((places or {}).get(role, path), base),
                    "blake2b": file_fingerprint(path),
                }
                for role, path in self.inputs.items()
            },
        }

    def change(self, stored: Mapping[str, Any]) -> str:
        """Return in words what differs from a stored stamp, empty where nothing does."""
        if stored.get("format") != self.format:
            return "this version makes other files"
        before = stored.get("settings")
        told = settings_change(before if isinstance(before, Mapping) else {}, self.settings)
        if told:
            return told
        noted = stored.get("inputs")
        inputs: Mapping[str, Any] = noted if isinstance(noted, Mapping) else {}
        for role, path in self.inputs.items():
            entry = inputs.get(role)
            known = entry.get("blake2b") if isinstance(entry, Mapping) else None
            if role not in inputs or known != file_fingerprint(path):
                return f"its {role} changed"
        gone = sorted(set(inputs) - set(self.inputs))
        return f"its {gone[0]} is no longer used" if gone else ""

    def judge(self, stored: Mapping[str, Any] | None, files_there: bool) -> Verdict:
        """Apply the rule.

        Args:
            stored: the stamp that the stage left, None where it left none.
            files_there: whether all files of the subject exist.
        """
        if stored is None:
            return Verdict(files_there)
        if not stored:
            return Verdict(False, "it has no stamp that can be read")
        if BEGUN in stored:
            return Verdict(False)
        told = self.change(stored)
        return Verdict(files_there and not told, told)


def settings_change(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Return in words which setting differs, empty where none does."""
    plain = to_plain(dict(now))
    for name, value in plain.items():
        if name not in before or before[name] != value:
            was = "not set" if before.get(name) is None else before.get(name)
            return f"{name.replace('_', ' ')} was {was} and is {'not set' if value is None else value}"
    return ""


def inputs_change(stored: Mapping[str, Any], base: Path) -> str:
    """Return in words which noted input is another file now, empty where none is; inputs that moved away are not known.

    Args:
        stored: from ``Stamp.taken``.
        base: as given there.
    """
    for role, entry in (stored.get("inputs") or {}).items():
        if not entry.get("file"):
            continue
        path = base / str(entry["file"])
        if path.is_file() and file_fingerprint(path) != entry.get("blake2b"):
            return f"its {role} changed"
    return ""


def _relative(path: Path, base: Path) -> str | None:
    try:
        found = Path(os.path.relpath(path, base))
    except ValueError:
        # Windows: another drive.
        return None
    # What does not lie beside the set does not move with it, and is nobody else's business.
    return None if found.parts[:2] == ("..", "..") else found.as_posix()


def read_stamp(path: Path) -> dict[str, Any] | None:
    """Return the stamp in a file of its own; None where there is none, {} (which equals no stamp) where it is damaged."""
    if not path.is_file():
        return None
    try:
        stored = read_json(path)
    except InputError:
        return {}
    return stored if isinstance(stored, dict) else {}


def begin(path: Path, taken: Mapping[str, Any] | None = None) -> None:
    """Note that what a stamp file stands for is being made: until ``finish`` it counts as incomplete.

    Args:
        path: the stamp file.
        taken: the stamp of the work, where parts of it that are there already may be kept by the next run.
    """
    write_json(path, {BEGUN: True, **(taken or {})})


def finish(path: Path, taken: Mapping[str, Any]) -> None:
    """Write the stamp ``taken`` before the work began; the last file of a subject."""
    write_json(path, dict(taken))
