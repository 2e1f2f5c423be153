"""G-buffers against closed forms and against the camera."""

from __future__ import annotations

import numpy as np
import pytest

from jiff.geometry.camera import Camera
from jiff.geometry.mesh import Mesh
from jiff.render.gbuffer import pixel_rectangle, render_gbuffer, sample_offsets

SIZE = 64


def quad(x0: float, x1: float, y0: float, y1: float, z: float = 0.0) -> Mesh:
    vertices = np.array([[x0, y0, z], [x1, y0, z], [x1, y1, z], [x0, y1, z]], float)
    return Mesh(vertices, np.array([[0, 1, 2], [0, 2, 3]]))


def blob(rng: np.random.Generator) -> Mesh:
    """A lumpy star-shaped closed surface around (0, 90, 0)."""
    import trimesh

    ball = trimesh.creation.icosphere(subdivisions=3)
    radius = 50 + 12 * np.sin(ball.vertices @ rng.normal(size=(3, 3)) * 2).sum(1, keepdims=True)
    return Mesh(np.asarray(ball.vertices * radius) + [0, 90, 0], np.asarray(ball.faces, np.int64))


def test_quad_on_pixel_borders_is_exact() -> None:
    camera = Camera(center_world=np.zeros(3), half_width_world=SIZE / 2, size=SIZE)
    mask = render_gbuffer(quad(-10, 5, -3, 20), camera).mask()
    expected = np.zeros((SIZE, SIZE), np.uint8)
    expected[SIZE // 2 - 20 : SIZE // 2 + 3, SIZE // 2 - 10 : SIZE // 2 + 5] = 255
    assert np.array_equal(mask, expected)


def test_coverage_of_a_partly_covered_pixel() -> None:
    camera = Camera(center_world=np.zeros(3), half_width_world=2, size=4)
    coverage = render_gbuffer(quad(-0.7, 1.0, -1.0, 1.0), camera, samples=100).coverage()
    assert coverage[1:3, 1] == pytest.approx(0.7, abs=0.01)
    assert (coverage[1:3, 2] == 1).all() and coverage[:, 0].sum() == 0


def test_nearest_surface_wins_and_depth_is_ndc() -> None:
    near, far = quad(-1, 1, -1, 1, z=0.5), quad(-1, 1, -1, 1, z=-0.25)
    mesh = Mesh(np.concatenate([far.vertices, near.vertices]), np.concatenate([far.faces, near.faces + 4]))
    camera = Camera(center_world=np.zeros(3), half_width_world=2, size=32)
    seen = render_gbuffer(mesh, camera)
    assert (seen.face >= 2).all() and seen.front.all()
    assert seen.z_ndc == pytest.approx(0.25, abs=1e-6)
    behind = render_gbuffer(mesh, Camera.at_yaw(180, center_world=np.zeros(3), half_width_world=2, size=32))
    assert (behind.face < 2).all() and not behind.front.any()


@pytest.mark.parametrize(
    "camera",
    [
        Camera.at_yaw(37, 12, size=SIZE),
        Camera.at_yaw(200, size=SIZE).augmented(flip=True, zoom=1.3, shift_ndc=(0.1, -0.2)),
        Camera.at_yaw(5, size=SIZE, half_width_world=20.0, center_world=np.array([10.0, 100.0, 3.0])),
    ],
)
def test_hits_project_to_their_samples(camera: Camera, rng: np.random.Generator) -> None:
    mesh = blob(rng)
    seen = render_gbuffer(mesh, camera)
    points = seen.interpolate(mesh.vertices, mesh.faces)
    row, column = np.divmod(seen.pixel, camera.size)
    assert len(points) > 100
    assert camera.world_to_pixel(points) == pytest.approx(np.stack([column, row], 1) + 0.5, abs=2e-3)
    assert camera.world_to_ndc(points)[:, 2] == pytest.approx(seen.z_ndc, abs=1e-4)
    assert seen.weights.sum(1) == pytest.approx(1, abs=1e-6)


def test_turned_camera_equals_turned_mesh(rng: np.random.Generator) -> None:
    mesh, camera = blob(rng), Camera.at_yaw(70, size=SIZE, center_world=np.zeros(3))
    turned = mesh.transformed(camera.rotation)
    straight = Camera(size=SIZE, center_world=np.zeros(3))
    one, two = render_gbuffer(mesh, camera).face_image(), render_gbuffer(turned, straight).face_image()
    assert (one == two).mean() > 0.999


def test_outline_changes_nothing(rng: np.random.Generator) -> None:
    from jiff.render.shading import outline_points

    mesh, camera = blob(rng), Camera.at_yaw(15, size=SIZE)
    outline = outline_points(mesh.vertices)
    assert len(outline) < len(mesh.vertices)
    assert pixel_rectangle(outline, camera) == pixel_rectangle(mesh.vertices, camera)
    one, two = render_gbuffer(mesh, camera), render_gbuffer(mesh, camera, outline_world=outline)
    assert np.array_equal(one.pixel, two.pixel) and np.array_equal(one.face, two.face)


def test_outside_the_view_is_empty() -> None:
    camera = Camera(center_world=np.zeros(3), half_width_world=1, size=16)
    seen = render_gbuffer(quad(5, 6, 5, 6), camera, samples=3)
    assert len(seen.pixel) == 0 and not seen.mask().any()
    assert (seen.resolve(np.zeros((0, 3), np.float32), (1.0, 0.5, 0.0)) == [1.0, 0.5, 0.0]).all()


def test_resolve_averages_over_the_background() -> None:
    camera = Camera(center_world=np.zeros(3), half_width_world=2, size=4)
    seen = render_gbuffer(quad(-0.5, 1.0, -1.0, 1.0), camera, samples=4)
    image = seen.resolve(np.ones((len(seen.pixel), 1), np.float32), 0.0)[..., 0]
    assert np.allclose(image, seen.coverage())
    assert 0 < image[1, 1] < 1


@pytest.mark.parametrize("samples", [1, 2, 4, 16, 64])
def test_offsets_are_spread(samples: int) -> None:
    offsets = sample_offsets(samples)
    assert offsets.shape == (samples, 2) and (offsets > 0).all() and (offsets < 1).all()
    assert offsets.mean(0) == pytest.approx(0.5, abs=0.5 / samples)
    assert samples > 1 or np.array_equal(offsets, [[0.5, 0.5]])


def test_mask_takes_pixels_that_are_half_covered() -> None:
    camera = Camera(center_world=np.zeros(3), half_width_world=2, size=4)
    for share, wanted in ((0.3, 0), (0.7, 255)):
        seen = render_gbuffer(quad(-share, 1.0, -1.0, 1.0), camera, samples=64)
        assert (seen.mask()[1:3, 1] == wanted).all() and (seen.mask()[1:3, 2] == 255).all()
