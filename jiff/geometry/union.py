"""Closed meshes joined to one, exactly (manifold3d)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from jiff.base.errors import MeshError
from jiff.geometry.mesh import Mesh

if TYPE_CHECKING:
    from collections.abc import Sequence

    from manifold3d import Manifold


def union(meshes: Sequence[Mesh]) -> Mesh:
    """Return the surface of all that lies inside of one of several closed meshes; colours and textures are left out.

    Args:
        meshes: at least one, in one frame and unit.

    Raises:
        MeshError: one of them is not closed.
    """
    from manifold3d import Manifold, OpType

    solids = [_solid(mesh, number) for number, mesh in enumerate(meshes)]
    joined = Manifold.batch_boolean(solids, OpType.Add).to_mesh64()
    return Mesh(np.asarray(joined.vert_properties[:, :3], np.float64), np.asarray(joined.tri_verts, np.int64))


def _solid(mesh: Mesh, number: int) -> Manifold:
    from manifold3d import Error, Manifold, Mesh64

    solid = Manifold(
        Mesh64(np.ascontiguousarray(mesh.vertices, np.float64), np.ascontiguousarray(mesh.faces, np.uint64))
    )
    if solid.status() != Error.NoError:
        raise MeshError(
            f"Mesh {number + 1} of {len(mesh.faces)} triangles is not closed ({solid.status().name}), so that it cannot be joined."
        )
    return solid
