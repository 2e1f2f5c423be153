"""UV maps: every texel's point, normal and colour."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from render_scans import egg, unoccluded

from jiff.base.errors import MeshError
from jiff.geometry.camera import Camera
from jiff.render.environments import generate_environments
from jiff.render.sh import environment_in_model_frame, shade
from jiff.render.uvmaps import build_uv_maps, published_normals

SIZE = 256


@pytest.fixture(scope="module")
def maps():
    mesh = egg()
    return build_uv_maps(mesh, unoccluded(mesh), SIZE)


def test_positions_lie_on_the_surface_with_their_normals(maps) -> None:
    unit = (maps.points_world - [0, 90, 0]) / [35, 90, 25]
    assert np.linalg.norm(unit, axis=1) == pytest.approx(1, abs=0.02)
    expected = unit / [35, 90, 25]
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    assert ((expected * maps.normals).sum(1) > 0.995).all()


def test_mask_is_the_unwrapped_rectangle_and_row_0_is_the_top(maps) -> None:
    mask = maps.mask() > 0
    # uv run from 0.05 to 0.95; the poles' triangles leave saw teeth in the first and last band.
    assert mask[25:-25, 15:-15].all() and not mask[:12].any() and not mask[:, :12].any()
    positions = maps.positions()
    assert positions[30, SIZE // 2, 1] > 150 and positions[-30, SIZE // 2, 1] < 30
    assert positions[SIZE // 2, SIZE // 2, 2] > 24


def test_gutters_continue_the_colours(maps) -> None:
    env = np.zeros((9, 3))
    env[0] = 1.0
    image, mask = maps.render(env), maps.mask() > 0
    assert (image[~mask].any(axis=1)).sum() == len(maps.gutter) > 100
    row = SIZE // 2
    left = int(np.flatnonzero(mask[row])[0])
    assert np.abs(image[row, left - 3].astype(int) - image[row, left]).max() <= 2
    assert not image[0, 0].any()


def test_colour_is_albedo_times_published_shade(maps) -> None:
    env, camera = generate_environments(1, 3)[0], Camera.at_yaw(64)
    image = maps.render(environment_in_model_frame(env, camera.rotation))
    wanted = np.clip(maps.albedo * shade(maps.transfer, env, camera.rotation), 0, 1) * 255
    assert np.abs(image.reshape(-1, 3)[maps.texel] - wanted).max() <= 0.51


def test_normal_image_codes_unit_vectors(maps) -> None:
    decoded = maps.normal_image().reshape(-1, 3)[maps.texel] / 127.5 - 1
    assert np.abs(decoded - maps.normals).max() < 0.5 / 127.5 + 1e-6


def test_own_normals_win_over_the_published_rule() -> None:
    mesh = egg()
    assert published_normals(mesh) is mesh.normals
    made_up = published_normals(replace(mesh, normals=None))
    assert ((made_up * mesh.normals).sum(1) > 0.9).all()


def test_meshes_without_usable_uv_are_refused() -> None:
    mesh = egg()
    with pytest.raises(MeshError, match="no texture coordinates"):
        build_uv_maps(replace(mesh, uv=None, faces_uv=None), unoccluded(mesh), SIZE)
    with pytest.raises(MeshError, match="outside the unit square"):
        build_uv_maps(replace(mesh, uv=mesh.uv + 5), unoccluded(mesh), SIZE)


def test_texture_is_filtered_to_the_size_of_the_maps(rng: np.random.Generator) -> None:
    mesh = egg()
    fine = rng.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
    same = build_uv_maps(replace(mesh, texture=fine), unoccluded(mesh), SIZE)
    assert np.abs(same.albedo * 255 - fine.reshape(-1, 3)[same.texel]).max() < 12  # 1/32 texel of noise
    half = build_uv_maps(replace(mesh, texture=fine), unoccluded(mesh), SIZE // 2)
    boxes = fine.reshape(SIZE // 2, 2, SIZE // 2, 2, 3).mean((1, 3))
    assert np.abs(half.albedo * 255 - boxes.reshape(-1, 3)[half.texel]).max() < 8
