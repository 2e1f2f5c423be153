"""Exact closest points on a triangle mesh, for NumPy callers; the search itself is ``jiff.ops.mesh_distance``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class ClosestPoints:
    """Answers for N points.

    Attributes:
        distance: [N] to the surface, not negative.
        point: [N, 3] closest point on it.
        face: [N] index of the triangle it lies on.
    """

    distance: NDArray[np.float64]
    point: NDArray[np.float64]
    face: NDArray[np.int64]


def closest_points(points: ArrayLike, vertices: ArrayLike, faces: ArrayLike) -> ClosestPoints:
    """Return the closest point of a mesh to each of [N, 3] points, in float64.

    Args:
        points: [N, 3].
        vertices: [V, 3] in the same frame and unit.
        faces: [F, 3] indices.

    Raises:
        ValueError: there are no faces.
    """
    import torch

    from jiff.ops.mesh_distance import point_to_mesh_distance

    points = np.asarray(points, dtype=np.float64).reshape(-1, 3)
    vertices, faces = np.asarray(vertices, dtype=np.float64), np.asarray(faces, dtype=np.int64)
    found = point_to_mesh_distance(
        torch.from_numpy(np.ascontiguousarray(points)),
        torch.from_numpy(np.ascontiguousarray(vertices)),
        torch.from_numpy(np.ascontiguousarray(faces)),
    )
    face = found.face_index.numpy()
    nearest = np.einsum("nk,nkd->nd", found.barycentric.numpy(), vertices[faces[face]])
    return ClosestPoints(found.distance.numpy(), nearest, face)


class ClosestPointQuery:
    """One mesh, asked several times."""

    def __init__(self, vertices: ArrayLike, faces: ArrayLike) -> None:
        """Args: vertices: [V, 3], any unit; faces: [F, 3] indices."""
        self._vertices, self._faces = np.asarray(vertices), np.asarray(faces)

    def query(self, points: ArrayLike) -> ClosestPoints:
        """Return the closest points to [N, 3] points."""
        return closest_points(points, self._vertices, self._faces)
