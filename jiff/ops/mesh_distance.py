"""Exact distance from points to a triangle mesh."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from torch import Tensor

from jiff.ops.backend import accelerator

_PAIRS_PER_CHUNK = 1 << 20


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


def closest_barycentric(points: Tensor, corners: Tensor) -> Tensor:
    """Return the barycentric coordinates of the point of each triangle that is nearest to each point.

    Degenerate triangles (segments, points) are allowed. Ericson, Real-Time Collision Detection (2005), Sec. 5.1.5.

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


def _check(points: Tensor, vertices: Tensor, faces: Tensor) -> None:
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


class _Search:
    """Running nearest triangle of each point while candidates are tried.

    A triangle lies within the disc about its centre, in its plane, whose radius reaches its farthest corner. The
    distance to that disc bounds the triangle's from below and costs a fraction of it.
    """

    def __init__(self, points: Tensor, corners: Tensor) -> None:
        self.points, self.corners = points, corners
        self.centers = corners.mean(dim=1)
        self.radii = torch.linalg.vector_norm(corners - self.centers[:, None], dim=2).amax(dim=1)
        normals = torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        # A degenerate triangle has no plane; a zero normal makes its disc a ball, which still holds it.
        self.normals = torch.nn.functional.normalize(normals, dim=1, eps=1e-300)
        self.best = torch.full((points.shape[0],), torch.inf, dtype=torch.float64)
        self.face = torch.zeros(points.shape[0], dtype=torch.int64)

    def try_faces(self, rows: Tensor, faces: Tensor, center_distance: Tensor) -> None:
        """Compare points ``rows`` [R] with triangles ``faces`` [R, K] whose centres are at ``center_distance``."""
        step = max(1, _PAIRS_PER_CHUNK // faces.shape[1])
        for part, candidates, far in zip(rows.split(step), faces.split(step), center_distance.split(step)):
            offset = self.points[part][:, None] - self.centers[candidates]
            height_squared = (offset * self.normals[candidates]).sum(dim=-1).square()
            along = (far.square() - height_squared).clamp(min=0).sqrt() - self.radii[candidates]
            bound = height_squared + along.clamp(min=0).square()
            limit = self.best[part].square()[:, None] * (1 + 1e-12)
            row, column = (bound <= limit).nonzero(as_tuple=True)
            self._measure(part[row], candidates[row, column])

    def _measure(self, rows: Tensor, faces: Tensor) -> None:
        corners, points = self.corners[faces], self.points[rows]
        nearest = (closest_barycentric(points, corners)[..., None] * corners).sum(dim=-2)
        distance = torch.linalg.vector_norm(points - nearest, dim=-1)
        smallest = self.best.scatter_reduce(0, rows, distance, "amin")
        won = distance == smallest[rows]
        won &= distance < self.best[rows]
        self.face[rows[won]] = faces[won]
        self.best = smallest


def _nearest_faces(points: Tensor, corners: Tensor) -> Tensor:
    """Return the nearest triangle of each point: exact search over trees of triangle centres.

    A triangle whose centre is farther than the best distance plus the triangle's radius cannot be nearer. Triangles
    are searched in classes of similar radius, so that a few large ones do not widen the search among the small.
    """
    search = _Search(points, corners)
    radii = search.radii.numpy()
    scale = max(float(np.median(radii)), 1e-300)
    octave = np.maximum(np.ceil(np.log2(np.maximum(radii / scale, 1e-12))), 0).astype(np.int64)
    for level in np.unique(octave):
        members = np.flatnonzero(octave == level)
        _search_class(search, members, float(radii[members].max()))
    return search.face


def _search_class(search: _Search, members: NDArray[np.int64], radius: float) -> None:
    tree: Any = cKDTree(search.centers.numpy()[members])
    rows = np.arange(search.points.shape[0])
    tried, count = 0, 1
    while len(rows):
        far, index = tree.query(search.points.numpy()[rows], k=np.arange(tried + 1, count + 1))
        search.try_faces(torch.from_numpy(rows), torch.from_numpy(members[index]), torch.from_numpy(far))
        if count == len(members):
            return
        rows = rows[far[:, -1] <= search.best.numpy()[rows] + radius]
        tried, count = count, min(4 * count + 4, len(members))


def point_to_mesh_distance_torch(points: Tensor, vertices: Tensor, faces: Tensor) -> MeshDistance:
    """Plain twin of ``point_to_mesh_distance``; searches on the CPU."""
    _check(points, vertices, faces)
    with torch.no_grad():
        corners = vertices.double().cpu()[faces.cpu()]
        face_index = _nearest_faces(points.double().cpu().contiguous(), corners).to(points.device)
    return _measured(points, vertices, faces, face_index)


def point_to_mesh_distance(
    points: Tensor,  # [P, 3]
    vertices: Tensor,  # [V, 3]
    faces: Tensor,  # [F, 3]
) -> MeshDistance:  # [P], [P], [P, 3]
    """Measure the distance from points to a triangle mesh, exactly.

    Args:
        points: [P, 3].
        vertices: [V, 3], in the same frame and unit.
        faces: int64 vertex indices, [F, 3].

    Returns:
        Distances (differentiable in points and vertices), nearest triangles and barycentric coordinates.
    """
    module = accelerator("point_to_mesh_distance", points.is_cuda)
    if module is None:
        return point_to_mesh_distance_torch(points, vertices, faces)
    _check(points, vertices, faces)
    from kaolin.metrics.trianglemesh import point_to_mesh_distance as accelerated

    with torch.no_grad():
        corners = vertices[faces][None].contiguous()
        face_index = accelerated(points[None].contiguous(), corners)[1][0].long()
    return _measured(points, vertices, faces, face_index)
