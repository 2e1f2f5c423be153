"""Exact distance from points to a triangle mesh."""

from __future__ import annotations

from typing import NamedTuple

import igl
import numpy as np
import torch
from torch import Tensor

from jiff.ops.backend import accelerator


class MeshDistance(NamedTuple):
    """Answer of ``MeshDistanceQuery`` for P points.

    Attributes:
        distance: to the surface, not negative, [P].
        face_index: the nearest triangle, int64 [P].
        barycentric: weights of its corners at the nearest point, [P, 3].
    """

    distance: Tensor
    face_index: Tensor
    barycentric: Tensor


def closest_barycentric(points: Tensor, corners: Tensor) -> Tensor:
    """Return the barycentric coordinates of the point of each triangle that is nearest to each point.

    Degenerate triangles (segments, points) are allowed.

    Args:
        points: [..., 3].
        corners: [..., 3 corners, 3].

    Returns:
        [..., 3], each in [0, 1], adding up to 1.
    """
    a, b, c = corners.unbind(-2)
    ab, ac, bc = b - a, c - a, c - b
    ap, bp = points - a, points - b

    def along(edge: Tensor, start: Tensor) -> tuple[Tensor, Tensor]:
        length = edge.square().sum(-1)
        t = ((edge * start).sum(-1) / torch.where(length > 0, length, 1.0)).clamp(0, 1)
        return t, (start - t[..., None] * edge).square().sum(-1)

    (t_ab, to_ab), (t_ac, to_ac), (t_bc, to_bc) = along(ab, ap), along(ac, ap), along(bc, bp)
    zero = torch.zeros_like(t_ab)
    weights = torch.stack((1 - t_ab, t_ab, zero), dim=-1)
    weights = torch.where((to_ac < to_ab)[..., None], torch.stack((1 - t_ac, zero, t_ac), dim=-1), weights)
    nearer = to_bc < torch.minimum(to_ab, to_ac)
    weights = torch.where(nearer[..., None], torch.stack((zero, 1 - t_bc, t_bc), dim=-1), weights)
    # Above the triangle's inside the foot of the perpendicular is nearer than any edge.
    aa, cc, mixed = ab.square().sum(-1), ac.square().sum(-1), (ab * ac).sum(-1)
    d1, d2 = (ab * ap).sum(-1), (ac * ap).sum(-1)
    area = aa * cc - mixed.square()
    v, w = cc * d1 - mixed * d2, aa * d2 - mixed * d1
    inside = (v > 0) & (w > 0) & (v + w < area)
    area = torch.where(inside, area, 1.0)
    v, w = v / area, w / area
    return torch.where(inside[..., None], torch.stack((1 - v - w, v, w), dim=-1), weights)


class MeshDistanceQuery:
    """One mesh, asked for the distance of points as often as one likes.

    On the CPU its bounding volume hierarchy (libigl) is built once, here; on CUDA kaolin answers where it is installed.

    Args:
        vertices: [V, 3], any unit; gradients flow to them.
        faces: int64 vertex indices, [F, 3].

    Raises:
        ValueError: other shapes, or no faces.
    """

    def __init__(self, vertices: Tensor, faces: Tensor) -> None:
        for name, value in (("vertices", vertices), ("faces", faces)):
            _check_rows(name, value)
        if faces.shape[0] == 0:
            raise ValueError("faces must hold at least one triangle; got none.")
        self.vertices, self.faces = vertices, faces
        self.accelerated = accelerator("point_to_mesh_distance", vertices.is_cuda) is not None
        if not self.accelerated:
            self._vertices = np.ascontiguousarray(vertices.detach().double().cpu().numpy())
            self._faces = np.ascontiguousarray(faces.cpu().numpy(), dtype=np.int64)
            self._tree = igl.AABB()
            self._tree.init(self._vertices, self._faces)

    def _nearest(self, points: Tensor) -> Tensor:
        if self.accelerated:
            from kaolin.metrics.trianglemesh import point_to_mesh_distance as accelerated

            corners = self.vertices[self.faces][None].contiguous()
            return torch.as_tensor(accelerated(points[None].contiguous(), corners)[1][0]).long()
        asked = np.ascontiguousarray(points.detach().double().cpu().numpy())
        if len(asked) == 0:
            return torch.zeros(0, dtype=torch.int64, device=points.device)
        face = self._tree.squared_distance(self._vertices, self._faces, asked)[1]
        return torch.from_numpy(np.asarray(face, dtype=np.int64).ravel()).to(points.device)

    def __call__(self, points: Tensor) -> MeshDistance:
        """Measure the distance from points [P, 3] to the mesh, exactly.

        Returns:
            Distances (differentiable in points and vertices), nearest triangles and barycentric coordinates.

        Raises:
            ValueError: points of another shape.
        """
        _check_rows("points", points)
        with torch.no_grad():
            face_index = self._nearest(points)
        corners = self.vertices[self.faces[face_index]]
        with torch.no_grad():
            # By the envelope theorem the nearest point may be held fixed on its triangle.
            barycentric = closest_barycentric(points.double(), corners.double()).to(points.dtype)
        nearest = (barycentric[:, :, None] * corners).sum(dim=1)
        return MeshDistance(torch.linalg.vector_norm(points - nearest, dim=1), face_index, barycentric)


def _check_rows(name: str, value: Tensor) -> None:
    if value.ndim != 2 or value.shape[1] != 3:
        raise ValueError(f"{name} must be [N, 3]; got {tuple(value.shape)}.")
