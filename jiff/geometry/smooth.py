"""Smoothing of a part of a mesh without shrinking it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from jiff.geometry.adjacency import averaging
from jiff.geometry.refine import unique_edges

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix

    from jiff.geometry.mesh import Mesh

_INWARD, _OUTWARD = 0.5, -0.53
_RINGS = 2
"""Rings of triangles around specks that are smoothed with them."""


def taubin_smoothed(mesh: Mesh, weight: NDArray[np.floating], steps: int, rings: int = 0) -> Mesh:
    """Return the mesh with vertices moved towards the mean of their neighbours and back, by turns (Taubin, SIGGRAPH 1995).

    Args:
        mesh: any unit.
        weight: [V] in [0, 1] how much each vertex takes part; 0 keeps it where it is.
        steps: pairs of moves; waves of some edges' length are gone after ten.
        rings: of triangles over which weights are averaged first; those that differ between neighbours tear folds.
    """
    moving = np.asarray(weight, np.float64)
    if steps == 0 or not (moving > 0).any():
        return mesh
    mean = _neighbours(mesh)
    for _ in range(rings):
        moving = mean @ moving
    return replace(mesh, vertices=_moved(mesh.vertices, mean, moving, steps))


def without_specks(mesh: Mesh, weight: NDArray[np.floating], steps: int, rough: tuple[float, float]) -> Mesh:
    """Return the mesh with folds and specks smoothed and all that smoothing would hardly move left as it is.

    Args:
        mesh: any unit.
        weight: [V] in [0, 1] how much each vertex takes part.
        steps: as of ``taubin_smoothed``.
        rough: by how much smoothing moves a vertex that is left alone, and one that is wholly smoothed; the mesh's unit.
    """
    if not (np.asarray(weight) > 0).any():
        return mesh
    low, high = rough
    mean = _neighbours(mesh)
    moved = np.linalg.norm(_moved(mesh.vertices, mean, weight, steps) - mesh.vertices, axis=1)
    share = np.clip((moved - low) / (high - low), 0, 1)
    for _ in range(_RINGS):
        share = np.maximum(share, np.clip(2 * (mean @ share), 0, 1))
    return replace(mesh, vertices=_moved(mesh.vertices, mean, weight * share, steps))


def _neighbours(mesh: Mesh) -> csr_matrix:
    return averaging(unique_edges(mesh.faces, len(mesh.vertices))[0], len(mesh.vertices))


def _moved(
    vertices: NDArray[np.floating], mean: csr_matrix, weight: NDArray[np.floating], steps: int
) -> NDArray[np.float64]:
    """Return vertices [V, 3] moved by weights [V] as ``taubin_smoothed`` does; ``mean`` averages neighbours."""
    # Vertices without neighbours have no mean.
    moving = (np.asarray(weight, np.float64) * (np.diff(mean.indptr) > 0))[:, None]
    result = vertices.astype(np.float64)
    for _ in range(steps):
        for factor in (_INWARD, _OUTWARD):
            result = result + factor * moving * (mean @ result - result)
    return result
