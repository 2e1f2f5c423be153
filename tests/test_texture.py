"""Textures of reconstructions: unwrapping, baking, the photo's own colours."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_person
import torch

from jiff.base.errors import MeshError, UsageError
from jiff.geometry import simplify
from jiff.geometry.camera import Camera
from jiff.geometry.mesh import Mesh
from jiff.geometry.simplify import decimate, is_watertight
from jiff.geometry.unwrap import unwrap
from jiff.inference.coloring import texture_mesh
from jiff.inference.fields import FacePrior, encode_person
from jiff.inference.networks import Networks
from jiff.models.color_coarse import ColorCoarseNetwork
from jiff.models.color_fine import ColorFineNetwork
from jiff.models.presets import color_preset, shape_preset
from jiff.models.shape import ShapeNetwork
from jiff.options.evaluate import EvalPifuConfig
from jiff.options.mesh_output import TEXTURED_TRIANGLES, MeshOutput
from jiff.render.bake import bake_field, surface_texels
from jiff.render.photo_projection import PhotoProjection
from jiff.render.texture import bilinear

GOAL = 2 / 255


@pytest.fixture(scope="module")
def body() -> Mesh:
    return decimate(tiny_person.figure(64), 4000)


def waves(points: np.ndarray) -> np.ndarray:
    """A smooth field with details of some units."""
    x, y, z = np.asarray(points, np.float64).T
    return 0.5 + 0.45 * np.stack([np.sin(y / 5), np.cos(x / 4 + z / 7), np.sin((x + y + z) / 9)], axis=1)


def on_surface(mesh: Mesh, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return points spread evenly over the surface and their texture coordinates."""
    area = np.linalg.norm(mesh.face_cross(), axis=1)
    face = rng.choice(len(area), count, p=area / area.sum())
    weights = rng.dirichlet(np.ones(3), count)
    assert mesh.uv is not None and mesh.faces_uv is not None
    points = np.einsum("nk,nkd->nd", weights, mesh.vertices[mesh.faces[face]])
    return points, np.einsum("nk,nkd->nd", weights, mesh.uv[mesh.faces_uv[face]])


def error_of(mesh: Mesh, color, rng: np.random.Generator) -> float:
    """Return the mean absolute difference between texture and field at 10,000 points."""
    points, uv = on_surface(mesh, 10_000, rng)
    assert mesh.texture is not None
    return float(np.abs(bilinear(mesh.texture, uv) - color(points)).mean())


