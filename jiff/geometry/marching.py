"""Marching cubes on a sparse list of cells, with vertices shared between cells.

The 256 cases are not written down but derived: on every face of the cube the inside corners are cut off one run at a
time, which depends on that face alone, so that two cells always agree on their common face and the surface has no
holes; the resulting loops are triangulated without diagonals inside a face of the cube, so that no edge is used by
more than two triangles. (Cases: Lorensen and Cline, SIGGRAPH 1987; ambiguous faces: Nielson and Hamann, 1991.)
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

CORNERS = np.array([[c & 1, (c >> 1) & 1, (c >> 2) & 1] for c in range(8)], dtype=np.int64)
"""Corner c of a cell stands at offset (c & 1, c >> 1 & 1, c >> 2 & 1) from its smallest node."""

MIN_FRACTION = 1e-4
"""Vertices keep this distance (in cells) from nodes, so that a value equal to the level collapses no triangle."""

_Loop = tuple[int, ...]


def _edges() -> list[tuple[int, int]]:
    """Return the 12 edges as (smaller corner, larger corner), four per axis."""
    return [(c, c | 1 << axis) for axis in range(3) for c in range(8) if not c >> axis & 1]


def _faces() -> list[list[int]]:
    """Return the corners of the 6 faces, counter-clockwise seen from outside."""
    faces = []
    for axis in range(3):
        u, v = 1 << (axis + 1) % 3, 1 << (axis + 2) % 3
        for side in (0, 1):
            base = side << axis
            ring = [base, base | u, base | u | v, base | v]
            faces.append(ring if side else ring[::-1])
    return faces


def _loops(case: int) -> list[_Loop]:
    """Return the closed loops of cut edges of one case, directed so that triangles face the outside."""
    edge_of = {frozenset(edge): index for index, edge in enumerate(_edges())}
    following: dict[int, int] = {}
    for face in _faces():
        inside = [case >> corner & 1 for corner in face]
        for start in range(4):
            if inside[start] or not inside[(start + 1) % 4]:
                continue
            end = start + 1
            while inside[(end + 1) % 4]:
                end += 1
            entry = edge_of[frozenset((face[start], face[(start + 1) % 4]))]
            leave = edge_of[frozenset((face[end % 4], face[(end + 1) % 4]))]
            following[entry] = leave
    loops = []
    while following:
        first = min(following)
        loop = [first]
        while (edge := following.pop(loop[-1])) != first:
            loop.append(edge)
        loops.append(tuple(loop))
    return loops


@functools.cache
def _triangulations(first: int, last: int) -> tuple[tuple[tuple[int, int, int], ...], ...]:
    """Return all triangulations of the polygon first..last."""
    if last - first < 2:
        return ((),)
    return tuple(
        left + right + ((first, middle, last),)
        for middle in range(first + 1, last)
        for left in _triangulations(first, middle)
        for right in _triangulations(middle, last)
    )


def _triangulate(loop: _Loop) -> list[tuple[int, int, int]]:
    """Return triangles of edges whose diagonals all run through the cell's inside."""
    edges, count = _edges(), len(loop)
    faces = [set(face) for face in _faces()]

    def in_face(i: int, j: int) -> bool:
        corners = set(edges[loop[i]]) | set(edges[loop[j]])
        return any(corners <= face for face in faces)

    for triangles in _triangulations(0, count - 1):
        sides = {pair for a, b, c in triangles for pair in ((a, b), (b, c), (a, c))}
        diagonals = [pair for pair in sides if pair[1] - pair[0] not in (1, count - 1)]
        if not any(in_face(*pair) for pair in diagonals):
            return [(loop[a], loop[b], loop[c]) for a, b, c in triangles]
    raise ValueError(f"loop {loop} has no triangulation through the inside of the cell")


@dataclass(frozen=True)
class CaseTable:
    """Triangles of the 256 cases (bit c set: corner c inside).

    Attributes:
        count: [256] number of triangles.
        triangles: [256, 5, 3] edges, padded with 0.
        edge_corners: [12, 2] smaller and larger corner of each edge.
        edge_axis: [12] direction of each edge.
    """

    count: NDArray[np.int64]
    triangles: NDArray[np.int64]
    edge_corners: NDArray[np.int64]
    edge_axis: NDArray[np.int64]


@functools.cache
def case_table() -> CaseTable:
    """Derive the table (once per process, about 20 ms)."""
    count = np.zeros(256, dtype=np.int64)
    triangles = np.zeros((256, 5, 3), dtype=np.int64)
    for case in range(1, 255):
        found = [triangle for loop in _loops(case) for triangle in _triangulate(loop)]
        count[case] = len(found)
        triangles[case, : len(found)] = found
    edges = np.array(_edges(), dtype=np.int64)
    return CaseTable(count, triangles, edges, np.repeat(np.arange(3), 4))


def marching_cubes(
    nodes: NDArray[np.int64], values: NDArray[np.floating], steps: NDArray[np.int64], level: float
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]:
    """Triangulate the level set in a list of distinct cells of a grid.

    Args:
        nodes: [C] key of each cell's smallest node; keys grow by ``steps[a]`` from node to node along axis a.
        values: [C, 8] field at the corners (order of ``CORNERS``); above ``level`` is inside.
        steps: [3] key steps of the x, y and z axis.
        level: value of the surface.

    Returns:
        base [V] key of the node at the smaller end of each vertex's edge, axis [V] of that edge, fraction [V] of
        the way along it, and faces [F, 3] that face the outside.
    """
    table = case_table()
    inside = values > level
    case = inside @ (1 << np.arange(8))
    active = np.flatnonzero(table.count[case])
    per_cell = table.count[case[active]]
    owner = np.repeat(active, per_cell)
    rank = np.arange(len(owner)) - np.repeat(np.cumsum(per_cell) - per_cell, per_cell)
    local = table.triangles[case[owner], rank]
    corner_steps = CORNERS @ steps
    keys = (nodes[owner][:, None] + corner_steps[table.edge_corners[local, 0]]) * 3 + table.edge_axis[local]
    unique, first, faces = np.unique(keys.ravel(), return_index=True, return_inverse=True)
    cell, edge = owner[first // 3], local.ravel()[first]
    start = values[cell, table.edge_corners[edge, 0]].astype(np.float64)
    end = values[cell, table.edge_corners[edge, 1]].astype(np.float64)
    fraction = np.clip((level - start) / (end - start), MIN_FRACTION, 1.0 - MIN_FRACTION)
    base, axis = np.divmod(unique, 3)
    return base, axis, fraction, faces.reshape(-1, 3).astype(np.int64)
