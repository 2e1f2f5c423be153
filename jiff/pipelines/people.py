"""Folders of photographed synthetic people: names, who is held out, what is complete; ``photos.py`` and ``normals.py`` fill them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from jiff.base.errors import UsageError
from jiff.base.files import write_text
from jiff.run.stage import Stamp, Verdict, read_stamp

if TYPE_CHECKING:
    from pathlib import Path

RECORD = "person.json"
"""A person's stamp, and how many photos there are."""


def person_name(index: int) -> str:
    """Return the folder of person ``index``."""
    return f"person_{index:05d}"


def refuse_other(out: Path, pattern: str, command: str) -> None:
    """Refuse a folder that holds the photos of another command, whose people would be replaced.

    Args:
        out: folder of people.
        pattern: of the other command's files in a person's folder.
        command: that wrote them.

    Raises:
        UsageError: there is such a file.
    """
    if next(out.glob(f"person_*/{pattern}"), None) is not None:
        raise UsageError(f"{out}: holds what `{command}` wrote; give another folder with --out.")


def is_held_out(name: str, every: int) -> bool:
    """Return whether a person is the last of ``every`` people; nobody is where that is 0."""
    number = name.removeprefix("person_")
    return bool(every) and number.isdigit() and int(number) % every == every - 1


def write_held_out(out: Path, names: Iterable[str], every: int) -> None:
    """Write ``val.txt``: who is held out of ``names`` and of those whom an earlier, larger call made."""
    there = {path.name for path in out.glob("person_*") if path.is_dir()} | set(names)
    held = [name for name in sorted(there) if is_held_out(name, every)]
    write_text(out / "val.txt", "".join(f"{name}\n" for name in held))


def judge_person(folder: Path, stamp: Stamp, views: int, view_path: Callable[[Path, int], Path]) -> Verdict:
    """Return whether a person is complete.

    Args:
        folder: of the person.
        stamp: that they would have now.
        views: photos of a person, where the record does not say.
        view_path: folder and number -> file of a photo.
    """
    stored = read_stamp(folder / RECORD)
    if stored is None:
        return Verdict(False)
    count = stored.get("views")
    numbers = range(count if isinstance(count, int) else views)
    # Users delete photos that became damaged.
    there = all(view_path(folder, number).is_file() for number in numbers)
    return stamp.judge(dict(stored.get("stamp") or {}), there)