def test_charts_cover_the_mesh_without_overlap(body: Mesh) -> None:
    found = unwrap(body, 512)
    mesh = found.mesh
    np.testing.assert_array_equal(mesh.faces, body.faces)
    np.testing.assert_array_equal(mesh.vertices, body.vertices)
    assert mesh.uv is not None and mesh.faces_uv is not None
    assert mesh.uv.min() >= 0 and mesh.uv.max() <= 1
    corner = mesh.uv[mesh.faces_uv]
    a, b = corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]
    covered = np.abs(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum() / 2
    texels = len(surface_texels(mesh, 512).pixel) / 512**2
    # Triangles on top of each other would cover fewer texels than their areas add up to.
    assert covered == pytest.approx(texels, rel=0.03)
    assert found.fill > 0.3
    # A chart's texels are its triangles'.
    assert (found.chart >= 0).all() and found.chart.max() + 1 < len(body.faces) / 4


def test_texels_lie_on_the_surface(body: Mesh) -> None:
    mesh = unwrap(body, 256).mesh
    texels = surface_texels(mesh, 256)
    x, y = texels.pixel % 256, texels.pixel // 256
    uv = np.stack([(x + 0.5) / 256, 1 - (y + 0.5) / 256], axis=1)
    assert np.abs(np.linalg.norm(texels.normals, axis=1) - 1).max() < 1e-5
    distance = tiny_person.figure_distance(torch.from_numpy(texels.points)).abs()
    assert float(distance.mean()) < 1.0
    # A texture that stores positions gives a point's position back.
    low, high = mesh.bounds
    image = texels.image((texels.points - low) / (high - low))
    points, at = on_surface(mesh, 2000, np.random.default_rng(0))
    back = bilinear(image, at) * (high - low) + low
    assert np.median(np.abs(back - points)) < 0.6
    assert uv.min() >= 0


@pytest.mark.parametrize("tolerance", [None, 0.0])
def test_baked_colour_is_the_fields(body: Mesh, rng: np.random.Generator, tolerance: float | None) -> None:
    mesh = unwrap(body, 1024).mesh
    texels = surface_texels(mesh, 1024, unwrap(body, 1024).chart)
    values, asked = bake_field(texels, waves) if tolerance is None else bake_field(texels, waves, tolerance)
    exact = waves(texels.points)
    assert np.abs(values - exact).max() < (1e-5 if tolerance == 0 else 6 / 255)
    assert asked == len(texels.pixel) if tolerance == 0 else asked < 0.7 * len(texels.pixel)
    baked = replace(mesh, texture=texels.image(values))
    assert error_of(baked, waves, rng) <= GOAL


def test_an_edge_in_the_field_stays_sharp(body: Mesh) -> None:
    def split(points: np.ndarray) -> np.ndarray:
        return np.repeat((points[:, 1:2] > 100.3).astype(float), 3, axis=1)

    found = unwrap(body, 512)
    texels = surface_texels(found.mesh, 512, found.chart)
    values, _ = bake_field(texels, split)
    assert np.abs(values - split(texels.points)).mean() < 1e-4


def networks() -> Networks:
    """Random tiny networks whose colours vary."""
    generator = torch.Generator().manual_seed(3)
    parts = (
        ShapeNetwork(shape_preset("tiny")),
        ColorCoarseNetwork(color_preset("tiny")),
        ColorFineNetwork(color_preset("tiny")),
    )
    with torch.no_grad():
        for network in parts:
            for parameter in network.parameters():
                if parameter.ndim > 1:
                    parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.15)
    return Networks(*(part.eval() for part in parts), torch.device("cpu"))


def test_texture_of_the_networks_is_their_colour(body: Mesh, rng: np.random.Generator) -> None:
    prior = FacePrior(tiny_person.face_mesh(), tiny_person.FACE_BOX)
    color = encode_person(networks(), tiny_person.photo(), prior).color
    assert color is not None
    mesh, numbers = texture_mesh(body, color, 1024)
    assert numbers["texels_asked"] <= numbers["texels"]
    points, uv = on_surface(mesh, 10_000, rng)
    assert mesh.texture is not None and mesh.colors is not None
    wanted = color(points)
    assert wanted.std(axis=0).max() > 0.02
    assert np.abs(bilinear(mesh.texture, uv) - wanted).mean() <= GOAL
    # The face branch is heard: without the prior its region has other colours.
    plain = encode_person(networks(), tiny_person.photo()).color
    head = points[:, 1] > 158
    assert plain is not None and np.abs(plain(points[head]) - wanted[head]).mean() > GOAL
    np.testing.assert_allclose(mesh.colors, color(mesh.vertices), atol=1e-6)


def test_photo_is_projected_where_it_shows_the_surface(body: Mesh) -> None:
    person, camera = tiny_person.photo(512), Camera()
    projection = PhotoProjection(body, camera, person.rgb, person.mask)
    mesh = tiny_person.figure()
    seen, weight = projection(mesh.vertices, mesh.vertex_normals())
    assert mesh.colors is not None
    sure = weight[:, 0] > 0.9
    assert 0.1 < sure.mean() < 0.5
    # Far from the borders between its colours the figure's photo shows the figure's colours.
    y = mesh.vertices[:, 1]
    plain = sure & (np.abs(y - 80) > 2) & (np.abs(y - 150) > 2)
    assert np.abs(seen[plain] - mesh.colors[plain]).max() < 0.03
    normal = mesh.vertex_normals()
    assert (weight[normal[:, 2] < 0.3] == 0).all()
    assert weight.min() >= 0 and weight.max() <= 1


