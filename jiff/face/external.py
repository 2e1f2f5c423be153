"""Any face mesh (DECA's, FLAME's, a scan) as a model that can be moved, turned and scaled but not bent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from jiff.face.model import MorphableModel

if TYPE_CHECKING:
    from jiff.geometry.mesh import Mesh


def model_of_mesh(mesh: Mesh, name: str) -> MorphableModel:
    """Return a model without bases around a mesh that already lies in the world.

    Its frame is the world's, moved to the mesh's centre. Landmarks are unknown: all 68 are vertex 0, so that only fits
    without landmarks make sense.

    Args:
        mesh: frontal world frame.
        name: for reports.
    """
    count = len(mesh.vertices)
    colors = np.full((count, 3), 0.6) if mesh.colors is None else mesh.colors
    mean = mesh.vertices - mesh.vertices.mean(0)
    normals = mesh.vertex_normals()
    core = normals[:, 2] > 0.3
    return MorphableModel(
        name=name,
        mean=mean.astype(np.float32),
        identity=np.zeros((0, count, 3), np.float32),
        expression=np.zeros((0, count, 3), np.float32),
        texture_mean=colors.astype(np.float32),
        texture_basis=np.zeros((0, count, 3), np.float32),
        triangles=mesh.faces,
        landmarks68=np.zeros(68, np.int64),
        fit_weight=np.ones(count, np.float32),
        core=core if core.any() else np.ones(count, bool),
    )
