"""Rotations between directions and frames."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial.transform import Rotation

if TYPE_CHECKING:
    from numpy.typing import NDArray


def unit(vector: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a [3] vector at length 1."""
    return np.asarray(vector / np.linalg.norm(vector))


def between(start: NDArray[np.float64], end: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the [3, 3] smallest rotation that takes direction ``start`` to ``end``; both [3], of any length."""
    first, second = unit(start), unit(end)
    axis = np.cross(first, second)
    sine, cosine = float(np.linalg.norm(axis)), float(first @ second)
    if sine < 1e-9:
        if cosine > 0:
            return np.eye(3)
        axis = np.cross(first, np.eye(3)[np.argmin(np.abs(first))])
    return np.asarray(Rotation.from_rotvec(unit(axis) * np.arctan2(sine, cosine)).as_matrix())


def frame(y: NDArray[np.float64], x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return [3, 3] right-handed axes as columns: y as given, x as near to the given one as can be."""
    up = unit(y)
    side = unit(x - (x @ up) * up)
    return np.stack([side, up, np.cross(side, up)], axis=1)


def mean_rotation(matrices: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the [3, 3] mean of [N, 3, 3] rotations."""
    return np.asarray(Rotation.from_matrix(matrices).mean().as_matrix())