def test_hidden_surface_keeps_its_own_colour() -> None:
    """A small plate before a large one: what it hides, and the rim around it, is left to the field."""

    def plate(half: float, z: float) -> np.ndarray:
        return np.array(
            [[-half, 90 - half, z], [half, 90 - half, z], [half, 90 + half, z], [-half, 90 + half, z]]
        )

    mesh = Mesh(
        np.concatenate([plate(40, 0), plate(10, 20)]),
        np.array([[0, 1, 2], [0, 2, 3], [4, 5, 6], [4, 6, 7]]),
    )
    grid = np.stack(np.meshgrid(np.linspace(-39, 39, 79), np.linspace(51, 129, 79)), axis=-1).reshape(-1, 2)
    points = np.column_stack([grid, np.zeros(len(grid))])
    normals = np.tile([0.0, 0.0, 1.0], (len(points), 1))
    rgb = np.full((512, 512, 3), 200, np.uint8)
    mask = np.zeros((512, 512), np.uint8)
    mask[np.ix_(range(156, 356), range(156, 356))] = 255
    seen, weight = PhotoProjection(mesh, Camera(), rgb, mask)(points, normals)
    reach = np.abs(grid - [0, 90]).max(axis=1)
    assert (weight[reach < 10.2, 0] == 0).all()
    assert (weight[(reach > 14) & (reach < 36), 0] == 1).all()
    assert (weight[reach > 39.7, 0] == 0).all()
    assert np.abs(seen[weight[:, 0] > 0] - 200 / 255).max() < 1e-3
    # Turned away from the camera nothing is taken.
    assert PhotoProjection(mesh, Camera(), rgb, mask)(points, -normals)[1].max() == 0


def test_gutters_repeat_their_chart(body: Mesh) -> None:
    found = unwrap(body, 256)
    texels = surface_texels(found.mesh, 256, found.chart)
    colors = np.random.default_rng(0).random((len(texels.pixel), 3))
    image = texels.image(colors).reshape(-1, 3)
    np.testing.assert_array_equal(image[texels.pixel], np.rint(colors * 255).astype(np.uint8))
    nearest = texels.nearest()
    covered = texels.chart.ravel() >= 0
    assert covered[nearest].all() and (nearest[covered] == np.flatnonzero(covered)).all()
    outside = np.flatnonzero(~covered)[::97]
    here = np.stack(np.divmod(outside, 256), axis=1)
    all_covered = np.stack(np.divmod(np.flatnonzero(covered), 256), axis=1)
    chosen = np.stack(np.divmod(nearest[outside], 256), axis=1)
    best = np.array([np.linalg.norm(all_covered - place, axis=1).min() for place in here])
    np.testing.assert_allclose(np.linalg.norm(chosen - here, axis=1), best, rtol=0.04, atol=0.1)


@pytest.mark.parametrize("count", [6000, 1500, 400])
def test_decimation_keeps_the_body_closed_upright_and_in_place(count: int) -> None:
    mesh = tiny_person.figure()
    assert is_watertight(mesh) and len(mesh.faces) > 8000
    small = decimate(mesh, count)
    assert is_watertight(small) and small.colors is None
    assert 0.9 * count <= len(small.faces) <= count
    assert small.volume == pytest.approx(mesh.volume, rel=0.02 if count > 1000 else 0.06)
    np.testing.assert_allclose(small.bounds, mesh.bounds, atol=1.5)
    assert decimate(small, count) is small


def test_sides_joined_along_an_edge_are_parted() -> None:
    corner = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], dtype=float)
    quads = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    box = np.array([t for a, b, c, d in quads for t in ((a, b, c), (a, c, d))])
    # The second box shares the edge from (1, 1, 0) to (1, 1, 1) with the first.
    both = np.concatenate([corner, corner + (1, 1, 0)])
    vertices, index = np.unique(both, axis=0, return_inverse=True)
    mesh = Mesh(vertices, index.ravel()[np.concatenate([box, box + 8])])
    assert len(vertices) == 14 and not is_watertight(mesh)
    parted = simplify._unpinched(mesh)
    assert is_watertight(parted) and len(parted.vertices) == 16 and len(parted.faces) == 24
    assert parted.volume == pytest.approx(2.0, rel=0.02)
    assert len(np.unique(parted.vertices, axis=0)) == 16


