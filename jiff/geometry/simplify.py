"""Fewer triangles by quadric edge collapse, the surface kept closed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from jiff.errors import MeshError
from jiff.geometry.mesh import Mesh

if TYPE_CHECKING:
    from numpy.typing import NDArray

_AGGRESSIVENESS = (7.0, 5.0, 3.0, 1.0)
"""How fast the error threshold grows; the lower, the slower and the more careful. The first that keeps it closed."""


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
    for aggressiveness in _AGGRESSIVENESS:
        found = fast_simplification.simplify(points, corners, target_count=triangles, agg=aggressiveness)
        result = _tidied(np.asarray(found[0], np.float64) + middle, np.asarray(found[1], np.int64))
        if len(result.faces) and (not closed or (is_watertight(result) and result.volume * mesh.volume > 0)):
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
