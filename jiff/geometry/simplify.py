"""Fewer triangles by quadric edge collapse, the surface kept closed."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from jiff.base.errors import MeshError
from jiff.geometry.components import fill_holes
from jiff.geometry.mesh import Mesh

if TYPE_CHECKING:
    from numpy.typing import NDArray

_AGGRESSIVENESS = (7.0, 6.0, 5.0, 4.0)
"""How fast the error threshold grows; the lower, the more careful. The first that keeps the surface closed is taken."""

_SHARES = (1.0, 0.97, 0.93)
"""Of the wanted triangles; a few collapses more can undo what made the surface touch itself."""

_EXCESS = 1.1
"""Careful collapses may stop early; so many times the wanted triangles will do."""

_NUDGE = 0.02
"""How far the sides of a pinched edge are moved apart, as a share of the way to their neighbours."""


def is_watertight(mesh: Mesh) -> bool:
    """Return whether every edge has exactly two triangles, which run along it in opposite directions."""
    if len(mesh.faces) == 0:
        return False
    edges = mesh.faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
    count = np.int64(len(mesh.vertices))
    keys = np.sort(edges[:, 0] * count + edges[:, 1])
    if (keys[1:] == keys[:-1]).any():
        return False
    return bool(np.array_equal(keys, np.sort(edges[:, 1] * count + edges[:, 0])))


def decimate(mesh: Mesh, triangles: int) -> Mesh:
    """Return the surface with about ``triangles`` triangles; positions only, colours have to be asked for again.

    Garland and Heckbert, "Surface Simplification Using Quadric Error Metrics" (SIGGRAPH 1997), in the variant of
    the package fast-simplification. A closed mesh stays closed and its volume positive.

    Args:
        mesh: any unit; one that has fewer triangles already is returned as it is.
        triangles: how many are wanted.

    Raises:
        MeshError: a closed mesh cannot be brought down so far and stay closed.
    """
    if len(mesh.faces) <= triangles:
        return mesh
    import fast_simplification

    closed = is_watertight(mesh)
    # The collapse works in single precision: the middle of the mesh is moved to the origin.
    middle = mesh.bounds.mean(axis=0)
    points = np.ascontiguousarray(mesh.vertices - middle, dtype=np.float32)
    corners = np.ascontiguousarray(mesh.faces, dtype=np.int32)
    for share, aggressiveness in product(_SHARES, _AGGRESSIVENESS):
        found = fast_simplification.simplify(
            points, corners, target_count=round(share * triangles), agg=aggressiveness
        )
        result = _tidied(np.asarray(found[0], np.float64) + middle, np.asarray(found[1], np.int64))
        if not 0 < len(result.faces) <= _EXCESS * triangles:
            continue
        if not closed:
            return result
        # Sides that pair differently at the two ends of a pinched edge leave a slit of four edges.
        result = fill_holes(_unpinched(result), max_edges=8)
        if is_watertight(result) and result.volume * mesh.volume > 0:
            return result
    raise MeshError(
        f"{triangles} triangles are too few for a closed surface of {len(mesh.faces)}; ask for more."
    )


def _tidied(vertices: NDArray[np.float64], faces: NDArray[np.int64]) -> Mesh:
    """Return the mesh without flattened triangles and pairs that lie on each other, and without unused vertices."""
    a, b, c = faces.T
    faces = faces[(a != b) & (b != c) & (c != a)]
    while len(faces):
        _, group, count = np.unique(np.sort(faces, axis=1), axis=0, return_inverse=True, return_counts=True)
        single = count[group.ravel()] == 1
        if single.all():
            break
        faces = faces[single]
    used, index = np.unique(faces, return_inverse=True)
    return Mesh(vertices[used], index.reshape(-1, 3).astype(np.int64))


def _unpinched(mesh: Mesh) -> Mesh:
    """Return the mesh with its sides parted where a collapse has joined them along an edge of four triangles."""
    faces = mesh.faces.copy()
    edges = np.sort(faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
    unique, count = np.unique(edges, axis=0, return_counts=True)
    if count.max() <= 2:
        return mesh
    pinched = {(int(a), int(b)) for a, b in unique[count > 2]}
    vertices = [mesh.vertices]
    total = len(mesh.vertices)
    for vertex in np.unique(unique[count > 2]):
        around = np.flatnonzero((mesh.faces == vertex).any(axis=1))
        for fan in _fans(mesh.faces[around], int(vertex), pinched):
            chosen = around[fan]
            others = np.unique(mesh.faces[chosen])
            center = mesh.vertices[others[others != vertex]].mean(axis=0)
            place = mesh.vertices[vertex] + _NUDGE * (center - mesh.vertices[vertex])
            vertices.append(place[None])
            faces[chosen] = np.where(mesh.faces[chosen] == vertex, total, faces[chosen])
            total += 1
    return _tidied(np.concatenate(vertices), faces)


def _fans(faces: NDArray[np.int64], vertex: int, pinched: set[tuple[int, int]]) -> list[list[int]]:
    """Return the rows of triangles around a vertex, parted at pinched edges."""
    rows_at: dict[int, list[int]] = {}
    for row, face in enumerate(faces.tolist()):
        for other in face:
            if other != vertex and (min(vertex, other), max(vertex, other)) not in pinched:
                rows_at.setdefault(other, []).append(row)
    fan = list(range(len(faces)))
    for rows in rows_at.values():
        for row in rows[1:]:
            old, new = fan[row], fan[rows[0]]
            fan = [new if label == old else label for label in fan]
    return [[row for row, label in enumerate(fan) if label == chosen] for chosen in sorted(set(fan))]
