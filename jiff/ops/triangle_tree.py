"""Exact nearest triangle of many points: a box tree that is walked level by level for all points at once."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from torch import Tensor

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

_LEAF_SIZE = 4
_FIRST_LEVEL = 3
_POINTS_PER_CHUNK = 8192
# A bound may come out larger than the distance it bounds by rounding alone.
_SLACK = 1.0 + 1e-9


def closest_barycentric(points: Tensor, corners: Tensor) -> Tensor:
    """Return the barycentric coordinates of the point of each triangle that is nearest to each point.

    Degenerate triangles (segments, points) are allowed.

    Args:
        points: [..., 3].
        corners: [..., 3 corners, 3].

    Returns:
        [..., 3], each in [0, 1], adding up to 1.
    """
    a, b, c = corners.unbind(-2)
    ab, ac, bc = b - a, c - a, c - b
    ap, bp = points - a, points - b

    def along(edge: Tensor, start: Tensor) -> tuple[Tensor, Tensor]:
        length = edge.square().sum(-1)
        t = ((edge * start).sum(-1) / torch.where(length > 0, length, 1.0)).clamp(0, 1)
        return t, (start - t[..., None] * edge).square().sum(-1)

    (t_ab, to_ab), (t_ac, to_ac), (t_bc, to_bc) = along(ab, ap), along(ac, ap), along(bc, bp)
    zero = torch.zeros_like(t_ab)
    weights = torch.stack((1 - t_ab, t_ab, zero), dim=-1)
    weights = torch.where((to_ac < to_ab)[..., None], torch.stack((1 - t_ac, zero, t_ac), dim=-1), weights)
    nearer = to_bc < torch.minimum(to_ab, to_ac)
    weights = torch.where(nearer[..., None], torch.stack((zero, 1 - t_bc, t_bc), dim=-1), weights)
    # Above the triangle's inside the foot of the perpendicular is nearer than any edge.
    aa, cc, mixed = ab.square().sum(-1), ac.square().sum(-1), (ab * ac).sum(-1)
    d1, d2 = (ab * ap).sum(-1), (ac * ap).sum(-1)
    area = aa * cc - mixed.square()
    v, w = cc * d1 - mixed * d2, aa * d2 - mixed * d1
    inside = (v > 0) & (w > 0) & (v + w < area)
    area = torch.where(inside, area, 1.0)
    v, w = v / area, w / area
    return torch.where(inside[..., None], torch.stack((1 - v - w, v, w), dim=-1), weights)


class TriangleTree:
    """Complete binary tree of boxes over triangles, split at the median of the widest axis.

    Args:
        corners: [F, 3 corners, 3].
    """

    def __init__(self, corners: Floats) -> None:
        self.corners = corners
        self.centers = corners.mean(axis=1)
        self.radii = np.linalg.norm(corners - self.centers[:, None], axis=2).max(axis=1)
        normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        length = np.linalg.norm(normals, axis=1, keepdims=True)
        # A degenerate triangle has no plane; a zero normal makes its disc a ball, which still holds it.
        self.normals = np.divide(normals, length, out=np.zeros_like(normals), where=length > 0)
        self.center_tree = cKDTree(self.centers)
        count = len(corners)
        self.levels = max(0, math.ceil(math.log2(max(1.0, count / _LEAF_SIZE))))
        leaves = 2**self.levels
        padded = math.ceil(count / leaves) * leaves
        order: Indices = np.minimum(np.arange(padded), count - 1)[None]
        for level in range(self.levels):
            centers = self.centers[order]
            axis = np.argmax(centers.max(axis=1) - centers.min(axis=1), axis=1)
            key = np.take_along_axis(centers, axis[:, None, None], axis=2)[..., 0]
            order = np.take_along_axis(order, np.argsort(key, axis=1), axis=1).reshape(2 ** (level + 1), -1)
        self.leaf_triangles = order
        low, high = corners.min(axis=1)[order].min(axis=1), corners.max(axis=1)[order].max(axis=1)
        # Per level: [3, nodes], one contiguous row per axis.
        self.low, self.high = [low.T.copy()], [high.T.copy()]
        for _ in range(self.levels):
            low, high = low.reshape(-1, 2, 3).min(axis=1), high.reshape(-1, 2, 3).max(axis=1)
            self.low.insert(0, low.T.copy())
            self.high.insert(0, high.T.copy())

    def nearest(self, points: Floats) -> Indices:
        """Return the index of the triangle nearest to each point [P, 3]: int64 [P]."""
        parts = [
            self._nearest_of_chunk(points[start : start + _POINTS_PER_CHUNK])
            for start in range(0, len(points), _POINTS_PER_CHUNK)
        ]
        return np.concatenate(parts) if parts else np.zeros(0, np.int64)

    def _nearest_of_chunk(self, points: Floats) -> Indices:
        face = np.asarray(self.center_tree.query(points)[1], dtype=np.int64)
        best = self._distance(points, face)
        rows, leaves = self._leaves_within(points, best)
        faces = self.leaf_triangles[leaves]
        rows = np.repeat(rows, faces.shape[1])
        rows, faces = self._discs_within(points, best, rows, faces.ravel())
        distance = self._distance(points[rows], faces)
        # Last come the nearest, so that they stay where several triangles are written for one point.
        order = np.argsort(-distance, kind="stable")
        order = order[distance[order] < best[rows[order]]]
        face[rows[order]] = faces[order]
        return face

    def _distance(self, points: Floats, faces: Indices) -> Floats:
        corners = torch.from_numpy(self.corners[faces])
        offset = torch.from_numpy(points)
        nearest = (closest_barycentric(offset, corners)[..., None] * corners).sum(dim=-2)
        return torch.linalg.vector_norm(offset - nearest, dim=-1).numpy()

    def _leaves_within(self, points: Floats, reach: Floats) -> tuple[Indices, Indices]:
        """Return pairs of a point and a leaf whose box is no farther from it than ``reach`` [P]."""
        coordinates = [points[:, axis].copy() for axis in range(3)]
        limit = reach**2 * _SLACK
        start = min(_FIRST_LEVEL, self.levels)
        nodes = np.tile(np.arange(2**start), len(points))
        rows = np.repeat(np.arange(len(points)), 2**start)
        for level in range(start, self.levels + 1):
            if level > start:
                nodes = (2 * nodes[:, None] + np.arange(2)).ravel()
                rows = np.repeat(rows, 2)
            squared = np.zeros(len(rows))
            for values, low, high in zip(coordinates, self.low[level], self.high[level]):
                x = values[rows]
                beyond = np.maximum(np.maximum(low[nodes] - x, x - high[nodes]), 0.0)
                squared += beyond * beyond
            near = squared <= limit[rows]
            rows, nodes = rows[near], nodes[near]
        return rows, nodes

    def _discs_within(
        self, points: Floats, reach: Floats, rows: Indices, faces: Indices
    ) -> tuple[Indices, Indices]:
        """Keep pairs of a point and a triangle whose disc is no farther than ``reach``.

        A triangle lies within the disc about its centre, in its plane, that reaches its farthest corner. The distance
        to that disc bounds the triangle's from below and costs a fraction of it.
        """
        offset = points[rows] - self.centers[faces]
        height = np.einsum("pi,pi->p", offset, self.normals[faces]) ** 2
        along = np.sqrt(np.maximum(np.einsum("pi,pi->p", offset, offset) - height, 0.0)) - self.radii[faces]
        bound = height + np.maximum(along, 0.0) ** 2
        near = bound <= reach[rows] ** 2 * _SLACK
        return rows[near], faces[near]
