"""The camera against closed forms, its own inverse, and published PARAM records."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jiff.base.errors import InputError
from jiff.geometry.camera import Camera, rotation_x, rotation_y

angles = st.integers(0, 359)


def test_canonical_view_maps_feet_and_head_to_known_pixels() -> None:
    camera = Camera.at_yaw(0)
    pixels = camera.world_to_pixel([[0, 0, 0], [0, 180, 0], [-102.4, 90, 0]])
    np.testing.assert_allclose(pixels, [[256, 256 + 90 / 0.4], [256, 256 - 90 / 0.4], [0, 256]], atol=1e-9)


def test_z_grows_towards_the_camera() -> None:
    camera = Camera.at_yaw(0)
    near, far = camera.world_to_ndc([[0, 90, 10], [0, 90, -10]])[:, 2]
    assert near == pytest.approx(10 / 102.4)
    assert far == pytest.approx(-10 / 102.4)


def test_yaw_90_turns_the_front_to_the_right_of_the_image() -> None:
    x, y, z = Camera.at_yaw(90).world_to_ndc([0, 90, 10])
    assert (x, y, z) == pytest.approx((10 / 102.4, 0, 0), abs=1e-12)


@settings(max_examples=50, deadline=None)
@given(
    yaw=angles,
    pitch=st.integers(-40, 40),
    flip=st.booleans(),
    zoom=st.floats(0.5, 2),
    shift=st.tuples(st.floats(-0.3, 0.3), st.floats(-0.3, 0.3)),
    size=st.sampled_from([128, 512, 1024]),
)
def test_round_trips_hold_for_every_view(
    yaw: int, pitch: int, flip: bool, zoom: float, shift: tuple[float, float], size: int
) -> None:
    camera = Camera.at_yaw(yaw, pitch, size=size).augmented(flip=flip, zoom=zoom, shift_ndc=shift)
    points = np.random.default_rng(0).uniform(-90, 90, (20, 3))
    ndc = camera.world_to_ndc(points)
    np.testing.assert_allclose(camera.ndc_to_world(ndc), points, atol=1e-8)
    np.testing.assert_allclose(camera.pixel_to_ndc(camera.ndc_to_pixel(ndc)), ndc[:, :2], atol=1e-10)
    np.testing.assert_allclose(
        camera.pixel_to_world(camera.world_to_pixel(points), ndc[:, 2]), points, atol=1e-8
    )


@settings(max_examples=40, deadline=None)
@given(
    flip=st.booleans(), zoom=st.floats(0.5, 2), shift=st.tuples(st.floats(-0.3, 0.3), st.floats(-0.3, 0.3))
)
def test_image_affine_agrees_with_projection(flip: bool, zoom: float, shift: tuple[float, float]) -> None:
    plain = Camera.at_yaw(33)
    moved = plain.augmented(flip=flip, zoom=zoom, shift_ndc=shift)
    points = np.random.default_rng(1).uniform(-90, 90, (20, 3))
    source = np.concatenate([plain.world_to_pixel(points), np.ones((20, 1))], axis=1)
    np.testing.assert_allclose(source @ moved.image_affine.T, moved.world_to_pixel(points), atol=1e-8)


def test_two_augmentations_equal_their_affine_product() -> None:
    first, second = (
        {"flip": True, "zoom": 1.3, "shift_ndc": (0.1, -0.2)},
        {"flip": True, "zoom": 0.8, "shift_ndc": (0.05, 0.1)},
    )
    plain = Camera.at_yaw(10)
    both = plain.augmented(**first).augmented(**second)
    a, b = (np.vstack([plain.augmented(**k).image_affine, [0, 0, 1]]) for k in (first, second))
    np.testing.assert_allclose(both.image_affine, (b @ a)[:2], atol=1e-9)


@given(yaw=angles)
def test_yaw_is_recovered(yaw: int) -> None:
    assert Camera.at_yaw(yaw).yaw_deg == pytest.approx(yaw, abs=1e-6)


def test_rotations_are_right_handed() -> None:
    np.testing.assert_allclose(rotation_y(np.pi / 2) @ [0, 0, 1], [1, 0, 0], atol=1e-12)
    np.testing.assert_allclose(rotation_x(np.pi / 2) @ [0, 1, 0], [0, 0, 1], atol=1e-12)


def test_param_round_trip_and_image_size_independence() -> None:
    camera = Camera.at_yaw(36, center_world=np.array([1.0, 90.0, -2.0]))
    back = Camera.from_param(camera.with_size(1024).to_param(), size=512)
    np.testing.assert_allclose(back.calib, camera.calib, atol=1e-12)


def test_broken_param_is_refused() -> None:
    with pytest.raises(InputError, match="PARAM record"):
        Camera.from_param({"ortho_ratio": 0.4, "scale": 1.0, "center": [0, 0], "R": np.eye(3)})


def test_pixel_rays_reach_the_pixel() -> None:
    camera = Camera.at_yaw(77, 12)
    origins, direction = camera.pixel_rays([[100.5, 200.5]])
    for distance in (0.0, 250.0):
        np.testing.assert_allclose(
            camera.world_to_pixel(origins + distance * direction), [[100.5, 200.5]], atol=1e-8
        )
    assert camera.world_to_ndc(origins)[0, 2] > 1
