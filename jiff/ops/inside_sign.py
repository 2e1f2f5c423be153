"""Sign of the signed distance to a closed mesh: +1 inside, -1 outside."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from jiff.ops.backend import accelerator
from jiff.ops.mesh_distance import check_points_and_mesh

if TYPE_CHECKING:
    from jiff.geometry.raycast import RayScene


def build_scene(vertices: Tensor, faces: Tensor) -> RayScene:
    """Return the ray-casting tree of a mesh [V, 3], [F, 3], for several calls of ``inside_sign``."""
    from jiff.geometry.raycast import RayScene

    return RayScene(vertices.detach().float().cpu().numpy(), faces.cpu().numpy())


def inside_sign_torch(
    points: Tensor, vertices: Tensor, faces: Tensor, scene: RayScene | None = None
) -> Tensor:
    """Plain twin of ``inside_sign``; casts rays on the CPU."""
    from jiff.geometry.inside import inside_mesh

    check_points_and_mesh(points, vertices, faces)
    inside = inside_mesh(scene or build_scene(vertices, faces), points.detach().float().cpu().numpy())
    sign = torch.from_numpy(np.where(inside, 1.0, -1.0))
    return sign.to(device=points.device, dtype=points.dtype)


def inside_sign(
    points: Tensor,  # [P, 3]
    vertices: Tensor,  # [V, 3]
    faces: Tensor,  # [F, 3]
    scene: RayScene | None = None,
) -> Tensor:  # [P]
    """Tell on which side of a closed mesh points lie.

    Times the distance of ``point_to_mesh_distance`` it is the signed distance, positive inside. The twin counts how
    many shells contain a point (see ``jiff.geometry.inside``); kaolin counts the crossings of one ray, so the two
    differ inside overlapping shells and near holes.

    Args:
        points: [P, 3].
        vertices: [V, 3], in the same frame and unit.
        faces: int64 vertex indices, [F, 3], outward.
        scene: of this very mesh, from ``build_scene``, to save building it at every call; the accelerator needs none.

    Returns:
        +1 inside, -1 outside, in the type and on the device of ``points``, [P]; without gradient.

    Raises:
        ValueError: wrong shapes or no triangle.
    """
    module = accelerator("inside_sign", points.is_cuda)
    if module is None:
        return inside_sign_torch(points, vertices, faces, scene)
    check_points_and_mesh(points, vertices, faces)
    from kaolin.ops.mesh import check_sign

    with torch.no_grad():
        inside = check_sign(vertices[None].contiguous(), faces, points[None].contiguous())[0]
    return torch.where(inside, 1.0, -1.0).to(points.dtype)
