"""The face network's points on models other than the one they were learnt on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from jiff.face.fit.fitting import FaceFitter, start_from_landmarks
from jiff.face.points import ModelPoints, anny_points, dropped_points
from jiff.face.surface import FaceScene
from jiff.geometry.mesh import Mesh

if TYPE_CHECKING:
    from jiff.face.model import MorphableModel


def carried_points(model: MorphableModel, anny: MorphableModel) -> ModelPoints | None:
    """Return the points on another model: anny's face is laid onto its mean by landmarks and shape.

    Args:
        model: BFM, FLAME, a face mesh.
        anny: the model that the points were learnt on.

    Returns:
        None for a model without landmarks.
    """
    marks = np.asarray(model.landmarks68)
    if len(np.unique(marks)) < 10:
        return None
    mean = model.mean.astype(np.float64)
    start = start_from_landmarks(anny, model.five_landmarks(mean))
    surface = FaceScene(Mesh(mean, model.triangles)).around(start.offset, start.rotation)
    if len(surface.points_world) < 200:
        return None
    pose = FaceFitter(anny).fit(surface, start, model.five_landmarks(mean))
    points = anny_points(anny)
    return dropped_points(model, points.on(pose.vertices(anny)), points.which, points.spread, points.habits)
