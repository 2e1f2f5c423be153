"""Textures and previews: colours arrive where they belong."""

from __future__ import annotations

import numpy as np
import pytest

from jiff.geometry.camera import Camera
from jiff.geometry.mesh import Mesh
from jiff.render.preview import CLAY, contact_sheet, fit_camera, orbit_views, render_preview
from jiff.render.texture import MipTexture, bilinear, pyramid_level, texels_per_world

SQUARE = np.array([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]])
FACES = np.array([[0, 1, 2], [0, 2, 3]])
CAMERA = Camera(center_world=np.array([0.5, 0.5, 0.0]), half_width_world=0.5, size=32)


def textured(texture: np.ndarray, repeat: float = 1.0) -> Mesh:
    return Mesh(SQUARE, FACES, uv=SQUARE[:, :2] * repeat, faces_uv=FACES, texture=texture)


def test_texel_centres_are_exact(rng: np.random.Generator) -> None:
    image = rng.integers(0, 256, (7, 5, 3), dtype=np.uint8)
    row, column = np.mgrid[0:7, 0:5]
    uv = np.stack([(column + 0.5) / 5, 1 - (row + 0.5) / 7], -1).reshape(-1, 2)
    assert np.allclose(bilinear(image, uv), image.reshape(-1, 3) / 255, atol=1e-6)


def test_bilinear_is_linear_between_texels() -> None:
    image = np.zeros((1, 2, 3), np.uint8)
    image[0, 1] = 200
    u = np.array([0.25, 0.375, 0.5, 0.625, 0.75])
    got = bilinear(image, np.stack([u, np.full(5, 0.5)], 1))[:, 0] * 255
    assert got == pytest.approx([0, 50, 100, 150, 200], abs=0.6)


def test_edges_stop_and_further_coordinates_repeat(rng: np.random.Generator) -> None:
    image = rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)
    assert np.allclose(bilinear(image, [[0.0, 1.0]])[0], image[0, 0] / 255)
    inside = rng.uniform(0.1, 0.9, (50, 2))
    assert np.allclose(bilinear(image, inside), bilinear(image, inside + [2, -3]), atol=3e-2)


def test_more_points_than_a_row_of_remap(rng: np.random.Generator) -> None:
    image = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
    uv = rng.uniform(0, 1, (40_000, 2))
    whole = bilinear(image, uv)
    parts = np.concatenate([bilinear(image, part) for part in np.array_split(uv, 7)])
    assert np.array_equal(whole, parts)
    assert bilinear(image, np.zeros((0, 2))).shape == (0, 3)


def test_pyramid_keeps_the_mean_and_blends_levels(rng: np.random.Generator) -> None:
    image = rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)
    texture = MipTexture(image)
    uv = rng.uniform(0, 1, (20, 2))
    assert np.allclose(texture.sample(uv, 99.0), image.mean((0, 1)) / 255, atol=0.01)
    low, mid, high = (texture.sample(uv, level) for level in (2.0, 2.5, 3.0))
    assert np.allclose(mid, (low + high) / 2, atol=1e-5)
    each = texture.sample(uv, np.linspace(0, 6, 20))
    assert np.allclose(each[7], texture.sample(uv[7:8], np.linspace(0, 6, 20)[7])[0])


def test_level_of_a_known_density() -> None:
    density = texels_per_world(4 * SQUARE[FACES], SQUARE[FACES][..., :2], (64, 64))
    assert density == pytest.approx(16)
    assert pyramid_level(density, 0.25) == pytest.approx(2)
    assert pyramid_level(density, 1e-3) == pytest.approx(0)


def test_texture_is_upright() -> None:
    texture = np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [255, 255, 0]]], np.uint8)
    image = render_preview(textured(texture), CAMERA, shading=False, samples=1)
    for row, column in [(0, 0), (0, 31), (31, 0), (31, 31)]:
        assert np.array_equal(image[row, column], texture[row // 16, column // 16])


def test_fine_texture_is_filtered() -> None:
    checker = np.zeros((512, 512, 3), np.uint8)
    checker[::2, ::2] = checker[1::2, 1::2] = 255
    image = render_preview(textured(checker), CAMERA, shading=False, samples=1)
    assert np.abs(image.astype(int) - 127).max() <= 2


def test_vertex_colours_clay_and_background() -> None:
    colours = np.array([[1, 0, 0], [1, 0, 0], [0, 0, 1], [0, 0, 1]], float)
    image = render_preview(Mesh(SQUARE, FACES, colors=colours), CAMERA, shading=False)
    assert image[31, 16, 0] > 240 and image[0, 16, 2] > 240
    wide = Camera(center_world=CAMERA.center_world, half_width_world=1.0, size=32)
    image = render_preview(Mesh(SQUARE, FACES), wide, shading=False, background=(0, 1, 0))
    assert np.allclose(image[16, 16] / 255, CLAY, atol=0.01) and tuple(image[0, 0]) == (0, 255, 0)


def test_back_of_a_sheet_is_lit_like_its_front() -> None:
    front = render_preview(Mesh(SQUARE, FACES), CAMERA, samples=1)
    back = render_preview(Mesh(SQUARE, FACES[:, ::-1]), CAMERA, samples=1)
    assert np.array_equal(front, back) and front.mean() > 100


def test_fitted_camera_shows_everything(rng: np.random.Generator) -> None:
    mesh = Mesh(rng.normal(size=(40, 3)) * [0.2, 1.0, 0.5] + [5, 7, 9], rng.integers(0, 40, (60, 3)))
    for yaw in (0, 33, 90):
        ndc = fit_camera(mesh, yaw).world_to_ndc(mesh.vertices)
        assert np.abs(ndc[:, :2]).max() < 1


def test_orbit_and_sheet() -> None:
    views = orbit_views(Mesh(SQUARE, FACES), (0, 90), size=48)
    assert [view.shape for view in views] == [(48, 48, 3)] * 2
    assert (views[0] < 250).sum() > (views[1] < 250).sum()
    gray = np.zeros((20, 30), np.uint8)
    sheet = contact_sheet([*views, gray], ["a", "b", "grün"], columns=2)
    assert sheet.shape[1] == 2 * 54 + 6 and sheet.dtype == np.uint8
    assert contact_sheet([]).shape == (1, 1, 3)


def test_long_labels_stay_under_their_own_picture():
    tile = np.full((64, 128, 3), 90, np.uint8)
    long = "synth_0042 350_0_00 IoU 0.987 and_a_word_that_is_wider_than_the_picture"
    sheet = contact_sheet([tile, tile], [long, ""], columns=2)
    short = contact_sheet([tile, tile], ["a", "b"], columns=2)
    assert sheet.shape[1] == short.shape[1] and sheet.shape[0] > short.shape[0] + 30
    under = sheet[6 + 64 : -6] < 128
    assert under[:, 6 : 6 + 128].sum() > 300
    assert not under[:, 6 + 128 :].any() and not under[:, :6].any()
