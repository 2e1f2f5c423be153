"""Random misplacement of a face prior: fits to scans train the networks, worse fits to photos feed them later."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from jiff.data.face_data import FaceData

if TYPE_CHECKING:
    from numpy.typing import NDArray

_REACH_CM = 12.0
"""Distance from the middle of a face to its border, which turns and stretches are measured at."""
_LEAST_STRETCH = 0.2
"""A face that is flat or turned inside out is no face."""


def _small_rotation(vector_rad: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the rotation about ``vector_rad`` by its length (Rodrigues), [3, 3]."""
    angle = float(np.linalg.norm(vector_rad))
    if angle < 1e-12:
        return np.eye(3)
    x, y, z = vector_rad / angle
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    return np.eye(3) + np.sin(angle) * cross + (1.0 - np.cos(angle)) * cross @ cross


def jittered(face: FaceData, size_cm: float, rng: np.random.Generator) -> FaceData:
    """Return a face prior shifted, turned and stretched at random; its box moves along.

    Every axis of each of the three changes is normally distributed, measured by how far it moves the border of
    the face (one world unit is a centimetre of a person of 180 cm): a shift by ``size_cm``, a turn as far, by
    ``size_cm / 12`` rad, and a stretch half as far, which stands for wrong identity coefficients.

    Args:
        face: frontal world frame; without vertices it is returned as it is.
        size_cm: standard deviation.
        rng: where the draw comes from.
    """
    draws = rng.normal(size=(3, 3)) * size_cm
    if not face.present:
        return face
    shift, turn = draws[0], draws[1] / _REACH_CM
    stretch = np.maximum(1.0 + draws[2] / (2.0 * _REACH_CM), _LEAST_STRETCH)
    xmin, xmax, ymin, ymax = face.box_world.astype(np.float64)
    center = np.array([(xmin + xmax) / 2, (ymin + ymax) / 2, float(face.vertices_world[:, 2].mean())])
    linear = _small_rotation(turn) @ np.diag(stretch)
    vertices = (face.vertices_world - center) @ linear.T + center + shift
    half = np.array([xmax - xmin, ymax - ymin]) / 2 * stretch[:2]
    low, high = center[:2] + shift[:2] - half, center[:2] + shift[:2] + half
    box = np.array([low[0], high[0], low[1], high[1]], dtype=np.float32)
    return FaceData(vertices.astype(np.float32), face.colors, box)
