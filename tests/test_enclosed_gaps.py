"""Background that limbs enclose leaves the mask where it is clearly told apart from the person, and nothing else does."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import cast

import cv2
import numpy as np
import pytest

from jiff.perception import enclosed
from jiff.perception.crop import Crop
from jiff.perception.enclosed import SIZE, without_enclosed
from jiff.perception.landmarks import Pose
from jiff.perception.mask import person_mask

WALL, SHIRT, SKIN = (205, 200, 192), (60, 90, 160), (175, 120, 95)
SEEN = np.ones((SIZE, SIZE), bool)


def _points() -> np.ndarray:
    """Somebody from the front; the hand of the right arm (left in the picture) is at the waist."""
    points = np.full((33, 2), 256.0)
    points[:11] = 256, 100
    points[[7, 8]] = (282, 100), (230, 100)
    points[[11, 13, 15]], points[[17, 19, 21]] = ((290, 150), (312, 230), (316, 300)), (318, 316)
    points[[12, 14, 16]], points[[18, 20, 22]] = ((222, 150), (140, 230), (212, 290)), (224, 296)
    points[[23, 25, 27, 29, 31]] = (282, 300), (286, 390), (288, 470), (288, 480), (294, 484)
    points[[24, 26, 28, 30, 32]] = (230, 300), (226, 390), (224, 470), (224, 480), (218, 484)
    return points


def _limb(on: np.ndarray, places: list[int], width: int, points: np.ndarray) -> None:
    cv2.polylines(on, [np.rint(points[places]).astype(np.int32)], False, 1, width)


def _drawn(points: np.ndarray, hole: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return [S, S] arms and head, and all of the person with what the arm encloses, ``hole`` its corners."""
    skin, whole = np.zeros((SIZE, SIZE), np.uint8), np.zeros((SIZE, SIZE), np.uint8)
    for side in (0, 1):
        _limb(skin, [11 + side, 13 + side, 15 + side, 19 + side], 22, points)
    cv2.circle(skin, (256, 96), 32, 1, -1)
    whole[136:306, 212:300] = 1
    for side in (0, 1):
        _limb(whole, [23 + side, 25 + side, 27 + side, 31 + side], 40, points)
    filled = skin | whole
    cv2.fillPoly(filled, [np.rint(hole).astype(np.int32)], 1)
    return (skin > 0) & (whole == 0), filled > 0


@pytest.fixture
def scene(rng: np.random.Generator) -> tuple[Callable[..., np.ndarray], np.ndarray, np.ndarray, np.ndarray]:
    """A painter of photos of that person, what the arm encloses, the mask that holds it, and the landmarks."""
    points = _points()
    skin, filled = _drawn(points, points[[12, 14, 16]])
    body = skin.astype(np.uint8)
    body[136:306, 212:300] = 1
    for side in (0, 1):
        _limb(body, [23 + side, 25 + side, 27 + side, 31 + side], 40, points)
    body[filled & (cv2.circle(np.zeros_like(body), (256, 96), 33, 1, -1) > 0)] = 1
    gap = filled & (body == 0)
    assert 0.02 < gap.sum() / filled.sum() < 0.1

    def paint(person: tuple[int, ...] = SHIRT, limbs: tuple[int, ...] = SKIN, **parts: object) -> np.ndarray:
        light = (np.arange(SIZE) - SIZE / 2)[None, :, None] * np.float32(0.03)
        rgb = np.broadcast_to(np.float32(WALL), (SIZE, SIZE, 3)) + light
        rgb = np.where((filled & ~gap)[..., None], np.float32(person), rgb)
        rgb = np.where(skin[..., None], np.float32(limbs), rgb)
        if "gap" in parts:
            rgb = np.where(gap[..., None], np.asarray(parts["gap"], np.float32), rgb)
        return (rgb + rng.integers(-3, 4, rgb.shape)).clip(0, 255).astype(np.uint8)

    return paint, gap, filled, points


