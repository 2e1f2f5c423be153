"""``dataset.yaml`` of a processed set: with what settings each stage ran, and what it completed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jiff import __version__
from jiff.errors import DatasetError
from jiff.files import read_yaml, write_yaml

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jiff.data.layout import ProcessedSet

_CAMERA = {
    "projection": "orthographic, looks down -z",
    "half_width_world": 102.4,
    "world_unit": "1/180 of the body height, y up, feet at 0",
}


def read_dataset_file(dataset: ProcessedSet) -> dict[str, Any]:
    """Return the content of ``dataset.yaml``, {} where there is none (data of the published scripts).

    Raises:
        DatasetError: the file is not a mapping.
        InputError: the file is not YAML.
    """
    if not dataset.dataset_file.is_file():
        return {}
    content = read_yaml(dataset.dataset_file)
    if not isinstance(content, dict):
        raise DatasetError(
            f"{dataset.dataset_file}: is not a mapping; delete the file and run the stage again."
        )
    return content


def record_stage(
    dataset: ProcessedSet,
    stage: str,
    *,
    settings: Mapping[str, Any] | None = None,
    subjects: Mapping[str, Any] | None = None,
) -> None:
    """Merge what a stage did into ``dataset.yaml``, atomically; the same work gives the same bytes.

    Args:
        dataset: the set.
        stage: e.g. ``"render"``, ``"face"``.
        settings: plain values; replaces those recorded.
        subjects: subject -> plain summary; added to those recorded, names sorted.
    """
    content = read_dataset_file(dataset)
    content.setdefault("format", 1)
    content["jiff"] = __version__
    content.setdefault("camera", dict(_CAMERA))
    stages = content.setdefault("stages", {})
    entry = stages.setdefault(stage, {})
    if settings is not None:
        entry["settings"] = dict(settings)
    if subjects is not None:
        entry["subjects"] = dict(sorted({**entry.get("subjects", {}), **subjects}.items()))
    content["stages"] = dict(sorted(stages.items()))
    write_yaml(dataset.dataset_file, content)
