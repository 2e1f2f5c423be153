"""The sparse surface equals the dense one; orientation, closedness, seeds, budget, errors."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from networks import canonical_calib, random_subjects
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from jiff.base.errors import ReconstructionError
from jiff.geometry.camera import Camera
from jiff.geometry.isosurface import (
    Seeds,
    SurfaceOptions,
    extract_surface,
    extract_surface_with_stats,
)
from jiff.geometry.lattice import Lattice
from jiff.geometry.marching import CORNERS, marching_cubes
from jiff.geometry.mesh import Mesh
from jiff.inference.fields import OccupancyField
from jiff.models.presets import shape_preset
from jiff.models.shape import ShapeNetwork

BOUNDS = np.array([[-102.4, -12.4, -102.4], [102.4, 192.4, 102.4]])
Field = Callable[[torch.Tensor], torch.Tensor]


def _dense(field: Field, bounds: np.ndarray, resolution: int, level: float = 0.5) -> Mesh:
    """Evaluate every node; the yardstick of the sparse extraction."""
    lattice = Lattice.of_bounds(bounds, resolution)
    nodes = np.stack(np.meshgrid(*[np.arange(n + 1) for n in lattice.counts], indexing="ij"), axis=-1)
    points = torch.from_numpy((lattice.origin_world + nodes * lattice.cell_world).astype(np.float32))
    values = field(points.reshape(-1, 3)).numpy().reshape(nodes.shape[:3]).copy()
    for axis in range(3):
        moved = np.moveaxis(values, axis, 0)
        moved[0] = moved[-1] = level - 0.5
    cells = np.stack(np.meshgrid(*[np.arange(n) for n in lattice.counts], indexing="ij"), axis=-1).reshape(
        -1, 3
    )
    corners = cells[:, None] + CORNERS
    base, axis, fraction, faces = marching_cubes(
        cells @ lattice.steps, values[corners[..., 0], corners[..., 1], corners[..., 2]], lattice.steps, level
    )
    index = lattice.indices(base).astype(float)
    index[np.arange(len(index)), axis] += fraction
    return Mesh(lattice.origin_world + index * lattice.cell_world, faces)


def _edges(mesh: Mesh) -> tuple[np.ndarray, np.ndarray]:
    edges = np.sort(mesh.faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
    return np.unique(edges, axis=0, return_counts=True)


def _topology(mesh: Mesh) -> tuple[int, int]:
    """Return (components, Euler characteristic)."""
    edges, _ = _edges(mesh)
    count = len(mesh.vertices)
    graph = coo_matrix((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), shape=(count, count))
    return connected_components(graph)[0], count - len(edges) + len(mesh.faces)


def _smooth(distance: torch.Tensor, width: float = 1.0) -> torch.Tensor:
    return torch.sigmoid(-distance / width)


def _sphere(points: torch.Tensor) -> torch.Tensor:
    return _smooth((points - torch.tensor([3.0, 80.0, -5.0])).norm(dim=1) - 60.0)


def _capsules(points: torch.Tensor) -> torch.Tensor:
    """A chain of five capsules that thins from 12 to 1.2 units."""
    distance = torch.full((len(points),), 1e9)
    joints = torch.tensor(
        [[0.0, 0, 0], [10, 50, 0], [-10, 90, 20], [30, 120, 0], [60, 140, 10], [75, 150, 30]]
    )
    for start, end, radius in zip(joints[:-1], joints[1:], (12.0, 9.0, 5.0, 2.5, 1.2), strict=True):
        along = ((points - start) @ (end - start) / (end - start).square().sum()).clamp(0, 1)
        distance = torch.minimum(
            distance, (points - start - along[:, None] * (end - start)).norm(dim=1) - radius
        )
    return _smooth(distance, 0.5)


def _torus(points: torch.Tensor) -> torch.Tensor:
    x, y, z = (points - torch.tensor([0.0, 90.0, 0.0])).unbind(1)
    return _smooth(torch.sqrt((torch.sqrt(x**2 + z**2) - 50) ** 2 + y**2) - 12.0)


def _slab(points: torch.Tensor, normal_axis: int, thickness: float) -> torch.Tensor:
    """An axis-aligned plate, 100 x 100 x thickness, saturated away from its surface; off the coarse nodes."""
    center = torch.tensor([1.3, 91.7, 3.9])
    half = torch.full((3,), 50.0)
    half[normal_axis] = thickness / 2
    return _smooth(((points - center).abs() - half).amax(dim=1), 0.05)


def _waves(points: torch.Tensor) -> torch.Tensor:
    """Smooth noise as an untrained network gives: many pieces, handles and voids."""
    generator = torch.Generator().manual_seed(3)
    directions = torch.randn(12, 3, generator=generator) * 0.07
    phases = torch.rand(12, generator=generator) * 6.28
    values = torch.sigmoid(torch.sin(points @ directions.T + phases).sum(dim=1) - 2.0)
    # Nothing reaches the border, where the extraction closes the surface at any resolution of its own.
    return values * torch.sigmoid(90.0 - (points - torch.tensor([0.0, 90.0, 0.0])).norm(dim=1))


CASES: dict[str, Field] = {"sphere": _sphere, "capsules": _capsules, "torus": _torus, "waves": _waves}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("resolution", [96, 75])
def test_sparse_equals_dense(name: str, resolution: int) -> None:
    options = SurfaceOptions(
        resolution=resolution, coarse_resolution=resolution // 4 if name == "waves" else 16
    )
    mesh, stats = extract_surface_with_stats(CASES[name], BOUNDS, options)
    dense = _dense(CASES[name], BOUNDS, resolution)
    assert _topology(mesh) == _topology(dense)
    cell = 204.8 / resolution
    for one, other in ((mesh, dense), (dense, mesh)):
        assert cKDTree(other.vertices).query(one.vertices)[0].max() < 0.02 * cell
    if name != "waves":
        assert stats.points < 0.2 * (resolution + 1) ** 3


@pytest.mark.parametrize("normal_axis, search_stride", [(0, 2), (1, 2), (2, 1), (2, 2), (2, 3)])
def test_thin_plate_is_found_through_the_silhouette(normal_axis: int, search_stride: int) -> None:
    resolution = 80
    cell = 204.8 / resolution

    def plate(points: torch.Tensor) -> torch.Tensor:
        return _slab(points, normal_axis, 2 * cell)

    camera = Camera(size=256)
    pixels = np.stack(np.meshgrid(np.arange(256) + 0.5, np.arange(256) + 0.5), axis=-1)
    world = camera.pixel_to_world(pixels)
    half = np.full(3, 50.0)
    half[normal_axis] = cell
    silhouette = (np.abs(world - (1.3, 91.7, 3.9)) < half)[..., :2].all(axis=-1)
    options = SurfaceOptions(resolution=resolution, coarse_resolution=10, search_stride=search_stride)
    if normal_axis == 2:
        with pytest.raises(ReconstructionError, match="never crosses"):
            extract_surface(plate, BOUNDS, options)
    mesh = extract_surface(plate, BOUNDS, options, Seeds(silhouette, camera))
    dense = _dense(plate, BOUNDS, resolution)
    assert _topology(mesh) == _topology(dense) == (1, 2)
    assert cKDTree(mesh.vertices).query(dense.vertices)[0].max() < 0.02 * cell


@pytest.mark.parametrize("width, away", [(12.0, 45.0), (7.0, 13.0)])
def test_peaks_between_coarse_nodes_are_found(width: float, away: float) -> None:
    """A soft peak in the middle of a cell of edge 4 anywhere, or of edge 2 near another surface, meets no node."""
    cell = 204.8 / 96
    wanted = np.array([40.0 + away, 90.0, 0.0])
    stride = 4 if width > 10 else 2
    index = np.round((wanted - BOUNDS[0]) / cell / stride - 0.5) + 0.5
    center = torch.from_numpy(BOUNDS[0] + index * stride * cell).float()

    def field(points: torch.Tensor) -> torch.Tensor:
        ball = _smooth((points - torch.tensor([0.0, 90.0, 0.0])).norm(dim=1) - 40.0)
        peak = 0.3 + 0.25 * torch.exp(-(points - center).square().sum(dim=1) / width**2)
        return torch.maximum(ball, peak)

    mesh = extract_surface(field, BOUNDS, SurfaceOptions(resolution=96, coarse_resolution=24))
    assert _topology(mesh) == _topology(_dense(field, BOUNDS, 96)) == (2, 4)


def test_a_speck_in_a_box_is_found() -> None:
    center = torch.tensor([11.1, 150.2, 7.3])

    def field(points: torch.Tensor) -> torch.Tensor:
        speck = (points - center).norm(dim=1) - 4.0
        return _smooth(
            torch.minimum(speck, (points - torch.tensor([0.0, 60.0, 0.0])).norm(dim=1) - 40.0), 0.05
        )

    options = SurfaceOptions(resolution=128, coarse_resolution=8)
    assert _topology(extract_surface(field, BOUNDS, options))[0] == 1
    box = np.array([[5.0, 140.0, -np.inf], [20.0, 160.0, np.inf]])
    assert _topology(extract_surface(field, BOUNDS, options, Seeds(boxes_world=(box,))))[0] == 2


def test_mesh_is_closed_and_faces_outward() -> None:
    def ball(points: torch.Tensor) -> torch.Tensor:
        return 0.5 + (60.0 - (points - torch.tensor([3.0, 80.0, -5.0])).norm(dim=1)) / 200.0

    mesh = extract_surface(ball, BOUNDS, SurfaceOptions(resolution=64, coarse_resolution=16))
    assert (_edges(mesh)[1] == 2).all()
    assert mesh.volume == pytest.approx(4 / 3 * np.pi * 60**3, rel=0.005)
    outward = mesh.vertices - (3.0, 80.0, -5.0)
    cosine = (mesh.vertex_normals() * outward).sum(1) / np.linalg.norm(outward, axis=1)
    assert cosine.min() > 0.98
    assert np.abs(np.linalg.norm(outward, axis=1) - 60).max() < 0.05


def test_surface_is_closed_at_the_bounds() -> None:
    low = np.array([[-30.0, 60.0, -30.0], [40.0, 192.4, 40.0]])
    mesh = extract_surface(_sphere, low, SurfaceOptions(resolution=50, coarse_resolution=50))
    assert (_edges(mesh)[1] == 2).all()
    assert (mesh.vertices >= low[0]).all()
    assert (mesh.vertices[:, [0, 2]] <= low[1, [0, 2]] + 204.8 / 50).all()
    assert mesh.volume > 0


def test_noise_gives_a_manifold(rng: np.random.Generator) -> None:
    """Every case of the table in random company: each edge has exactly two triangles, once in each direction."""
    count = 14
    values = rng.random((count + 1,) * 3)
    for axis in range(3):
        np.moveaxis(values, axis, 0)[[0, -1]] = 0.0
    lattice = Lattice(np.zeros(3), 1.0, (count, count, count))
    cells = np.stack(np.meshgrid(*[np.arange(count)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    corners = cells[:, None] + CORNERS
    base, axis, fraction, faces = marching_cubes(
        cells @ lattice.steps, values[corners[..., 0], corners[..., 1], corners[..., 2]], lattice.steps, 0.5
    )
    directed = faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
    assert len(np.unique(directed, axis=0)) == len(directed)
    reverse = {tuple(edge) for edge in directed[:, ::-1]}
    assert reverse == {tuple(edge) for edge in directed}
    assert len(base) == len(axis) == len(fraction) == faces.max() + 1


def test_values_on_the_level_collapse_nothing() -> None:
    def corner(points: torch.Tensor) -> torch.Tensor:
        # An L of two beams: a node in its inner corner holds the level itself and has two inside neighbours.
        x, y, z = (points - torch.tensor([0.0, 90.0, 0.0])).unbind(1)
        inside = ((x < 0) | (y < 0)) & (x.abs() < 60) & (y.abs() < 60) & (z.abs() < 30)
        return 0.5 + 0.5 * inside

    mesh = extract_surface(corner, BOUNDS, SurfaceOptions(resolution=64, coarse_resolution=64))
    assert np.linalg.norm(mesh.face_cross(), axis=1).min() > 0
    assert (_edges(mesh)[1] == 2).all()


def test_points_come_by_column_and_within_the_budget() -> None:
    sizes: list[int] = []

    class Sized:
        fixed_bytes, bytes_per_point = 500_000, 1000

        def __call__(self, points_world: torch.Tensor) -> torch.Tensor:
            sizes.append(len(points_world))
            same = (points_world[1:, :2] == points_world[:-1, :2]).all(dim=1)
            assert (points_world[1:, 2][same] > points_world[:-1, 2][same]).all()
            columns = torch.unique(points_world[:, :2], dim=0)
            assert len(columns) == 1 + int((~same).sum())
            return _sphere(points_world)

    options = SurfaceOptions(resolution=64, coarse_resolution=16, memory_budget_bytes=1_000_000)
    small = extract_surface(Sized(), BOUNDS, options)
    assert 450 < max(sizes) <= 500
    whole = extract_surface(_sphere, BOUNDS, SurfaceOptions(resolution=64, coarse_resolution=16))
    np.testing.assert_array_equal(small.faces, whole.faces)
    np.testing.assert_allclose(small.vertices, whole.vertices, atol=1e-5)


def test_draft_steers_but_the_mesh_is_the_fields() -> None:
    class Drafted:
        def __init__(self) -> None:
            self.counts = [0, 0]

        def __call__(self, points_world: torch.Tensor) -> torch.Tensor:
            self.counts[1] += len(points_world)
            return _capsules(points_world)

        def draft(self, points_world: torch.Tensor) -> torch.Tensor:
            self.counts[0] += len(points_world)
            noise = torch.sin(points_world.sum(dim=1) * 97.0) * 0.03
            return _capsules(points_world) + noise

    field = Drafted()
    options = SurfaceOptions(resolution=96, coarse_resolution=16)
    mesh, stats = extract_surface_with_stats(field, BOUNDS, options)
    exact = extract_surface(_capsules, BOUNDS, options)
    np.testing.assert_array_equal(mesh.faces, exact.faces)
    np.testing.assert_allclose(mesh.vertices, exact.vertices, atol=1e-5)
    assert min(field.counts) > 1000
    assert sum(field.counts) == stats.points


@pytest.mark.parametrize("value, word", [(0.1, "empty"), (0.9, "full")])
def test_field_without_surface_is_refused(value: float, word: str) -> None:
    bounds = np.array([[-1.0, -1.0, -1.0], [1.0, 1.0, 1.0]])
    options = SurfaceOptions(resolution=16)
    if word == "full":
        # The border counts as outside, so a full field is a box, not an error.
        mesh = extract_surface(lambda p: torch.full((len(p),), value), bounds, options)
        assert mesh.volume == pytest.approx(8.0, rel=0.2)
        return
    with pytest.raises(
        ReconstructionError, match=r"never crosses 0\.5 \(values from 0\.1 to 0\.1, all empty\)"
    ):
        extract_surface(lambda p: torch.full((len(p),), value), bounds, options)


def test_values_that_are_not_numbers_are_refused() -> None:
    with pytest.raises(ReconstructionError, match="not numbers"):
        extract_surface(lambda p: p[:, 0] * float("nan"), BOUNDS, SurfaceOptions(resolution=8))
    with pytest.raises(ReconstructionError, match="resolution of 1"):
        SurfaceOptions(resolution=1)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_sparse_equals_dense_on_a_trained_network(precision: str) -> None:
    torch.manual_seed(0)
    network = ShapeNetwork(shape_preset("tiny", face_branch=False, init="kaiming"))
    image, calib = random_subjects().item(2).images, canonical_calib()
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    generator = torch.Generator().manual_seed(1)
    low, high = (torch.from_numpy(bound).float() for bound in BOUNDS)
    for _ in range(120):
        points = low + (high - low) * torch.rand(1, 1500, 3, generator=generator)
        radius = ((points[0] - torch.tensor([0.0, 90.0, 0.0])) / torch.tensor([45.0, 80.0, 35.0])).norm(dim=1)
        labels = (radius < 1).float()
        values = network.query(network.encode(image, None), points, calib[None, None]).fused()[0]
        loss = (values - labels).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    network.eval()
    with torch.inference_mode():
        features = network.encode(image, None)
        exact = OccupancyField(network, features, calib, precision="float32")
        field = OccupancyField(network, features, calib, precision=precision)
        dense = _dense(exact, BOUNDS, 64)
        mesh = extract_surface(field, BOUNDS, SurfaceOptions(resolution=64, coarse_resolution=16))
    assert len(dense.faces) > 500
    assert _topology(mesh) == _topology(dense)
    cell = 204.8 / 64
    bound = 0.02 if precision == "float32" else 0.1
    for one, other in ((mesh, dense), (dense, mesh)):
        assert cKDTree(other.vertices).query(one.vertices)[0].max() < bound * cell