def _beside_wall(*offset: int) -> tuple[int, ...]:
    """Return the wall's colour with an offset in Lab of 8 bits."""
    lab = cv2.cvtColor(np.uint8([[WALL]]), cv2.COLOR_RGB2LAB).astype(int) + offset
    return tuple(int(v) for v in cv2.cvtColor(lab.astype(np.uint8), cv2.COLOR_LAB2RGB)[0, 0])


def _stays(rgb: np.ndarray, filled: np.ndarray, points: np.ndarray) -> None:
    share = filled.astype(np.float32)
    np.testing.assert_array_equal(without_enclosed(rgb, share, SEEN, points), share)


def test_a_wall_between_arm_and_waist_leaves_the_mask(scene) -> None:
    paint, gap, filled, points = scene
    share = filled.astype(np.float32)
    for shadow in (0, 12):
        rgb = paint(gap=np.subtract(WALL, shadow)) if shadow else paint()
        found = without_enclosed(rgb, share, SEEN, points)
        assert (found[gap] == 0).mean() > 0.97, f"shadow of {shadow}"
        np.testing.assert_array_equal(found[~gap], share[~gap])
        np.testing.assert_array_equal(without_enclosed(rgb, share, SEEN, points), found)


def test_the_random_numbers_of_the_process_stay_its_own(scene) -> None:
    paint, gap, filled, points = scene
    drawn = []
    for look in (False, True):
        cv2.setRNGSeed(7)
        if look:
            found = without_enclosed(paint(), filled.astype(np.float32), SEEN, points)
            assert (found[gap] == 0).mean() > 0.97
        drawn.append(cv2.randu(np.zeros(8, np.float64), 0, 1).ravel())
    np.testing.assert_array_equal(*drawn)


def test_colours_are_sorted_as_opencv_does_it(rng: np.random.Generator) -> None:
    sample = np.float32(rng.normal(rng.uniform(0, 255, (9, 3))[rng.integers(0, 9, 3000)], 6))
    cv2.setRNGSeed(0)
    stop = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 10, 1.0)
    told = cv2.kmeans(sample, 6, np.empty(0, np.int32), stop, 2, cv2.KMEANS_PP_CENTERS)[2]
    np.testing.assert_allclose(enclosed._clusters(sample), told, atol=1e-3)


def test_a_wall_of_two_colours_leaves_too(scene) -> None:
    paint, gap, filled, points = scene
    rgb = paint(gap=(120, 70, 60))
    # A door on that side: its colour is a part of what is near, the wall's another.
    door = np.zeros_like(gap)
    door[:, :186] = True
    rgb[door & ~filled] = rgb[gap][0]
    share = filled.astype(np.float32)
    found = without_enclosed(rgb, share, SEEN, points)
    assert (found[gap] == 0).mean() > 0.97 and (found[filled & ~gap] == 1).all()
    # A picture on the wall of that colour is too little of it.
    rgb = paint(gap=(120, 70, 60))
    rgb[150:180, 90:120] = rgb[gap][0]
    _stays(rgb, filled, points)


def test_a_person_in_the_walls_colours_stays_whole(scene) -> None:
    paint, _, filled, points = scene
    _stays(paint(person=WALL, limbs=WALL), filled, points)
    # White sleeves, dark trousers: the gap goes on into the sleeve.
    _stays(paint(limbs=WALL), filled, points)
    # Nearly of the wall's colours: told apart, but by no clear edge.
    near = _beside_wall(0, 0, 15)
    _stays(paint(person=near, limbs=near), filled, points)


def test_a_coat_that_an_arm_holds_open_stays(scene) -> None:
    paint, gap, filled, points = scene
    _stays(paint(gap=SHIRT), filled, points)
    _stays(paint(gap=(90, 140, 80)), filled, points)
    # A coat whose colour comes near the wall's, and one whose folds do, in the light.
    _stays(paint(gap=_beside_wall(0, 0, 10)), filled, points)
    fold = (np.arange(SIZE)[None, :] - np.flatnonzero(gap.any(0))[0]) * 0.9
    _stays(paint(gap=np.subtract(WALL, fold[..., None])), filled, points)


