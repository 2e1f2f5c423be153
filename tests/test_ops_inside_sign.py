"""Side of points to a closed mesh: closed forms, the winding number, rigid motion, and kaolin where it is installed."""

from __future__ import annotations

import math

import pytest
import torch
import trimesh
from torch import Tensor

from jiff.ops.inside_sign import build_scene, inside_sign, inside_sign_torch
from jiff.ops.mesh_distance import point_to_mesh_distance


def mesh(shape: trimesh.Trimesh) -> tuple[Tensor, Tensor]:
    return torch.tensor(shape.vertices, dtype=torch.float64), torch.tensor(shape.faces, dtype=torch.int64)


def winding_number(points: Tensor, vertices: Tensor, faces: Tensor) -> Tensor:
    """Sum of solid angles (Van Oosterom and Strackee 1983) over 4 pi."""
    a, b, c = (vertices[faces][None] - points[:, None, None]).unbind(2)
    la, lb, lc = (v.norm(dim=-1) for v in (a, b, c))
    numerator = (a * torch.linalg.cross(b, c, dim=-1)).sum(-1)
    denominator = la * lb * lc + (a * b).sum(-1) * lc + (b * c).sum(-1) * la + (c * a).sum(-1) * lb
    return (2 * torch.atan2(numerator, denominator)).sum(dim=1) / (4 * math.pi)


def random_points(count: int, spread: float) -> Tensor:
    generator = torch.Generator().manual_seed(4)
    return spread * torch.randn(count, 3, generator=generator, dtype=torch.float64)


def test_signed_distance_of_a_box_is_the_closed_form() -> None:
    vertices, faces = mesh(trimesh.creation.box(extents=(2, 4, 6)))
    points = random_points(500, 2.0)
    beyond = points.abs() - torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    expected = -(beyond.clamp(min=0).norm(dim=1) + beyond.amax(dim=1).clamp(max=0))
    answer = inside_sign(points, vertices, faces) * point_to_mesh_distance(points, vertices, faces).distance
    torch.testing.assert_close(answer, expected)
    assert (expected > 0).sum() > 50 and (expected < 0).sum() > 50


def test_equals_the_winding_number_in_overlapping_shells() -> None:
    ball = trimesh.creation.icosphere(subdivisions=2, radius=1.5)
    ring = trimesh.creation.torus(2.0, 0.7)
    vertices, faces = mesh(trimesh.util.concatenate([ball, ring]))
    points = random_points(400, 1.5)
    wound = winding_number(points, vertices, faces)
    assert (wound > 1.5).any() and (wound < 0.5).any()
    assert torch.equal(inside_sign(points, vertices, faces) > 0, wound > 0.5)


def test_motion_type_and_prepared_tree() -> None:
    vertices, faces = mesh(trimesh.creation.torus(2.0, 0.7))
    points = random_points(300, 2.0)
    sign = inside_sign(points, vertices, faces)
    turn, _ = torch.linalg.qr(random_points(3, 1.0))
    turn = turn * turn.det().sign()
    moved = vertices @ turn * 3 + 40
    assert torch.equal(inside_sign(points @ turn * 3 + 40, moved, faces), sign)
    single = inside_sign(points.float(), vertices, faces, build_scene(vertices, faces))
    assert single.dtype == torch.float32 and torch.equal(single.double(), sign)


def test_wrong_shapes_are_refused() -> None:
    vertices, faces = mesh(trimesh.creation.box())
    with pytest.raises(ValueError, match="points must be"):
        inside_sign(torch.zeros(3, 2), vertices, faces)
    with pytest.raises(ValueError, match="at least one triangle"):
        inside_sign(torch.zeros(3, 3), vertices, faces[:0])


@pytest.mark.skipif(
    not torch.cuda.is_available(), reason="kaolin's kernels run on CUDA only; no such device here"
)
def test_equals_kaolin() -> None:
    pytest.importorskip("kaolin", reason="kaolin is not installed")
    vertices, faces = mesh(trimesh.creation.torus(2.0, 0.7))
    points = random_points(2000, 2.0).float().cuda()
    answer = inside_sign(points, vertices.float().cuda(), faces.cuda())
    twin = inside_sign_torch(points, vertices.float(), faces)
    assert (answer != twin).float().mean() < 0.002
