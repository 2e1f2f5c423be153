"""Labelled points carried along the line of sight with a body that stands elsewhere in depth than the true one.

One photo does not tell depth: a network that is held by a fitted body shall follow it, instead of learning that bodies
are misplaced by some centimetres and blurring everything by as much. In the picture's plane nothing is carried; there the
photo tells the truth.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from jiff.body.anny_body import load_anny_body
from jiff.body.fit.marks import SKIN_VERTICES
from jiff.geometry.closest import MeshBvh

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix

    from jiff.body.placed import PlacedBody

_STEP = 24
"""Every so many vertices of the skin is an anchor."""
_SIGMA_M = 0.06
"""Over this far at rest displacements are averaged: limbs and heads are carried, their shapes are not."""


@lru_cache(maxsize=1)
def _smoothing() -> tuple[csr_matrix, csr_matrix, NDArray[np.int64]]:
    """Return averaging onto anchors [A, V], spreading from them [V, A], and the skin's triangles [T, 3]."""
    from scipy.sparse import csr_matrix
    from scipy.spatial import cKDTree

    body = load_anny_body()
    rest = body.rest_vertices().astype(np.float64)[:SKIN_VERTICES]
    anchors = rest[::_STEP]
    pairs = cKDTree(anchors).sparse_distance_matrix(cKDTree(rest), 3 * _SIGMA_M, output_type="coo_matrix")
    weights = np.exp(-0.5 * (pairs.data / _SIGMA_M) ** 2)
    onto = csr_matrix((weights, (pairs.row, pairs.col)), shape=(len(anchors), len(rest)))
    spread = onto.T.tocsr()

    def rows_to_one(matrix: csr_matrix) -> csr_matrix:
        total = np.asarray(matrix.sum(axis=1)).ravel()
        return csr_matrix(matrix.multiply(1.0 / np.maximum(total, 1e-12)[:, None]))

    triangles = body.triangles[np.tile(body.quad_group == 0, 2)].astype(np.int64)
    return rows_to_one(onto), rows_to_one(spread), triangles


class DepthCarrier:
    """Moves points in depth as the skin nearest to them moves from a true body to a fitted one.

    Args:
        true: the body below the clothes.
        fitted: the same person's body as a fit has it.
        whole: move everything by what the body as a whole is off, limbs and all (ablation).
    """

    def __init__(self, true: PlacedBody, fitted: PlacedBody, *, whole: bool = False) -> None:
        body = load_anny_body()
        onto, spread, self._faces = _smoothing()
        self._skin = true.vertices_world(body)[:SKIN_VERTICES]
        moved = fitted.vertices_world(body)[:SKIN_VERTICES, 2] - self._skin[:, 2]
        self._depth = np.full(len(moved), moved.mean()) if whole else np.asarray(spread @ (onto @ moved))
        self._bvh = MeshBvh(self._skin, self._faces)

    def __call__(self, points_world: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return points [N, 3] carried along z."""
        found = self._bvh.closest(points_world)
        corners = self._faces[found.face]
        gap = np.linalg.norm(self._skin[corners] - found.point[:, None], axis=2)
        share = 1.0 / np.maximum(gap, 1e-3)
        share /= share.sum(axis=1, keepdims=True)
        carried = np.array(points_world, dtype=np.float64)
        carried[:, 2] += (self._depth[corners] * share).sum(axis=1)
        return carried
