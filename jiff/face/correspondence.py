"""Coefficients of a mesh whose vertices are known to be the model's, in order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from jiff.errors import MeshError
from jiff.face.fitting import FacePose
from jiff.face.landmarks import similarity

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jiff.face.model import MorphableModel


def fit_correspondences(
    model: MorphableModel, vertices_world: NDArray[np.float64], *, prior: float = 1e-6, iterations: int = 12
) -> FacePose:
    """Return pose and coefficients that bring the model's vertices onto ``vertices_world`` [V, 3], in least squares.

    Alternates the best similarity (Umeyama 1991) with one linear system for the coefficients.

    Args:
        model: the face model.
        vertices_world: one position per model vertex.
        prior: weight of a squared coefficient against a squared world unit.
        iterations: rounds.

    Raises:
        MeshError: another number of vertices than the model's.
    """
    count = len(model.mean)
    if vertices_world.shape != (count, 3):
        raise MeshError(
            f"The mesh has {len(vertices_world)} vertices where the {model.name} model has {count}; fit it as a surface."
        )
    basis = np.concatenate([model.identity, model.expression]).reshape(-1, 3 * count)
    gram = (basis @ basis.T).astype(np.float64)
    gram[np.diag_indices(len(gram))] += prior
    mean = model.mean.astype(np.float64)
    coefficients = np.zeros(len(basis))
    shape = mean
    scale, rotation, offset = similarity(shape, vertices_world)
    for _ in range(iterations if len(basis) else 1):
        scale, rotation, offset = similarity(shape, vertices_world)
        local = (vertices_world - offset) @ rotation / scale
        if len(basis) == 0:
            break
        coefficients = np.linalg.solve(gram, basis @ (local - mean).astype(np.float32).ravel())
        shape = mean + np.tensordot(coefficients, basis, axes=1).reshape(-1, 3)
    split = len(model.identity)
    return FacePose(scale, rotation, offset, coefficients[:split], coefficients[split:])
