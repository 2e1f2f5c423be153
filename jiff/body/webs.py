"""Webs: where a reconstruction ran a limb and another part together, they are cut apart and closed again.

Left whole, such a web is a wing under the arm as soon as it is raised. It is known by what lies below the surface: at its
middle the nearest skin jumps from the limb to another part that is far away once the limbs are apart.
"""

from __future__ import annotations

import heapq
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse.csgraph import connected_components

from jiff.body.rig_bones import RIG_BONES, RigBone
from jiff.body.skeleton import JOINTS, JointPose, bone_rotations
from jiff.geometry.adjacency import adjacency, largest_around

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jiff.body.anny_body import AnnyBody
    from jiff.body.binding import NearSkin
    from jiff.geometry.mesh import Mesh

_JUMP_CM = 8.0
"""Cloth round the armpit jumps by less: the skin below it runs on."""
_SHORTEST_CM, _BRIDGE_CM = 5.0, 20.0
_FARTHEST_CM = 7.0
"""A surface farther from the skin is a cape or a wide coat: whole cloth, not a web."""

_WIDTH_CM = 2.4
"""Over this the border and the jumps are smoothed, so that a cut is one slit."""

_MOST_RINGS, _NEVER = 8, 1e9
_FRINGE_RINGS = 4
"""Neighbours of neighbours of a cut that hang on their own side's bones alone."""

_LEGS_FARTHEST_CM = 3.0
"""Between the legs only what is tight is a web: a skirt is whole cloth too."""


def _part(bone: RigBone) -> int:
    """Return 0 for the trunk and the head, 1 and 2 for the arms, 3 and 4 for the legs."""
    if bone.name.endswith("Shoulder") or bone.group == "trunk":
        return 0
    return (1 if bone.group.startswith("arm") else 3) + bone.name.startswith("Right")


_PARTS = np.array([_part(bone) for bone in RIG_BONES])
_LEFT_LEG = 3


