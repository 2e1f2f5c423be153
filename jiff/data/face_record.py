"""``fit.json``: everything a fit found, so that it can be judged, refined and repeated."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jiff.base.errors import DatasetError
from jiff.base.files import read_json, write_json
from jiff.data.dataset_file import read_dataset_file
from jiff.face.fit.fitting import FacePose

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from jiff.data.layout import ProcessedSet

FORMAT_VERSION = 1
STAMPS = "stamps"
"""Note of a record: stage -> stamp, see ``jiff.run.stage``."""
PENDING_FOLDER = "icp.pending"
"""Beside ``fit.json``: what `data icp` is about to put in place."""


@dataclass(frozen=True, eq=False)
class FitRecord:
    """One fit.

    Attributes:
        model: name of the face model.
        evidence: what the fit rests on, e.g. "yunet on the frontal image".
        pose: place, size and coefficients, None where no face was fitted.
        quality: measurements as plain values.
        refused: why the fit is not used, None when it is.
        five_px: [5, 2] detected landmarks in pixels of ``image_size``, or None.
        image_size: of the picture in which the landmarks were found.
        view: [3, 3] rotation and [3] centre of the surface patch that the fit used, or None.
        start: the pose before it was aligned or refined, or None.
        notes: further plain values.
    """

    model: str
    evidence: str
    pose: FacePose | None
    quality: dict[str, Any]
    refused: str | None = None
    five_px: NDArray[np.float64] | None = None
    image_size: int = 512
    view: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None
    start: FacePose | None = None
    notes: dict[str, Any] | None = None

    def save(self, path: Path | str) -> None:
        """Write the record as JSON, atomically."""
        content: dict[str, Any] = {
            "format": FORMAT_VERSION,
            "model": self.model,
            "evidence": self.evidence,
            "accepted": self.refused is None,
            "refused": self.refused,
            "quality": self.quality,
        }
        if self.five_px is not None:
            content["landmarks_px"] = np.round(self.five_px, 3).tolist()
            content["image_size"] = self.image_size
        for key, pose in (("pose", self.pose), ("start", self.start)):
            if pose is not None:
                content[key] = _plain(pose)
        if self.view is not None:
            content["view"] = {"rotation": self.view[0].tolist(), "center": self.view[1].tolist()}
        content.update(self.notes or {})
        write_json(path, content)


def _plain(pose: FacePose) -> dict[str, Any]:
    return {
        "scale": float(pose.scale),
        "rotation": np.asarray(pose.rotation).tolist(),
        "offset": np.asarray(pose.offset).tolist(),
        "identity": np.asarray(pose.identity).tolist(),
        "expression": np.asarray(pose.expression).tolist(),
    }


def stored_stamp(path: Path, stage: str) -> dict[str, Any] | None:
    """Return the stamp that a stage left in a record, None where there is none.

    Raises:
        DatasetError: the file is not such a record.
        InputError: the file is not JSON.
    """
    if not path.is_file():
        return None
    stamps = (read_record(path).notes or {}).get(STAMPS) or {}
    return stamps.get(stage)


def remembered_summaries(dataset: ProcessedSet, stage: str, names: Iterable[str]) -> dict[str, Any]:
    """Return what a stage, killed before it could record them, found for subjects that are complete.

    Args:
        dataset: the set.
        stage: "face" or "icp".
        names: of complete subjects; those in ``dataset.yaml`` already, or fitted by others, are left out.
    """
    stages = read_dataset_file(dataset).get("stages", {})
    known = (stages.get(stage) or {}).get("subjects") or {}
    found = {}
    for name in names:
        if name in known or not dataset.face_report(name).is_file():
            continue
        summary = (read_record(dataset.face_report(name)).notes or {}).get("summary") or {}
        if stage in summary:
            found[name] = summary[stage]
    return found


def _pose(plain: dict[str, Any] | None) -> FacePose | None:
    if plain is None:
        return None
    return FacePose(
        float(plain["scale"]),
        np.array(plain["rotation"], dtype=np.float64).reshape(3, 3),
        np.array(plain["offset"], dtype=np.float64).reshape(3),
        np.array(plain["identity"], dtype=np.float64),
        np.array(plain["expression"], dtype=np.float64),
    )


def read_record(path: Path | str) -> FitRecord:
    """Read ``fit.json``.

    Raises:
        DatasetError: the file is not such a record.
        InputError: the file is missing or not JSON.
    """
    content = read_json(path)
    try:
        view = None
        if content.get("view") is not None:
            view = (
                np.array(content["view"]["rotation"], dtype=np.float64).reshape(3, 3),
                np.array(content["view"]["center"], dtype=np.float64).reshape(3),
            )
        five = content.get("landmarks_px")
        return FitRecord(
            model=str(content["model"]),
            evidence=str(content["evidence"]),
            pose=_pose(content.get("pose")),
            quality=dict(content.get("quality") or {}),
            refused=content.get("refused"),
            five_px=None if five is None else np.array(five, dtype=np.float64).reshape(5, 2),
            image_size=int(content.get("image_size", 512)),
            view=view,
            start=_pose(content.get("start")),
            notes={k: content[k] for k in ("method", "icp", "align", "summary", STAMPS) if k in content},
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DatasetError(
            f"{path}: is not a fit written by `jiff data face` ({type(error).__name__}); run it again with --overwrite."
        ) from error
