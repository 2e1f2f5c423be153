"""Exact distance from points to a triangle mesh."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from jiff.ops.backend import accelerator
from jiff.ops.triangle_tree import TriangleTree, closest_barycentric


class MeshDistance(NamedTuple):
    """Answer of ``point_to_mesh_distance`` for P points.

    Attributes:
        distance: to the surface, not negative, [P].
        face_index: the nearest triangle, int64 [P].
        barycentric: weights of its corners at the nearest point, [P, 3].
    """

    distance: Tensor
    face_index: Tensor
    barycentric: Tensor


def check_points_and_mesh(points: Tensor, vertices: Tensor, faces: Tensor) -> None:
    """Raise ValueError unless points are [P, 3] and the mesh [V, 3], [F, 3] with at least one triangle."""
    for name, value in (("points", points), ("vertices", vertices), ("faces", faces)):
        if value.ndim != 2 or value.shape[1] != 3:
            raise ValueError(f"{name} must be [N, 3]; got {tuple(value.shape)}.")
    if faces.shape[0] == 0:
        raise ValueError("faces must hold at least one triangle; got none.")


def _measured(points: Tensor, vertices: Tensor, faces: Tensor, face_index: Tensor) -> MeshDistance:
    """Return the differentiable answer once the nearest triangle of each point is known."""
    corners = vertices[faces[face_index]]
    with torch.no_grad():
        # By the envelope theorem the nearest point may be held fixed on its triangle.
        barycentric = closest_barycentric(points.double(), corners.double()).to(points.dtype)
    nearest = (barycentric[:, :, None] * corners).sum(dim=1)
    return MeshDistance(torch.linalg.vector_norm(points - nearest, dim=1), face_index, barycentric)


def build_tree(vertices: Tensor, faces: Tensor) -> TriangleTree:
    """Return the search tree of a mesh [V, 3], [F, 3], for several calls of ``point_to_mesh_distance``."""
    return TriangleTree(vertices.detach().double().cpu()[faces.cpu()].numpy())


def point_to_mesh_distance_torch(
    points: Tensor, vertices: Tensor, faces: Tensor, tree: TriangleTree | None = None
) -> MeshDistance:
    """Plain twin of ``point_to_mesh_distance``; searches on the CPU."""
    check_points_and_mesh(points, vertices, faces)
    with torch.no_grad():
        tree = tree or build_tree(vertices, faces)
        face_index = torch.from_numpy(tree.nearest(points.double().cpu().numpy())).to(points.device)
    return _measured(points, vertices, faces, face_index)


def point_to_mesh_distance(
    points: Tensor,  # [P, 3]
    vertices: Tensor,  # [V, 3]
    faces: Tensor,  # [F, 3]
    tree: TriangleTree | None = None,
) -> MeshDistance:  # [P], [P], [P, 3]
    """Measure the distance from points to a triangle mesh, exactly.

    Args:
        points: [P, 3].
        vertices: [V, 3], in the same frame and unit.
        faces: int64 vertex indices, [F, 3].
        tree: of this very mesh, from ``build_tree``, to save building it at every call; the accelerator needs none.

    Returns:
        Distances (differentiable in points and vertices), nearest triangles and barycentric coordinates.
    """
    module = accelerator("point_to_mesh_distance", points.is_cuda)
    if module is None:
        return point_to_mesh_distance_torch(points, vertices, faces, tree)
    check_points_and_mesh(points, vertices, faces)
    from kaolin.metrics.trianglemesh import point_to_mesh_distance as accelerated

    with torch.no_grad():
        corners = vertices[faces][None].contiguous()
        face_index = accelerated(points[None].contiguous(), corners)[1][0].long()
    return _measured(points, vertices, faces, face_index)
