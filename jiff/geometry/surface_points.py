"""Points spread over the surface of a mesh in proportion to its area."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from jiff.base.errors import MeshError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jiff.geometry.mesh import Mesh


def points_on_surface(
    mesh: Mesh, shares: NDArray[np.float64], rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]:
    """Place one point for each share of the area that is to lie before it, triangles taken in their order.

    Args:
        mesh: any unit.
        shares: [N] in [0, 1); uniform random numbers give points uniform over the area.
        rng: of the places inside the triangles.

    Returns:
        points [N, 3], their triangles [N] and barycentric weights [N, 3].

    Raises:
        MeshError: the mesh has no area.
    """
    cumulative = np.cumsum(np.linalg.norm(mesh.face_cross(), axis=1))
    if len(cumulative) == 0 or not cumulative[-1] > 0:
        raise MeshError("The mesh has no area; export it again.")
    face = np.searchsorted(cumulative, shares * cumulative[-1], side="right")
    face = np.minimum(face, len(cumulative) - 1).astype(np.int64)
    root, second = np.sqrt(rng.random(len(shares))), rng.random(len(shares))
    weights = np.stack([1.0 - root, root * (1.0 - second), root * second], axis=1)
    points = np.einsum("nk,nkd->nd", weights, mesh.vertices[mesh.faces[face]])
    return points, face, weights
