"""Point-to-mesh distance: closed forms, brute force, laws, gradients, and kaolin where it is installed."""

from __future__ import annotations

import pytest
import torch
import trimesh
from torch import Tensor

from jiff.ops.mesh_distance import MeshDistanceQuery, closest_barycentric


def mesh(shape: trimesh.Trimesh, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    return torch.tensor(shape.vertices, dtype=dtype), torch.tensor(shape.faces, dtype=torch.int64)


def brute_force(points: Tensor, vertices: Tensor, faces: Tensor) -> Tensor:
    """Distance by dense sampling of no shortcuts: minimum over all triangles, edges and corners."""
    corners = vertices[faces]
    a, b, c = corners.unbind(1)
    normal = torch.nn.functional.normalize(torch.linalg.cross(b - a, c - a), dim=1)
    best = torch.cdist(points, vertices).amin(dim=1)
    for start, end in ((a, b), (b, c), (c, a)):
        along = end - start
        t = ((points[:, None] - start) * along).sum(-1) / along.square().sum(-1)
        foot = start + t.clamp(0, 1)[..., None] * along
        best = torch.minimum(best, (points[:, None] - foot).norm(dim=-1).amin(dim=1))
    height = ((points[:, None] - a) * normal).sum(-1)
    foot = points[:, None] - height[..., None] * normal
    inside = torch.ones_like(height, dtype=torch.bool)
    for start, end in ((a, b), (b, c), (c, a)):
        inside &= (torch.linalg.cross((end - start)[None], foot - start, dim=-1) * normal).sum(-1) >= 0
    return torch.minimum(best, torch.where(inside, height.abs(), torch.inf).amin(dim=1))


def test_box_closed_form() -> None:
    vertices, faces = mesh(trimesh.creation.box(extents=(2, 4, 6)))
    generator = torch.Generator().manual_seed(0)
    points = (torch.rand(500, 3, generator=generator, dtype=torch.float64) - 0.5) * 12
    beyond = points.abs() - torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    outside = beyond.clamp(min=0).norm(dim=1)
    expected = torch.where((beyond < 0).all(dim=1), -beyond.amax(dim=1), outside)
    torch.testing.assert_close(MeshDistanceQuery(vertices, faces)(points).distance, expected)


@pytest.mark.parametrize("spread", [0.02, 0.5, 3.0])
def test_equals_brute_force_on_uneven_triangles(spread: float) -> None:
    sphere = trimesh.creation.icosphere(subdivisions=3)
    bar = trimesh.creation.cylinder(radius=0.05, height=9.0, sections=5)
    vertices, faces = mesh(trimesh.util.concatenate([sphere, bar]))
    generator = torch.Generator().manual_seed(1)
    seeds = vertices[torch.randint(0, len(vertices), (300,), generator=generator)]
    points = seeds + spread * torch.randn(300, 3, generator=generator, dtype=torch.float64)
    points[:3] = torch.zeros(3, 3)
    answer = MeshDistanceQuery(vertices, faces)(points)
    torch.testing.assert_close(answer.distance, brute_force(points, vertices, faces), rtol=1e-9, atol=1e-12)
    nearest = (answer.barycentric[..., None] * vertices[faces[answer.face_index]]).sum(dim=1)
    torch.testing.assert_close((points - nearest).norm(dim=1), answer.distance)
    query = MeshDistanceQuery(vertices, faces)
    assert torch.equal(torch.cat([query(part).distance for part in points.split(70)]), answer.distance)
    assert (answer.barycentric >= 0).all()
    torch.testing.assert_close(answer.barycentric.sum(dim=1), torch.ones(300, dtype=torch.float64))


def test_rigid_motion_and_scale() -> None:
    vertices, faces = mesh(trimesh.creation.torus(2.0, 0.7))
    points = torch.randn(200, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64) * 2
    turn, _ = torch.linalg.qr(
        torch.randn(3, 3, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    )
    moved = MeshDistanceQuery(vertices @ turn * 3 + 40, faces)(points @ turn * 3 + 40).distance
    torch.testing.assert_close(moved, 3 * MeshDistanceQuery(vertices, faces)(points).distance)


def test_degenerate_triangles_are_segments_and_points() -> None:
    corners = torch.tensor(
        [
            [[0.0, 0, 0], [1, 0, 0], [3, 0, 0]],
            [[0.0, 0, 0], [3, 0, 0], [1, 0, 0]],
            [[2.0, 0, 0], [2, 0, 0], [2, 0, 0]],
            [[0.0, 0, 0], [0, 0, 0], [3, 0, 0]],
        ],
        dtype=torch.float64,
    )
    points = torch.tensor([2.0, 1, 0], dtype=torch.float64).repeat(4, 1)
    nearest = (closest_barycentric(points, corners)[..., None] * corners).sum(dim=1)
    torch.testing.assert_close(nearest, torch.tensor([2.0, 0, 0], dtype=torch.float64).repeat(4, 1))
    vertices, faces = corners.reshape(-1, 3), torch.arange(12).reshape(4, 3)
    assert MeshDistanceQuery(vertices, faces)(points[:1]).distance.item() == pytest.approx(1.0)


def test_gradients() -> None:
    vertices, faces = mesh(trimesh.creation.icosphere(subdivisions=1))
    points = torch.randn(12, 3, generator=torch.Generator().manual_seed(4), dtype=torch.float64) * 2
    points.requires_grad_()
    vertices.requires_grad_()
    assert torch.autograd.gradcheck(lambda p, v: MeshDistanceQuery(v, faces)(p).distance, (points, vertices))
    slope = torch.autograd.grad(MeshDistanceQuery(vertices, faces)(points).distance.sum(), points)[0]
    torch.testing.assert_close(slope.norm(dim=1), torch.ones(12, dtype=torch.float64))


def test_float32_no_points_and_wrong_shapes() -> None:
    vertices, faces = mesh(trimesh.creation.icosphere(subdivisions=2), torch.float32)
    points = torch.randn(50, 3) * 0.3 + torch.tensor([100.0, 0, 0])
    answer = MeshDistanceQuery(vertices + torch.tensor([100.0, 0, 0]), faces)(points)
    assert answer.distance.dtype == torch.float32 and answer.face_index.dtype == torch.int64
    assert (
        answer.distance - (1 - (points - torch.tensor([100.0, 0, 0])).norm(dim=1)).abs()
    ).abs().max() < 0.05
    empty = MeshDistanceQuery(vertices, faces)(points[:0])
    assert empty.distance.shape == (0,) and empty.barycentric.shape == (0, 3)
    with pytest.raises(ValueError, match=r"points must be \[N, 3\]; got \(2, 50, 3\)"):
        MeshDistanceQuery(vertices, faces)(points.expand(2, -1, -1))
    with pytest.raises(ValueError, match="at least one triangle"):
        MeshDistanceQuery(vertices, faces[:0])(points)


def test_accelerated_equals_twin(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("kaolin", reason="kaolin is not installed", exc_type=ImportError)
    if not torch.cuda.is_available():
        pytest.skip("kaolin's kernel needs CUDA")
    vertices, faces = (part.cuda() for part in mesh(trimesh.creation.torus(2.0, 0.7), torch.float32))
    points = torch.randn(500, 3, device="cuda") * 2
    gradients = []
    for choice in ("kaolin", "torch"):
        monkeypatch.setenv("JIFF_OPS", choice)
        ours = points.clone().requires_grad_()
        distance = MeshDistanceQuery(vertices, faces)(ours).distance
        distance.sum().backward()
        gradients.append((distance.detach(), ours.grad))
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-4, atol=1e-5)
