"""Augmentation: geometry goes through the camera, colours mean what their options say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_set import person_mesh

from jiff.base.errors import ConfigError
from jiff.data.augment import AugmentConfig, draw_camera, jitter_colors, network_image, warp_image
from jiff.geometry.camera import Camera
from jiff.geometry.raycast import RayScene

MESH = person_mesh((30.0, 80.0, 18.0))
SCENE = RayScene(MESH.vertices, MESH.faces)
SIZE = 96


def _silhouette(camera: Camera) -> np.ndarray:
    size = camera.size
    grid = np.stack(np.meshgrid(np.arange(size) + 0.5, np.arange(size) + 0.5), axis=-1).reshape(-1, 2)
    hit = SCENE.intersect(*camera.pixel_rays(grid)).hit
    return np.where(hit, 255, 0).astype(np.uint8).reshape(size, size, 1)


@settings(max_examples=40, deadline=None)
@given(
    yaw=st.integers(0, 359),
    flip=st.booleans(),
    zoom=st.floats(0.8, 1.25),
    shift=st.tuples(st.floats(-0.2, 0.2), st.floats(-0.2, 0.2)),
    center=st.tuples(st.floats(-20, 20), st.floats(80, 100)),
)
def test_surface_points_hit_the_warped_mask(yaw, flip, zoom, shift, center):
    plain = Camera.at_yaw(yaw, size=SIZE, center_world=np.array([center[0], center[1], 0.0]))
    camera = plain.augmented(flip=flip, zoom=zoom, shift_ndc=shift)
    mask = np.squeeze(warp_image(_silhouette(plain), camera))
    pixels = camera.world_to_pixel(MESH.vertices)
    within = ((pixels > 2) & (pixels < SIZE - 2)).all(axis=1)
    # A vertex at the silhouette falls within a pixel of the mask: look at the brightest neighbour.
    neighbours = np.max([np.roll(mask, (dy, dx), (0, 1)) for dy in (-1, 0, 1) for dx in (-1, 0, 1)], axis=0)
    column, row = np.floor(pixels[within]).astype(int).T
    assert (neighbours[row, column] > 60).all()
    # And the warped mask is what the augmented camera itself sees, but for a band along the silhouette, which moves by
    # a fraction of a pixel, and the border, where the plain image ends.
    seen = np.squeeze(_silhouette(camera))
    band = np.zeros(seen.shape, dtype=bool)
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            band |= np.roll(seen, (dy, dx), (0, 1)) != seen
    content = np.squeeze(warp_image(np.full((SIZE, SIZE, 1), 255, np.uint8), camera)) == 255
    certain = content & ~band
    certain[[0, -1]] = certain[:, [0, -1]] = False
    assert ((mask > 127) == (seen > 127))[certain].all()
    assert certain.sum() > 0.5 * content.sum()


def test_no_change_returns_the_same_image(rng):
    image = rng.integers(0, 255, (SIZE, SIZE, 4), dtype=np.uint8)
    assert warp_image(image, Camera(size=SIZE)) is image


def test_flip_is_an_exact_mirror(rng):
    image = rng.integers(0, 255, (SIZE, SIZE, 4), dtype=np.uint8)
    np.testing.assert_array_equal(warp_image(image, Camera(size=SIZE).augmented(flip=True)), image[:, ::-1])


def test_drawn_cameras_stay_in_the_published_ranges(rng):
    config = AugmentConfig(random_flip=True, random_scale=True, random_trans=True)
    drawn = [draw_camera(config, Camera(size=SIZE), rng) for _ in range(400)]
    assert 120 < sum(camera.flip for camera in drawn) < 280
    zooms = np.array([camera.zoom for camera in drawn])
    assert zooms.min() >= 0.9 and zooms.max() <= 1.1 and np.ptp(zooms) > 0.15
    shifts = np.array([camera.shift_ndc for camera in drawn])
    assert (np.abs(shifts) <= (1.2 * zooms[:, None] - 1) * 0.2 + 1e-9).all()
    assert np.abs(shifts).max() > 0.03


def test_without_options_the_camera_is_kept(rng):
    camera = Camera(size=SIZE)
    assert draw_camera(AugmentConfig(), camera, rng).calib == pytest.approx(camera.calib)


def test_brightness_scales_and_saturation_keeps_gray(rng):
    image = np.full((8, 8, 3), (100, 50, 20), np.uint8)
    brighter = jitter_colors(image, AugmentConfig(aug_bri=0.4), rng)
    ratio = brighter[0, 0] / image[0, 0]
    assert ratio == pytest.approx(np.full(3, ratio[0]), abs=0.04) and 0.6 <= ratio[0] <= 1.4
    gray = np.full((8, 8, 3), 90, np.uint8)
    np.testing.assert_array_equal(jitter_colors(gray, AugmentConfig(aug_sat=0.9, aug_hue=0.4), rng), gray)


def test_contrast_keeps_the_mean_gray_and_hue_keeps_the_value(rng):
    image = rng.integers(80, 170, (32, 32, 3), dtype=np.uint8)
    contrast = jitter_colors(image, AugmentConfig(aug_con=0.3), rng)
    weights = np.array([0.299, 0.587, 0.114])
    assert (contrast @ weights).mean() == pytest.approx((image @ weights).mean(), abs=1)
    assert not np.array_equal(contrast, image)
    hue = jitter_colors(image, AugmentConfig(aug_hue=0.5), rng)
    np.testing.assert_allclose(hue.max(axis=2), image.max(axis=2), atol=1)


def test_blur_and_lighting_change_the_image(rng):
    image = rng.integers(0, 255, (32, 32, 3), dtype=np.uint8)
    blurred = jitter_colors(image, AugmentConfig(aug_blur=4.0), rng)
    assert (
        np.abs(np.diff(blurred.astype(float), axis=0)).mean()
        < np.abs(np.diff(image.astype(float), axis=0)).mean()
    )
    lit = jitter_colors(np.full((4, 4, 3), 100, np.uint8), AugmentConfig(aug_alstd=0.5), rng)
    assert not np.array_equal(lit, np.full((4, 4, 3), 100, np.uint8))


def test_jitter_is_seeded():
    image = np.full((8, 8, 3), 120, np.uint8)
    config = AugmentConfig(aug_bri=0.5, aug_con=0.5, aug_sat=0.5, aug_hue=0.2)
    first, second = (jitter_colors(image, config, np.random.default_rng(5)) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_network_image_is_zero_outside_the_mask():
    rgb = np.zeros((2, 2, 3), np.uint8)
    rgb[0] = 255
    result = network_image(rgb, np.array([[255, 0], [255, 0]], np.uint8))
    np.testing.assert_allclose(result[0], [[1, 0], [-1, 0]])
    assert result.shape == (3, 2, 2) and result.dtype == np.float32


def test_network_image_of_any_pixel(rng):
    rgb = rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)
    mask = rng.integers(0, 256, (20, 30), dtype=np.uint8)
    expected = (rgb / 255.0 * 2 - 1) * (mask / 255.0)[..., None]
    # The image is usually a view of an RGBA array.
    seen = network_image(np.dstack([rgb, mask])[..., :3], mask)
    np.testing.assert_allclose(seen, expected.transpose(2, 0, 1), atol=1e-6)
    assert seen.flags.c_contiguous


def test_bad_options_are_refused():
    with pytest.raises(ConfigError, match="aug_bri"):
        AugmentConfig(aug_bri=-0.1)
    with pytest.raises(ConfigError, match="aug_hue"):
        AugmentConfig(aug_hue=0.6)
