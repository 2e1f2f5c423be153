"""Folders of photographed synthetic people: names, who is held out, what is complete; ``photos.py`` and ``normals.py`` fill them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar

from jiff.base.errors import UsageError
from jiff.base.files import remove_leftovers, write_text
from jiff.run.parallel import WorkReport, run_items
from jiff.run.plan import plan_work
from jiff.run.stage import Stamp, Verdict, read_stamp

if TYPE_CHECKING:
    from pathlib import Path

    from jiff.base.progress import Progress
    from jiff.options.normals import NormalsConfig
    from jiff.options.photos import PhotosConfig

J = TypeVar("J")

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


def make_people(
    config: PhotosConfig | NormalsConfig,
    jobs: dict[str, J],
    make: Callable[[J], dict[str, Any]],
    is_complete: Callable[[J], Verdict],
    worker_gib: float,
    progress: Progress,
) -> WorkReport:
    """Make the folders of people that are missing, and ``val.txt``.

    Args:
        config: folder, and where it runs.
        jobs: of the people, by name.
        make: makes one.
        is_complete: tells whether one is there.
        worker_gib: most memory of a process.
        progress: what is told of it.
    """
    plan = plan_work(config, list(jobs), worker_gib=worker_gib)
    write_held_out(config.out, jobs, config.held_out)
    for name in jobs:
        if name in set(plan.names):
            remove_leftovers(config.out, name)
    report = run_items(
        make,
        list(jobs.items()),
        plan=plan,
        progress=progress,
        title="Photographing people",
        is_complete=None if config.overwrite else is_complete,
    )
    report.outputs.append(str(config.out))
    return report


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
