"""Smoothing of a part of a mesh without shrinking it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from jiff.geometry.refine import unique_edges

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jiff.geometry.mesh import Mesh

_INWARD, _OUTWARD = 0.5, -0.53


def taubin_smoothed(mesh: Mesh, weight: NDArray[np.floating], steps: int) -> Mesh:
    """Return the mesh with vertices moved towards the mean of their neighbours and back, by turns (Taubin, SIGGRAPH 1995).

    Args:
        mesh: any unit.
        weight: [V] in [0, 1] how much each vertex takes part; 0 keeps it where it is.
        steps: pairs of moves; waves of some edges' length are gone after ten.
    """
    from scipy.sparse import csr_matrix

    moving = np.asarray(weight, np.float64)[:, None]
    count = len(mesh.vertices)
    if steps == 0 or not (moving > 0).any():
        return mesh
    edges = unique_edges(mesh.faces, count)[0]
    rows, columns = np.concatenate([edges, edges[:, ::-1]]).T
    around = csr_matrix((np.ones(len(rows)), (rows, columns)), shape=(count, count))
    share = 1.0 / np.maximum(np.asarray(around.sum(axis=1)), 1.0)
    vertices = mesh.vertices.astype(np.float64)
    for _ in range(steps):
        for factor in (_INWARD, _OUTWARD):
            vertices = vertices + factor * moving * ((around @ vertices) * share - vertices)
    return replace(mesh, vertices=vertices)
