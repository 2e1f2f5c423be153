"""Exact closest points on a triangle mesh, through the bounding volume hierarchy (BVH) of libigl."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import igl
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


class MeshBvh:
    """One mesh, asked for its closest points as often as one likes.

    Args:
        vertices: [V, 3], any unit.
        faces: [F, 3] indices.

    Raises:
        ValueError: there are no faces.
    """

    def __init__(self, vertices: ArrayLike, faces: ArrayLike) -> None:
        self._vertices = np.ascontiguousarray(vertices, dtype=np.float64)
        self._faces = np.ascontiguousarray(faces, dtype=np.int64)
        if len(self._faces) == 0:
            raise ValueError("faces must hold at least one triangle; got none.")
        self._tree = igl.AABB()
        self._tree.init(self._vertices, self._faces)

    def closest(self, points: ArrayLike) -> ClosestPoints:
        """Return the closest points to [N, 3] points in the mesh's frame and unit, in float64."""
        points = np.ascontiguousarray(points, dtype=np.float64).reshape(-1, 3)
        if len(points) == 0:
            return ClosestPoints(np.zeros(0), np.zeros((0, 3)), np.zeros(0, np.int64))
        squared, face, point = self._tree.squared_distance(self._vertices, self._faces, points)[:3]
        return ClosestPoints(
            np.sqrt(np.asarray(squared, dtype=np.float64).ravel()),
            np.asarray(point, dtype=np.float64).reshape(-1, 3),
            np.asarray(face, dtype=np.int64).ravel(),
        )


def barycentric(points: NDArray[np.float64], corners: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return [N, 3] coordinates of points [N, 3] in their triangles [N, 3, 3]."""
    a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]
    u, v, w = b - a, c - a, points - a
    uu, uv, vv = (u * u).sum(1), (u * v).sum(1), (v * v).sum(1)
    wu, wv = (w * u).sum(1), (w * v).sum(1)
    det = np.maximum(uu * vv - uv * uv, 1e-30)
    second, third = (vv * wu - uv * wv) / det, (uu * wv - uv * wu) / det
    share = np.clip(np.stack([1 - second - third, second, third], axis=1), 0, 1)
    return np.asarray(share / share.sum(axis=1, keepdims=True))
