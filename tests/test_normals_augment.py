"""Photos with normals: how they are stored, and changes that must leave the shape true."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from jiff.base.errors import DatasetError
from jiff.data.normal_view import (
    NormalView,
    read_normal_view,
    read_normals,
    stored_normals,
    write_normal_view,
)
from jiff.data.normals_augment import (
    Shown,
    cropped,
    lamp_light,
    lit,
    mirrored,
    patterned,
    photographed,
    rough_mask,
    shadowed,
    smooth_noise,
    unit,
    valley_shade,
)
from jiff.data.normals_set import filled_up, item_tensors

SIZE = 96


def ball(size: int = SIZE, share: float = 0.8) -> Shown:
    """A gray ball in the middle."""
    side = ((np.arange(size) + 0.5) / size * 2 - 1) / share
    x, y = np.meshgrid(side, -side)
    there = x * x + y * y < 1
    z = np.sqrt(np.maximum(1 - x * x - y * y, 0))
    normals = np.where(there[..., None], np.stack([x, y, z], axis=-1), 0)
    return Shown(
        np.full((size, size, 3), 0.5, np.float32), normals.astype(np.float32), there.astype(np.float32)
    )


def furrow(depth: float, size: int = SIZE) -> Shown:
    """A sheet with one valley (``depth`` > 0) or ridge from top to bottom in its middle."""
    x = np.broadcast_to(np.arange(size) - size / 2, (size, size))
    slope = depth * x / 30 * np.exp(-((x / 8) ** 2))
    normals = unit(np.stack([-slope, np.zeros_like(slope), np.ones_like(slope)], axis=-1))
    return Shown(np.full((size, size, 3), 0.5, np.float32), normals, np.ones((size, size), np.float32))


def test_stored_normals_come_back_within_a_degree_and_nobody_is_nothing() -> None:
    shown = ball()
    there = shown.mask > 0
    stored = stored_normals(shown.normals, there)
    assert stored.dtype == np.uint8 and np.all(stored[~there] == 0) and np.all(stored[there] > 0)
    found, mask = read_normals(stored)
    assert np.array_equal(mask, shown.mask) and np.all(found[~there] == 0)
    np.testing.assert_allclose(np.linalg.norm(found[there], axis=-1), 1, atol=1e-5)
    cosine = np.clip((found[there] * shown.normals[there]).sum(axis=-1), -1, 1)
    assert np.degrees(np.arccos(cosine)).max() < 1


def test_views_come_back_and_damaged_ones_are_told(tmp_path: Path) -> None:
    path = tmp_path / "normals_0.npz"
    shown = ball(32)
    view = NormalView(np.full((32, 32, 3), 9, np.uint8), stored_normals(shown.normals, shown.mask > 0))
    write_normal_view(path, view)
    assert [item.name for item in tmp_path.iterdir()] == [path.name]
    again = read_normal_view(path)
    assert np.array_equal(again.rgb, view.rgb) and np.array_equal(again.normals, view.normals)
    whole = path.read_bytes()
    damages: list[Callable[[], object]] = [
        lambda: path.write_bytes(whole[:100]),
        lambda: path.write_bytes(b"no archive"),
        lambda: write_normal_view(path, NormalView(view.rgb, np.zeros_like(view.normals))),
        lambda: write_normal_view(path, NormalView(view.rgb[:5], view.normals)),
        lambda: np.savez(path, rgb=view.rgb),
        lambda: np.savez(path, format=np.array(99), rgb=view.rgb, normals=view.normals),
        path.unlink,
    ]
    for damage in damages:
        damage()
        with pytest.raises(DatasetError, match=rf"{path}: cannot be read.*jiff data normals"):
            read_normal_view(path)


@pytest.mark.parametrize("seed", range(8))
def test_crops_keep_normals_of_length_one_and_true(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shown = cropped(ball(200), 64, rng)
    assert shown.rgb.shape == (64, 64, 3) and shown.mask.shape == (64, 64)
    sure = shown.mask > 0.95
    assert sure.any(), "a crop shows somebody"
    np.testing.assert_allclose(np.linalg.norm(shown.normals[sure], axis=-1), 1, atol=1e-5)
    length = np.linalg.norm(shown.normals, axis=-1)
    assert np.all((np.abs(length - 1) < 1e-5) | (length == 0))
    # A ball's normals grow linearly: their slope tells the scale, the same across and down.
    across = np.diff(shown.normals[..., 0], axis=1)[sure[:, 1:] & sure[:, :-1]]
    down = -np.diff(shown.normals[..., 1], axis=0)[sure[1:] & sure[:-1]]
    scale = 1 / (80 * np.median(across))
    assert 0.75 < scale < 1.5 and np.median(down) == pytest.approx(np.median(across), rel=0.1)


def test_crops_of_nobody_are_refused() -> None:
    nobody = Shown(*(np.zeros_like(item) for item in vars(ball(40)).values()))
    with pytest.raises(DatasetError, match="shows nobody"):
        cropped(nobody, 32, np.random.default_rng(0))


def test_mirrored_photos_show_mirrored_normals() -> None:
    shown = cropped(ball(200), 64, np.random.default_rng(2))
    other = mirrored(shown)
    np.testing.assert_array_equal(other.normals[..., 0], -shown.normals[:, ::-1, 0])
    np.testing.assert_array_equal(other.normals[..., 1:], shown.normals[:, ::-1, 1:])
    np.testing.assert_array_equal(other.mask, shown.mask[:, ::-1])
    for name, value in vars(mirrored(other)).items():
        np.testing.assert_array_equal(value, getattr(shown, name))
    whole = ball()
    np.testing.assert_allclose(
        mirrored(whole).normals, whole.normals, atol=1e-6, err_msg="a ball is its own mirror"
    )


def test_a_lamp_brightens_what_faces_it() -> None:
    shown = ball()
    lamp = np.array([0.6, 0.0, 0.8])
    light = lamp_light(shown.normals, lamp, 0.2)
    there = shown.mask > 0
    row, column = np.unravel_index(np.argmax(light), light.shape)
    np.testing.assert_allclose(shown.normals[row, column], lamp, atol=0.03)
    assert light.max() == pytest.approx(1, abs=1e-3) and light[there].min() == pytest.approx(0.2)
    np.testing.assert_allclose(light[~there], 0.2)
    np.testing.assert_allclose(lamp_light(shown.normals, lamp, 1.0), 1)


def test_valleys_lie_in_the_shade_and_flat_cloth_does_not() -> None:
    middle = SIZE // 2
    valley, ridge, flat = (valley_shade(furrow(depth), 2.0, 8.0) for depth in (4.0, -4.0, 0.0))
    assert valley[middle, middle] < 0.8 < 1 < ridge[middle, middle]
    np.testing.assert_allclose(flat, 1, atol=1e-5)
    np.testing.assert_allclose(valley[:, :5], 1, atol=0.01)
    # Valleys that run across are as dark.
    turned = furrow(4.0)
    turned = Shown(
        turned.rgb, np.ascontiguousarray(turned.normals.transpose(1, 0, 2)[..., [1, 0, 2]] * [1, -1, 1], np.float32),
        turned.mask,
    )  # fmt: skip
    np.testing.assert_allclose(valley_shade(turned, 2.0, 8.0), valley.T, atol=1e-5)


@pytest.mark.parametrize("seed", range(6))
def test_lit_photos_are_about_as_bright_as_before(seed: int) -> None:
    shown = ball()
    rgb = lit(shown, np.random.default_rng(seed))
    there = shown.mask > 0.5
    assert rgb.dtype == np.float32 and 0.4 < rgb[there].mean() < 0.9
    assert rgb[there].std() > 0.01
    assert np.array_equal(shown.rgb, ball().rgb) and np.array_equal(shown.normals, ball().normals)


@pytest.mark.parametrize(
    "change",
    [patterned, shadowed, lambda rgb, rng: photographed(rgb, 1.0, rng)],
    ids=["pattern", "shadow", "tones"],
)
def test_changes_differ_by_seed_stay_pictures_and_leave_what_they_got(
    change: Callable[[np.ndarray, np.random.Generator], np.ndarray],
) -> None:
    rgb = ball().rgb
    first, again, other = (change(rgb, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert first.shape == rgb.shape and first.dtype == np.float32 and np.isfinite(first).all()
    assert np.array_equal(first, again) and not np.array_equal(first, other)
    assert first.min() > -0.1 and first.max() < 1.1
    assert np.array_equal(rgb, ball().rgb)


def test_no_strength_leaves_photos_as_they_are() -> None:
    rgb = smooth_noise(SIZE, 9, np.random.default_rng(0))[..., None].repeat(3, axis=2) * 0.1 + 0.5
    np.testing.assert_allclose(
        photographed(rgb, 0.0, np.random.default_rng(0)), np.clip(rgb, 0, 1), atol=1e-6
    )


@pytest.mark.parametrize("seed", range(6))
def test_rough_masks_are_nearly_the_true_ones(seed: int) -> None:
    mask = ball().mask
    found = rough_mask(mask, np.random.default_rng(seed))
    assert found.dtype == np.float32 and found.min() >= 0 and found.max() <= 1
    on = found > 0.5
    assert (on & (mask > 0.5)).sum() / (on | (mask > 0.5)).sum() > 0.85
    assert not np.array_equal(found, mask)


def test_items_count_what_faces_the_camera_away_from_the_outline() -> None:
    shown = ball(60)
    shown.normals[30, 30] = (0, 0.6, -0.8)
    shown.mask[20, 30] = 0.9
    filled = filled_up(shown, 32)
    assert filled.mask.shape == (64, 64) and filled.rgb.shape == (64, 64, 3)
    assert np.array_equal(filled.normals[:60, :60], shown.normals) and not filled.mask[60:].any()
    tensors = item_tensors(filled, filled.mask)
    assert {name: tuple(value.shape) for name, value in tensors.items()} == {
        "images": (4, 64, 64), "normals": (3, 64, 64), "counted": (1, 64, 64),
    }  # fmt: skip
    counted = tensors["counted"][0].numpy()
    assert counted[30, 30] == counted[20, 30] == 0 and counted[31, 30] == 1
    assert counted.sum() == (shown.mask > 0).sum() - 2
    np.testing.assert_allclose(tensors["images"][3].numpy(), filled.mask * 2 - 1)