def limbs_apart(body: AnnyBody, rest: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return [19158, 3] vertices, metres, with arms out and legs apart."""
    pose = JointPose.rest()
    for name, turn in (("upperarm.L", 0.6), ("upperarm.R", -0.6), ("upperleg.L", 0.5), ("upperleg.R", -0.5)):
        pose.turns[JOINTS.index(name), 2] = turn
    return body.pose(rest, bone_rotations(pose)).astype(np.float64)


def find_webs(
    places_cm: NDArray[np.float64], faces: NDArray[np.int64], near: NearSkin, apart_m: NDArray[np.float64]
) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Return [F] which faces join a limb to what is far from it once limbs are apart, and [N] the part of each point.

    Args:
        places_cm: [N, 3] vertices of the surface.
        faces: [F, 3] of it.
        near: the skin below its vertices, in weights of ``RIG_BONES``.
        apart_m: [19158, 3] from ``limbs_apart``.
    """
    count = len(near.vertex)
    around = adjacency(faces, count)
    number = np.diff(around.indptr)
    of_part = np.eye(_PARTS.max() + 1)[_PARTS[: near.weights.shape[1]]]
    share = near.weights.astype(np.float64) @ of_part
    edge = np.linalg.norm(places_cm[faces[:, 0]] - places_cm[faces[:, 1]], axis=1)
    rings = int(np.clip(round(_WIDTH_CM / max(float(np.median(edge)), 1e-6)), 1, _MOST_RINGS))
    for _ in range(rings):
        # The border between limb and trunk becomes one line without islands.
        share = (around @ share) / number[:, None]
    part = share.argmax(axis=1)
    place = apart_m[near.vertex]
    step = np.linalg.norm(place[np.repeat(np.arange(count), number)] - place[around.indices], axis=1) * 100.0
    jump = np.maximum.reduceat(step, around.indptr[:-1])
    for _ in range(rings):
        jump = largest_around(around, jump)
    low, high = part[faces].min(axis=1), part[faces].max(axis=1)
    arms = (low != high) & ((low == 1) | (low == 2) | (high == 1) | (high == 2))
    legs = (low == _LEFT_LEG) & (high > _LEFT_LEG)
    distance = near.distance_cm[faces].max(axis=1)
    close = np.where(legs, distance < _LEGS_FARTHEST_CM, distance < _FARTHEST_CM)
    web = (arms | legs) & close & (jump[faces].max(axis=1) > _JUMP_CM)
    return _true_ones(places_cm, faces, web, jump), part


def _true_ones(
    places_cm: NDArray[np.float64],
    faces: NDArray[np.int64],
    web: NDArray[np.bool_],
    jump: NDArray[np.float64],
) -> NDArray[np.bool_]:
    """Return [F] of the web only what hangs together over some length, or bridges what is far apart."""
    used, inverse = np.unique(faces[web], return_inverse=True)
    if len(used) == 0:
        return web
    piece = connected_components(adjacency(inverse.reshape(-1, 3), len(used)), directed=False)[1]
    order = np.argsort(piece, kind="stable")
    first = np.searchsorted(piece[order], np.arange(piece.max() + 1))
    sorted_places = places_cm[used[order]]
    size = np.maximum.reduceat(sorted_places, first) - np.minimum.reduceat(sorted_places, first)
    kept = web.copy()
    wide = np.maximum.reduceat(jump[used[order]], first)
    true = (np.linalg.norm(size, axis=1) > _SHORTEST_CM) | (wide > _BRIDGE_CM)
    kept[web] = true[piece[inverse.reshape(-1, 3)[:, 0]]]
    return kept


def sided(
    near: NearSkin, faces: NDArray[np.int64], web: NDArray[np.bool_], part: NDArray[np.int64]
) -> NearSkin:
    """Return the skin below with weights of one side alone along a cut, so that no fringe follows the other.

    Args:
        near: the skin below.
        faces: [F, 3] of the surface.
        web: [F] faces to take out.
        part: [N] of each point.
    """
    around = adjacency(faces[~web], len(part))
    beside = np.zeros(len(part))
    beside[faces[web]] = 1.0
    for _ in range(_FRINGE_RINGS):
        beside = largest_around(around, beside)
    region = np.flatnonzero(beside > 0)
    # Of other sides nothing; what then has no bones takes its neighbours'.
    allowed = part[region, None] == _PARTS[None, : near.weights.shape[1]]
    own = near.weights.copy()
    own[region] *= allowed
    rows = around[region]
    for _ in range(_FRINGE_RINGS):
        own[region] = rows @ own
        total = own[region].sum(axis=1, keepdims=True)
        own[region] = np.where(total > 1e-3, own[region] / np.maximum(total, 1e-3), near.weights[region])
        own[region] *= allowed
    total = own[region].sum(axis=1, keepdims=True)
    own[region] = np.where(total > 1e-3, own[region] / np.maximum(total, 1e-3), near.weights[region])
    return near._replace(weights=own)


def cut_and_close(
    mesh: Mesh, web: NDArray[np.bool_], part: NDArray[np.int64], places: NDArray[np.float64]
) -> tuple[Mesh, NDArray[np.int64]]:
    """Return the mesh without its web, the holes closed, and [V'] which vertex each kept one was.

    Args:
        mesh: the surface.
        web: [F] faces to take out.
        part: [V] of each vertex.
        places: [V, 3] vertices in a pose in which the parts are apart; by it the holes are closed.
    """
    kept = mesh.faces[~web]
    rings = _loops(_opened(mesh.faces, web))
    taken = _edges_among(kept, {k for ring in rings for k in ring})
    lids = [lid for ring in rings for lid in _lids(ring, part, places, taken)]
    faces = np.concatenate([kept, np.array(lids, np.int64).reshape(-1, 3)])
    used, inverse = np.unique(faces, return_inverse=True)
    faces_uv = None
    if mesh.faces_uv is not None:
        corner = np.zeros(len(mesh.vertices), np.int64)
        corner[kept.ravel()] = mesh.faces_uv[~web].ravel()
        # A lid's corners lie in different charts: one texel for each lid.
        flat = (
            np.repeat(corner[[lid[0] for lid in lids]][:, None], 3, axis=1)
            if lids
            else np.zeros((0, 3), np.int64)
        )
        faces_uv = np.concatenate([mesh.faces_uv[~web], flat])
    cut = replace(
        mesh,
        vertices=mesh.vertices[used],
        faces=inverse.reshape(-1, 3).astype(np.int64),
        faces_uv=faces_uv,
        normals=None if mesh.normals is None else mesh.normals[used],
        colors=None if mesh.colors is None else mesh.colors[used],
    )
    return cut, used


def _opened(faces: NDArray[np.int64], web: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return the directed edges of kept faces that lose the face on their other side."""
    size = np.int64(faces.max()) + 1

    def keys(chosen: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.concatenate([chosen[:, k] * size + chosen[:, (k + 1) % 3] for k in range(3)])

    gone = keys(faces[web])
    lost = np.unique(gone % size * size + gone // size)
    kept = keys(faces[~web])
    return [(int(key // size), int(key % size)) for key in kept[np.isin(kept, lost)]]


def _loops(edges: list[tuple[int, int]]) -> list[list[int]]:
    """Return rings of vertices against the edges, so that a lid over them faces as its surroundings do."""
    following: dict[int, list[int]] = {}
    for start, end in edges:
        following.setdefault(end, []).append(start)
    rings = []
    while following:
        ring: list[int] = []
        at = next(iter(following))
        while at in following:
            if at in ring:
                # A vertex where two rings touch: what ran back to it is one of them.
                first = ring.index(at)
                rings.append(ring[first:])
                del ring[first:]
            ring.append(at)
            ends = following[at]
            after = ends.pop()
            if not ends:
                del following[at]
            at = after
        if at in ring:
            rings.append(ring[ring.index(at) :])
    return [ring for ring in rings if len(ring) >= 3]


def _lids(
    ring: list[int], part: NDArray[np.int64], places: NDArray[np.float64], taken: set[tuple[int, int]]
) -> list[tuple[int, int, int]]:
    """Return triangles over a ring: each part's side by itself, then the gap between their ends."""
    count = len(ring)
    starts = [k for k in range(count) if part[ring[k]] != part[ring[k - 1]]]
    after = [*starts[1:], starts[0] + count] if starts else []
    chords = [
        _edge(ring[start], ring[(end - 1) % count]) for start, end in zip(starts, after) if end - start > 2
    ]
    if not starts or taken.intersection(chords):
        return _closed(ring, places, taken)
    lids: list[tuple[int, int, int]] = []
    ends: list[int] = []
    for start, end in zip(starts, after):
        side = [ring[k % count] for k in range(start, end)]
        lids += _closed(side, places, taken)
        ends += side[:1] if len(side) == 1 else [side[0], side[-1]]
    return lids + _closed(ends, places, taken)


def _edge(a: int, b: int) -> tuple[int, int]:
    return (a, b) if a < b else (b, a)


def _edges_among(faces: NDArray[np.int64], chosen: set[int]) -> set[tuple[int, int]]:
    """Return the edges of faces both of whose ends are among the chosen vertices."""
    among = np.zeros(int(faces.max()) + 1, bool)
    among[list(chosen)] = True
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    return {_edge(int(a), int(b)) for a, b in edges[among[edges].all(axis=1)]}


def _closed(
    ring: list[int], places: NDArray[np.float64], taken: set[tuple[int, int]]
) -> list[tuple[int, int, int]]:
    """Return triangles over a ring: ears are cut, the one with the shortest new edge first, which zips long slits up.

    Edges that are ``taken`` are avoided, new ones are added to them: an edge has two faces and no more.
    """
    count = len(ring)
    left, right = [(k - 1) % count for k in range(count)], [(k + 1) % count for k in range(count)]
    alive, version = [True] * count, [0] * count

    def cost(k: int) -> float:
        a, b = ring[left[k]], ring[right[k]]
        return float(np.linalg.norm(places[a] - places[b])) + (_NEVER if _edge(a, b) in taken else 0.0)

    queue = [(cost(k), k, 0) for k in range(count)]
    heapq.heapify(queue)
    lids: list[tuple[int, int, int]] = []
    remaining = count
    while remaining >= 3:
        before_cost, k, stamp = heapq.heappop(queue)
        if not alive[k] or stamp != version[k]:
            continue
        if remaining > 3 and before_cost < _NEVER <= cost(k):
            # Taken since it was reckoned.
            heapq.heappush(queue, (cost(k), k, stamp))
            continue
        before, after = left[k], right[k]
        lids.append((ring[before], ring[k], ring[after]))
        taken.add(_edge(ring[before], ring[after]))
        alive[k] = False
        right[before], left[after] = after, before
        remaining -= 1
        for other in (before, after):
            version[other] += 1
            heapq.heappush(queue, (cost(other), other, version[other]))
    return lids
