"""The turned pictures of a processed set in which the face networks look for the points of the same face."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from jiff.data.layout import ProcessedSet, parse_view_name
from jiff.data.param_io import read_param
from jiff.face.detect.points_detector import PointsDetector
from jiff.face.fit.points_fit import PointsView
from jiff.geometry.camera import Camera
from jiff.photo.images import read_image

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from jiff.face.detect.detector import FaceDetector
    from jiff.face.fit.scan_fit import Look

TURNED_DEG = (-30, 30)
"""Beside the frontal picture; at 60 degrees the network's points are guesses, and made the fit worse."""
_WITHIN_DEG = 15


def nearest_views(
    dataset: ProcessedSet, subject: str, yaws_deg: Sequence[float], within_deg: float
) -> list[str]:
    """Return the first view nearest to each of some yaws, pitch counted like yaw; none where none is near."""
    chosen = []
    for wanted in yaws_deg:
        rated = []
        for view in dataset.views(subject):
            yaw, pitch, _ = parse_view_name(view)
            away = abs((yaw - wanted + 180) % 360 - 180) + abs(pitch)
            if away <= within_deg:
                rated.append((away, view))
        if rated:
            chosen.append(min(rated)[1])
    return chosen


def turned_views(dataset: ProcessedSet, subject: str) -> list[str]:
    """Return the first view nearest to each of ``TURNED_DEG``, none where none is near."""
    return nearest_views(dataset, subject, TURNED_DEG, _WITHIN_DEG)


def view_file(dataset: ProcessedSet, subject: str, view: str) -> Path:
    """Return the picture of a view, the larger one where there is one."""
    large = dataset.render_hi(subject, view)
    return large if large.is_file() else dataset.render(subject, view)


def looker(dataset: ProcessedSet, subject: str, detector: FaceDetector) -> Look | None:
    """Return what looks for a face in the turned pictures; None where no network looks or nothing is turned."""
    views = turned_views(dataset, subject)
    if not isinstance(detector, PointsDetector) or not views:
        return None
    return partial(_look, dataset, subject, detector, views)


def _look(
    dataset: ProcessedSet,
    subject: str,
    detector: PointsDetector,
    views: list[str],
    five_world: NDArray[np.float64],
) -> list[PointsView]:
    """Return the points in those views in which the face with landmarks [5, 3] is seen."""
    found = []
    for view in views:
        image = np.ascontiguousarray(read_image(view_file(dataset, subject, view))[..., :3])
        camera = Camera.from_param(read_param(dataset.param(subject, view))).with_size(image.shape[0])
        face = detector.face_at(image, camera.world_to_pixel(five_world))
        if face is not None:
            found.append(PointsView(camera, face.points_px))
    return found
