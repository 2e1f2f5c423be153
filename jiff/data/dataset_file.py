"""``dataset.yaml`` of a processed set: with what settings each stage ran, and what it completed.

Shards of a job array write at the same time, and locks cannot be relied on in a network's file system. Each therefore
leaves what it did in files of its own, ``dataset.parts/<stage>/``, one per subject, and folds all that are there into
``dataset.yaml``; readers see both.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

from jiff import __version__
from jiff.base.errors import DatasetError
from jiff.base.files import read_json, read_yaml, write_json, write_yaml

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from jiff.data.layout import ProcessedSet

_CAMERA = {
    "projection": "orthographic, looks down -z",
    "half_width_world": 102.4,
    "world_unit": "1/180 of the body height, y up, feet at 0",
}


_PARTS = "dataset.parts"
_SETTINGS = "settings.json"
_SUBJECT_PREFIX = "subject."
_HELD_OUT = "held_out.json"


def _parts(dataset: ProcessedSet) -> dict[Path, tuple[int, int]]:
    """Return the parts that shards left, with what changes when one is replaced."""
    found = {}
    for path in sorted((dataset.root / _PARTS).glob("*/*.json")):
        if path.name.startswith("."):
            continue
        try:
            status = path.stat()
        except FileNotFoundError:
            continue
        found[path] = (status.st_mtime_ns, status.st_ino)
    return found


def _add_parts(content: dict[str, Any], parts: Mapping[Path, Any]) -> None:
    stages = content.setdefault("stages", {})
    for path in parts:
        entry = stages.setdefault(path.parent.name, {})
        value = read_json(path)
        if path.name == _SETTINGS:
            entry["settings"] = value
        else:
            name = path.name.removeprefix(_SUBJECT_PREFIX).removesuffix(".json")
            entry.setdefault("subjects", {})[name] = value
    for entry in stages.values():
        if "subjects" in entry:
            entry["subjects"] = dict(sorted(entry["subjects"].items()))
    content["stages"] = dict(sorted(stages.items()))


def _read_yaml_file(dataset: ProcessedSet) -> dict[str, Any]:
    if not dataset.dataset_file.is_file():
        return {}
    content = read_yaml(dataset.dataset_file)
    if not isinstance(content, dict):
        raise DatasetError(
            f"{dataset.dataset_file}: is not a mapping; delete the file and run the stage again."
        )
    return content


def read_dataset_file(dataset: ProcessedSet) -> dict[str, Any]:
    """Return the content of ``dataset.yaml``, {} where there is none (data of the published scripts).

    Raises:
        DatasetError: the file is not a mapping.
        InputError: the file is not YAML.
    """
    content = _read_yaml_file(dataset)
    parts = _parts(dataset)
    if parts:
        _add_parts(content, parts)
    return content


def held_out_before(dataset: ProcessedSet, *, shared: bool = False) -> list[str]:
    """Return who was held out before shards began to render.

    What shards write into ``val.txt`` is chosen among the scans that they see, which other shards may still be making:
    nobody stays held out for that alone.

    Args:
        dataset: the set.
        shared: this is a shard; the first one notes the answer for the others.
    """
    path = dataset.root / _PARTS / _HELD_OUT
    if path.is_file():
        return [str(name) for name in read_json(path)]
    names = dataset.validation_subjects()
    if shared:
        write_json(path, names)
    return names


def record_stage(
    dataset: ProcessedSet,
    stage: str,
    *,
    settings: Mapping[str, Any] | None = None,
    subjects: Mapping[str, Any] | None = None,
    shared: bool = False,
) -> None:
    """Merge what a stage did into ``dataset.yaml``, atomically; the same work gives the same bytes.

    Args:
        dataset: the set.
        stage: e.g. ``"render"``, ``"face"``.
        settings: plain values; replaces those recorded.
        subjects: subject -> plain summary; added to those recorded, names sorted.
        shared: other shards record at the same time; nothing of theirs is lost. Without it, the parts that shards left
            are folded in and removed.
    """
    if shared:
        folder = dataset.root / _PARTS / stage
        if settings is not None:
            write_json(folder / _SETTINGS, dict(settings))
        for name, value in (subjects or {}).items():
            write_json(folder / f"{_SUBJECT_PREFIX}{name}.json", value)
        _fold(dataset)
        return
    if (dataset.root / _PARTS).is_dir():
        _fold(dataset)
        shutil.rmtree(dataset.root / _PARTS, ignore_errors=True)
    content = _with_head(_read_yaml_file(dataset))
    stages = content["stages"]
    entry = stages.setdefault(stage, {})
    if settings is not None:
        entry["settings"] = dict(settings)
    if subjects is not None:
        entry["subjects"] = dict(sorted({**entry.get("subjects", {}), **subjects}.items()))
    content["stages"] = dict(sorted(stages.items()))
    write_yaml(dataset.dataset_file, content)


def _with_head(content: dict[str, Any]) -> dict[str, Any]:
    content.setdefault("format", 1)
    content["jiff"] = __version__
    content.setdefault("camera", dict(_CAMERA))
    content.setdefault("stages", {})
    return content


def _fold(dataset: ProcessedSet) -> None:
    """Write all parts into ``dataset.yaml``, until none came while it was written.

    The last writer then has them all: a part that it lacks was written after it looked, by a shard that folds later.
    """
    while True:
        parts = _parts(dataset)
        content = _with_head(_read_yaml_file(dataset))
        _add_parts(content, parts)
        write_yaml(dataset.dataset_file, content)
        if _parts(dataset) == parts:
            return
