"""Polygons into triangles: a fan where it is right, ear clipping where a polygon is concave."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def clip_concave(
    positions: NDArray[np.float64],
    rows: NDArray[np.int64],
    counts: NDArray[np.int64],
    corner: NDArray[np.int64],
    polygon: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Return the fan ``corner`` with the triangles of concave polygons replaced, their number and order of polygons kept.

    Args:
        positions: [V, 3].
        rows: [C] row of ``positions`` of each corner of the polygons laid end to end.
        counts: [P] corners of each polygon.
        corner: [F, 3] numbers of corners, polygons as fans.
        polygon: [F] of each triangle.
    """
    many = counts[polygon] > 3
    if not many.any():
        return corner
    a, b, c = (positions[rows[corner[many, k]]] for k in range(3))
    cross = np.cross(b - a, c - a)
    # Newell's normal is the sum of the fan's: a triangle against it lies outside a concave polygon.
    owner = polygon[many]
    total = np.stack([np.bincount(owner, cross[:, k], minlength=len(counts)) for k in range(3)], axis=1)
    length = np.einsum("ij,ij->i", total, total)
    against = np.einsum("ij,ij->i", cross, total[owner]) < -1e-6 * length[owner]
    concave = np.unique(owner[against])
    if len(concave) == 0:
        return corner
    corner = corner.copy()
    offsets = np.cumsum(counts) - counts
    first = np.searchsorted(polygon, concave)
    for number, begin in zip(concave.tolist(), first.tolist()):
        count = int(counts[number])
        ring = positions[rows[offsets[number] : offsets[number] + count]]
        triangles = _ears(ring, total[number])
        if triangles is not None:
            corner[begin : begin + count - 2] = triangles + offsets[number]
    return corner


def _ears(ring: NDArray[np.float64], normal: NDArray[np.float64]) -> NDArray[np.int64] | None:
    """Return [N - 2, 3] triangles of a polygon [N, 3]; None where it cannot be cut (it crosses itself)."""
    import mapbox_earcut

    # The square of a tiny polygon's normal is nothing.
    normal = normal / np.abs(normal).max()
    normal /= np.linalg.norm(normal)
    along = np.eye(3)[int(np.argmin(np.abs(normal)))]
    right = np.cross(along, normal)
    right /= np.linalg.norm(right)
    flat = np.stack([ring @ right, ring @ np.cross(normal, right)], axis=1)
    index = mapbox_earcut.triangulate_float64(np.ascontiguousarray(flat), np.array([len(ring)], np.uint32))
    triangles = np.asarray(index, np.int64).reshape(-1, 3)
    if len(triangles) != len(ring) - 2:
        return None
    a, b, c = (flat[triangles[:, k]] for k in range(3))
    area = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
    triangles[area < 0] = triangles[area < 0][:, ::-1]
    return triangles