def test_open_and_doubled_edges_are_not_watertight() -> None:
    mesh = tiny_person.figure(32)
    assert not is_watertight(replace(mesh, faces=mesh.faces[1:]))
    assert not is_watertight(replace(mesh, faces=np.concatenate([mesh.faces, mesh.faces[:1]])))
    assert not is_watertight(Mesh(np.zeros((3, 3)), np.zeros((0, 3), int)))


def test_options_that_contradict_are_refused() -> None:
    with pytest.raises(UsageError, match="leave --texture vertex out"):
        MeshOutput(texture="vertex", project_photo=True)
    with pytest.raises(UsageError, match="add --texture uv"):
        MeshOutput(project_photo=True).for_published()
    with pytest.raises(UsageError, match="PLY"):
        MeshOutput(texture="uv").check_formats(("ply",))
    MeshOutput(texture="uv").check_formats(("ply", "obj"))
    with pytest.raises(MeshError, match="unwrap"):
        surface_texels(tiny_person.figure(32), 64)


@pytest.mark.parametrize(
    ("options", "published", "held"),
    [
        ({}, ("vertex", False, None), ("uv", True, TEXTURED_TRIANGLES)),
        ({"project_photo": False}, ("vertex", False, None), ("uv", False, TEXTURED_TRIANGLES)),
        ({"texture": "uv"}, ("uv", False, TEXTURED_TRIANGLES), ("uv", True, TEXTURED_TRIANGLES)),
        ({"texture": "uv", "decimate": 900, "project_photo": True}, ("uv", True, 900), ("uv", True, 900)),
        ({"texture": "vertex", "decimate": 900}, ("vertex", False, 900), ("vertex", False, 900)),
    ],
)
def test_auto_means_what_the_kind_of_network_can_do(
    options: dict[str, Any], published: tuple[object, ...], held: tuple[object, ...]
) -> None:
    chosen = MeshOutput(**options, texture_size=128)
    for found, wanted in ((chosen.for_published(), published), (chosen.for_held(("glb", "ply")), held)):
        assert (found.texture, found.project_photo, found.triangles) == wanted
        assert found.texture_size == 128
    if chosen.project_photo:
        with pytest.raises(UsageError, match="PLY holds no texture"):
            chosen.for_held(("ply",))
        return
    plain = chosen.for_held(("ply",))
    # PLY holds no texture; one that was asked for in words is refused by check_formats.
    assert plain.texture == ("uv" if options.get("texture") == "uv" else "vertex")
    assert plain.project_photo is (plain.texture == "uv")


def test_options_of_a_command_become_those_of_the_mesh_alone() -> None:
    config = EvalPifuConfig(input=Path("x"), texture="uv", turntable="gif", resolution=32)
    assert type(config.for_held(("obj",))) is MeshOutput
    assert config.for_published() == MeshOutput(texture="uv", turntable="gif", project_photo=False)


@pytest.mark.parametrize(("cosine", "inside", "least", "most"), [
    (0.5, 10.0, 0.99, 1.0), (0.19, 10.0, 0.0, 0.0), (1.0, 1.9, 0.99, 1.0), (1.0, 0.4, 0.0, 0.01),
])  # fmt: skip
def test_the_photo_counts_up_to_slanting_surfaces_and_near_the_border(
    cosine: float, inside: float, least: float, most: float
) -> None:
    half = 40.0
    corners = np.array([[-half, 50, 0], [half, 50, 0], [half, 130, 0], [-half, 130, 0]])
    mask = np.zeros((1024, 1024), np.uint8)
    mask[312:712, 312:712] = 255
    projection = PhotoProjection(
        Mesh(corners, np.array([[0, 1, 2], [0, 2, 3]])),
        Camera(),
        np.full((1024, 1024, 3), 99, np.uint8),
        mask,
    )
    normal = np.array([[np.sqrt(1 - cosine**2), 0.0, cosine]])
    weight = projection(np.array([[half - inside, 90.0, 0.0]]), normal)[1][0, 0]
    assert least <= weight <= most