def test_cuffs_prints_and_earrings_in_the_walls_colour_stay(scene) -> None:
    paint, _, filled, points = scene
    # The arm's cuff, a print on the chest, an earring beside the neck.
    for x, y in ((186, 268), (256, 220), (229, 118)):
        rgb = paint(gap=SHIRT)
        rgb[y - 9 : y + 9, x - 9 : x + 9] = WALL
        _stays(rgb, filled, points)
    # A print that a forearm before the belly encloses.
    crossed = points.copy()
    crossed[[15, 17, 19, 21]] = (250, 290)
    rgb = paint(gap=SHIRT)
    rgb[211:229, 269:287] = WALL
    _stays(rgb, filled, crossed)
    # Who wears one before the chest may wear another beside the waist.
    rgb = paint()
    rgb[211:229, 247:265] = WALL
    _stays(rgb, filled, points)


def test_beside_the_head_only_a_hand_encloses(scene) -> None:
    paint, _, filled, points = scene
    neck = np.zeros_like(filled)
    neck[92:112, 204:220] = True
    share = (filled | cv2.dilate(neck.astype(np.uint8), np.ones((25, 25), np.uint8)) > 0).astype(np.float32)
    rgb = paint(gap=SHIRT)
    rgb[(share > 0) & ~filled] = SHIRT
    rgb[neck] = WALL
    np.testing.assert_array_equal(without_enclosed(rgb, share, SEEN, points), share)
    raised = points.copy()
    raised[[14, 16]], raised[[18, 20, 22]] = ((160, 175), (190, 90)), (200, 80)
    found = without_enclosed(rgb, share, SEEN, raised)
    assert (found[neck] == 0).mean() > 0.8 and (found[~neck] == share[~neck]).all()


def test_a_band_that_mostly_borders_on_the_background_is_not_enclosed(scene) -> None:
    paint, gap, filled, points = scene
    band = gap.copy()
    band[:, :198] = band[:205] = band[265:] = False
    _stays(paint(), (filled & ~gap) | band, points)


def test_nothing_is_known_of_what_lies_outside_the_photo(scene) -> None:
    paint, _, filled, points = scene
    share = filled.astype(np.float32)
    cut = paint()
    np.testing.assert_array_equal(without_enclosed(cut, share, filled, points), share)
    np.testing.assert_array_equal(without_enclosed(cut, np.ones_like(share), SEEN, points), 1)
    np.testing.assert_array_equal(without_enclosed(cut, np.zeros_like(share), SEEN, points), 0)
    # Landmarks far outside the window.
    np.testing.assert_array_equal(without_enclosed(cut, share, SEEN, points + 5000), share)


def test_masks_of_photos_lose_the_gap_in_a_turned_window(scene) -> None:
    paint, gap, filled, points = scene
    rgb = paint()
    crop = Crop((260.0, 250.0), 560.0, 0.1)
    share = crop.take((filled * 255).astype(np.uint8), 256).astype(np.float32) / 255
    pose = cast("Pose", SimpleNamespace(mask=share, crop=crop, points_px=points))
    found = person_mask(rgb, pose)
    inner = cv2.erode(gap.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    assert (found[inner] < 128).mean() > 0.97
    body = cv2.erode((filled & ~gap).astype(np.uint8), np.ones((7, 7), np.uint8)) > 0
    assert (found[body] >= 128).mean() > 0.995
    coat = person_mask(paint(gap=SHIRT), pose)
    assert (coat[inner] >= 128).all()


def test_pieces_that_hang_together_by_threads_are_apart() -> None:
    on = np.zeros((SIZE, SIZE), bool)
    on[100:140, 100:140] = on[100:140, 150:190] = True
    on[120, 140:150] = True
    assert len(enclosed._pieces(on, 100.0)) == 2
    assert len(enclosed._pieces(on, 2000.0)) == 0
