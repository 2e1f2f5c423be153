"""Mend what turned over when a surface was carried to another pose: creases of elbows, cloth between fingers."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from jiff.geometry.adjacency import adjacency, largest_around

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jiff.geometry.mesh import Mesh

_TURNED = 0.3
"""Cosine between a face and the normal that it should have, below which it is not believed."""
_SHARE = 0.3
_ROUNDS, _STEPS = 3, 8


def turned_over(mesh: Mesh, normals: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return [F] which faces do not face as [V, 3] normals at their corners do."""
    cross = mesh.face_cross()
    wanted = normals[mesh.faces].sum(axis=1)
    size = np.linalg.norm(cross, axis=1) * np.linalg.norm(wanted, axis=1)
    return np.asarray(np.einsum("fi,fi->f", cross, wanted) < _TURNED * np.maximum(size, 1e-12))


def mended(before: Mesh, after: Mesh) -> NDArray[np.float64]:
    """Return [V, 3] vertices of a carried surface, smoothed where its faces turned over, elsewhere as they are.

    Args:
        before: the surface where it came from, with its normals; what is folded there may stay so.
        after: where it was carried, with the normals that it should have there.
    """
    faces, places = after.faces, after.vertices.copy()
    folded = turned_over(before, before.vertex_normals())
    around = adjacency(faces, len(places))
    number = np.diff(around.indptr)[:, None]
    for _ in range(_ROUNDS):
        turned = turned_over(replace(after, vertices=places), after.vertex_normals()) & ~folded
        # By area: slivers face anywhere.
        area = np.linalg.norm(replace(after, vertices=places).face_cross(), axis=1)
        whole, wrong = (
            np.bincount(faces.ravel(), np.repeat(part, 3), minlength=len(places))
            for part in (area, area * turned)
        )
        touched = (wrong > _SHARE * whole).astype(np.float64)
        if not touched.any():
            break
        region = np.flatnonzero(largest_around(around, touched) > 0)
        rows = around[region]
        for _ in range(_STEPS):
            places[region] = (rows @ places) / number[region]
    return places
