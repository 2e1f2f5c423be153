"""Exact closest points on a triangle mesh, by a search tree of triangle centres that is widened until it is certain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

_SPLIT_ROUNDS = 24
_CANDIDATES_AT_ONCE = 2_000_000


@dataclass(frozen=True)
class ClosestPoints:
    """Answers for N points.

    Attributes:
        distance: [N] to the surface.
        point: [N, 3] closest point on it.
        face: [N] index of the triangle it lies on.
    """

    distance: NDArray[np.float64]
    point: NDArray[np.float64]
    face: NDArray[np.int64]


def closest_on_triangles(
    points: NDArray[np.float64], a: NDArray[np.float64], b: NDArray[np.float64], c: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the closest point [..., 3] of each triangle (a, b, c) to each point [..., 3].

    Ericson, Real-Time Collision Detection, section 5.1.5; works for triangles without area too.
    """
    ab, ac, ap = b - a, c - a, points - a
    d1, d2 = _dot(ab, ap), _dot(ac, ap)
    bp = points - b
    d3, d4 = _dot(ab, bp), _dot(ac, bp)
    cp = points - c
    d5, d6 = _dot(ab, cp), _dot(ac, cp)
    va, vb, vc = d3 * d6 - d5 * d4, d5 * d2 - d1 * d6, d1 * d4 - d3 * d2
    total = va + vb + vc
    safe = np.where(total > 0, total, 1.0)
    v, w = vb / safe, vc / safe

    def along(numerator: NDArray[np.float64], denominator: NDArray[np.float64]) -> NDArray[np.float64]:
        ratio = numerator / np.where(denominator > 0, denominator, 1.0)
        return np.clip(ratio, 0.0, 1.0)

    # Each later case overrules the ones before it.
    edge_bc = (va <= 0) & (d4 - d3 >= 0) & (d5 - d6 >= 0)
    t = along(d4 - d3, (d4 - d3) + (d5 - d6))
    v, w = np.where(edge_bc, 1.0 - t, v), np.where(edge_bc, t, w)
    edge_ac = (vb <= 0) & (d2 >= 0) & (d6 <= 0)
    v, w = np.where(edge_ac, 0.0, v), np.where(edge_ac, along(d2, d2 - d6), w)
    corner_c = (d6 >= 0) & (d5 <= d6)
    v, w = np.where(corner_c, 0.0, v), np.where(corner_c, 1.0, w)
    edge_ab = (vc <= 0) & (d1 >= 0) & (d3 <= 0)
    v, w = np.where(edge_ab, along(d1, d1 - d3), v), np.where(edge_ab, 0.0, w)
    corner_b = (d3 >= 0) & (d4 <= d3)
    v, w = np.where(corner_b, 1.0, v), np.where(corner_b, 0.0, w)
    corner_a = (d1 <= 0) & (d2 <= 0)
    v, w = np.where(corner_a, 0.0, v), np.where(corner_a, 0.0, w)
    return a + v[..., None] * ab + w[..., None] * ac


def _dot(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.einsum("...i,...i->...", a, b)


class ClosestPointQuery:
    """A mesh prepared for closest-point queries."""

    def __init__(self, vertices: ArrayLike, faces: ArrayLike) -> None:
        """Build the tree.

        Args:
            vertices: [V, 3], any unit.
            faces: [F, 3] indices.

        Raises:
            ValueError: there are no faces.
        """
        from scipy.spatial import cKDTree

        triangles = np.asarray(vertices, dtype=np.float64)[np.asarray(faces)]
        if len(triangles) == 0:
            raise ValueError("faces must hold at least one triangle; got none.")
        self._triangles, self._owner = _split_large(triangles)
        centers = self._triangles.mean(axis=1)
        self._radius = float(np.linalg.norm(self._triangles - centers[:, None], axis=2).max())
        self._tree = cKDTree(centers)

    def query(self, points: ArrayLike) -> ClosestPoints:
        """Return the exact closest points of [N, 3] points."""
        points = np.asarray(points, dtype=np.float64).reshape(-1, 3)
        count, pieces = len(points), len(self._triangles)
        best = np.full(count, np.inf)
        where, face = np.zeros((count, 3)), np.zeros(count, dtype=np.int64)
        todo = np.arange(count)
        neighbours = 8
        while len(todo):
            neighbours = min(neighbours, pieces)
            undecided = []
            step = max(1, _CANDIDATES_AT_ONCE // neighbours)
            for low in range(0, len(todo), step):
                part = todo[low : low + step]
                distance, index = self._tree.query(points[part], k=neighbours)
                distance, index = distance.reshape(len(part), -1), index.reshape(len(part), -1)
                a, b, c = np.moveaxis(self._triangles[index], 2, 0)
                near = closest_on_triangles(points[part, None], a, b, c)
                gap = np.linalg.norm(near - points[part, None], axis=2)
                pick = gap.argmin(axis=1)
                rows = np.arange(len(part))
                best[part], where[part] = gap[rows, pick], near[rows, pick]
                face[part] = self._owner[index[rows, pick]]
                # A triangle that was not looked at has its centre beyond the last one that was.
                undecided.append(part[best[part] > distance[:, -1] - self._radius])
            if neighbours == pieces:
                break
            todo = np.concatenate(undecided)
            neighbours *= 4
        return ClosestPoints(best, where, face)


def _split_large(triangles: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Halve triangles much longer than usual along their longest edge, so that one search radius suits all.

    Returns:
        [P, 3, 3] pieces whose union is the same surface, and [P] the triangle each came from.
    """
    owner = np.arange(len(triangles))
    lengths = np.linalg.norm(triangles - np.roll(triangles, -1, axis=1), axis=2)
    limit = max(3.0 * float(np.median(lengths.max(axis=1))), float(lengths.max()) / 32)
    for _ in range(_SPLIT_ROUNDS):
        lengths = np.linalg.norm(triangles - np.roll(triangles, -1, axis=1), axis=2)
        long = lengths.max(axis=1) > limit
        if not long.any():
            break
        # Turn each long triangle so that its longest edge comes first.
        order = (lengths[long].argmax(axis=1)[:, None] + np.arange(3)) % 3
        a, b, c = np.moveaxis(np.take_along_axis(triangles[long], order[..., None], axis=1), 1, 0)
        middle = (a + b) / 2
        halves = [np.stack([a, middle, c], axis=1), np.stack([middle, b, c], axis=1)]
        triangles = np.concatenate([triangles[~long], *halves])
        owner = np.concatenate([owner[~long], owner[long], owner[long]])
    return triangles, owner
