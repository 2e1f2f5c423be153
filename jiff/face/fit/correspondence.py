"""Coefficients of a mesh whose vertices are known to be the model's, in order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from jiff.base.errors import MeshError
from jiff.face.fit.fitting import FacePose
from jiff.face.landmarks import similarity

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jiff.face.model import MorphableModel


def fit_correspondences(
    model: MorphableModel, vertices_world: NDArray[np.float64], *, prior: float = 1e-6, iterations: int = 8
) -> FacePose:
    """Return pose and coefficients that bring the model's vertices onto ``vertices_world`` [V, 3], in least squares.

    Gauss-Newton on similarity and coefficients together: alternating them creeps where a basis resembles a motion.

    Args:
        model: the face model.
        vertices_world: one position per model vertex.
        prior: weight of a squared coefficient against a squared world unit.
        iterations: steps.

    Raises:
        MeshError: another number of vertices than the model's.
    """
    from scipy.spatial.transform import Rotation

    count = len(model.mean)
    if vertices_world.shape != (count, 3):
        raise MeshError(
            f"The mesh has {len(vertices_world)} vertices where the {model.name} model has {count}; fit it as a surface."
        )
    basis = np.concatenate([model.identity, model.expression]).reshape(-1, 3 * count)
    mean = model.mean.astype(np.float64)
    coefficients = np.zeros(len(basis))
    shape = mean
    scale, rotation, offset = similarity(shape, vertices_world)
    gram = (basis @ basis.T).astype(np.float64)
    for _ in range(iterations):
        # In the model's own frame the coefficient columns never change; the motion's columns are cheap.
        local = (vertices_world - offset) @ rotation / scale
        motion = np.zeros((7, count, 3))
        for axis in range(3):
            motion[axis] = np.cross(np.eye(3)[axis], shape)
            motion[3 + axis, :, axis] = 1.0
        motion[6] = shape
        flat = motion.reshape(7, -1)
        cross = flat.astype(np.float32) @ basis.T
        matrix = np.block([[flat @ flat.T, cross.astype(np.float64)], [cross.T.astype(np.float64), gram]])
        error = (local - shape).ravel()
        right = np.concatenate([flat @ error, (basis @ error.astype(np.float32)).astype(np.float64)])
        diagonal = np.arange(7, len(right))
        matrix[diagonal, diagonal] += prior
        right[7:] -= prior * coefficients
        change = np.linalg.solve(matrix, right)
        coefficients = coefficients + change[7:]
        offset = offset + scale * rotation @ change[3:6]
        rotation = rotation @ Rotation.from_rotvec(change[:3]).as_matrix()
        scale *= float(np.exp(change[6]))
        shape = mean + np.tensordot(coefficients, basis, axes=1).reshape(-1, 3)
    split = len(model.identity)
    return FacePose(scale, rotation, offset, coefficients[:split], coefficients[split:])
