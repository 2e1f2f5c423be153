"""Normals of vertices weighted by area, for surfaces that move in every step of a fit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def area_weighted_normals(vertices: NDArray[np.float64], faces: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return [V, 3] unit normals of vertices [V, 3] of triangles [F, 3]; zero where no triangle is.

    Cheaper than ``Mesh.vertex_normals``, whose angles do not depend on how a surface is cut into triangles.
    """
    a, b, c = vertices[faces[:, 0]], vertices[faces[:, 1]], vertices[faces[:, 2]]
    cross = np.cross(b - a, c - a)
    columns = [
        np.bincount(faces.ravel(), np.repeat(cross[:, k], 3), minlength=len(vertices)) for k in range(3)
    ]
    total = np.stack(columns, axis=1)
    return np.asarray(total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-20))
