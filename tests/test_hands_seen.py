"""Hands in photos: windows, whose hand it is, and the record of a photo."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from jiff.base.errors import AssetError, InputError
from jiff.base.files import write_json
from jiff.perception.crop import Crop
from jiff.perception.hands import first_crops, is_of, next_crop, see_hands
from jiff.perception.landmarks import FINGERS, HAND_LINES, HandPoints, Pose
from jiff.perception.networks import PersonNetworks
from jiff.photo.images import read_image
from jiff.photo.observed import observe
from jiff.photo.seen import Seen, read_seen_hands, see_person, write_seen
from jiff.photo.test_folder import PersonFiles, read_person
from tests.known_person import write_framed

PX_PER_M = 500.0
LEFT_WRIST, RIGHT_WRIST = np.array([420.0, 400.0]), np.array([180.0, 400.0])


def pose() -> Pose:
    """Return landmarks of somebody whose arms hang, hands downwards, 500 pixels a metre."""
    points = np.zeros((33, 2))
    points[[11, 12]] = [[380.0, 150.0], [220.0, 150.0]]
    points[[13, 14]] = [[410.0, 280.0], [190.0, 280.0]]
    points[15], points[16] = LEFT_WRIST, RIGHT_WRIST
    points[[17, 18]] = [[430.0, 440.0], [170.0, 440.0]]
    points[[19, 20]] = [[420.0, 445.0], [180.0, 445.0]]
    points[[23, 24]] = [[350.0, 400.0], [250.0, 400.0]]
    metres = np.concatenate([points / PX_PER_M, np.zeros((33, 1))], axis=1)
    ones = np.ones(33)
    crop = Crop((300.0, 300.0), 600.0)
    return Pose(points, 0 * ones, ones, ones, metres, 1.0, crop, np.ones((256, 256), np.float32), crop)


def hand(wrist: np.ndarray, score: float = 0.95, left: float = 0.95, size: float = 1.0) -> HandPoints:
    """Return a flat hand with its fingers downwards."""
    points = np.zeros((21, 3))
    for number, finger in enumerate(FINGERS):
        for joint, mark in enumerate(finger):
            points[mark, :2] = [10.0 * (number - 2), 40.0 + 12.0 * joint]
    metres = points / PX_PER_M
    points = points * size
    points[:, :2] += wrist
    return HandPoints(points, metres, score, left, Crop((float(wrist[0]), float(wrist[1]) + 40), 160.0))


class FakeNetworks:
    """Answers with the hand that lies nearest to the middle of a window."""

    sees_hands = True

    def __init__(self, *hands: HandPoints) -> None:
        self.hands, self.crops = hands, []  # type: ignore[var-annotated]

    def hand_in(self, rgb: np.ndarray, crop: Crop) -> HandPoints:
        self.crops.append(crop)
        middles = [h.points_px[:, :2].mean(axis=0) for h in self.hands]
        gaps = [math.dist(crop.center_px, (float(m[0]), float(m[1]))) for m in middles]
        return dataclasses.replace(self.hands[int(np.argmin(gaps))], crop=crop)


def seen_hands(*hands: HandPoints) -> tuple[HandPoints | None, HandPoints | None]:
    networks = cast("PersonNetworks", FakeNetworks(*hands))
    return see_hands(networks, np.zeros((600, 600, 3), np.uint8), pose())


def test_windows_hold_the_hand_with_its_fingers_upwards() -> None:
    found = hand(LEFT_WRIST)
    for crop in (*first_crops(pose(), 0), next_crop(found)):
        matrix = crop.photo_to_crop(100)
        places = found.points_px[:, :2] @ matrix[:, :2].T + matrix[:, 2]
        assert (places > 5).all() and (places < 95).all(), "all of the hand is shown"
        assert places[12, 1] < places[0, 1] - 25 and abs(places[12, 0] - places[0, 0]) < 15
    assert next_crop(found).side_px < 2.2 * np.ptp(found.points_px[:, 1])
    assert len(set(HAND_LINES)) == 21


def test_both_hands_are_seen_where_the_body_has_them() -> None:
    left, right = seen_hands(hand(LEFT_WRIST), hand(RIGHT_WRIST, left=0.05))
    assert left is not None and right is not None
    np.testing.assert_array_equal(left.points_px[0, :2], LEFT_WRIST)
    np.testing.assert_array_equal(right.points_px[0, :2], RIGHT_WRIST)


@pytest.mark.parametrize(
    "wrong",
    [
        {"score": 0.6},
        {"left": 0.05},
        {"wrist": LEFT_WRIST + [90.0, 0.0]},
        {"size": 3.5},
        {"size": 0.2},
    ],
)
def test_no_hand_and_the_hands_of_others_are_not_taken(wrong: dict[str, Any]) -> None:
    assert is_of(hand(LEFT_WRIST), pose(), 0) and not is_of(hand(LEFT_WRIST), pose(), 1)
    other = hand(**({"wrist": LEFT_WRIST} | wrong))
    assert not is_of(other, pose(), 0)
    assert seen_hands(other, hand(RIGHT_WRIST, left=0.05))[0] is None


def test_one_hand_is_not_both() -> None:
    close = pose()
    close.points_px[:] = np.where(
        (close.points_px[:, :1] > 300), close.points_px - [110.0, 0], close.points_px + [120.0, 0]
    )
    networks = cast("PersonNetworks", FakeNetworks(hand(np.array([305.0, 400.0]), left=0.45)))
    left, right = see_hands(networks, np.zeros((600, 600, 3), np.uint8), close)
    assert left is None and right is not None, "it is rather a right one"


def test_a_window_that_the_network_cannot_read_costs_that_window() -> None:
    class Failing(FakeNetworks):
        def hand_in(self, rgb: np.ndarray, crop: Crop) -> HandPoints:
            if crop.center_px[0] > 300:
                raise AssetError("x: does not give numbers.")
            return super().hand_in(rgb, crop)

    networks = cast("PersonNetworks", Failing(hand(RIGHT_WRIST, left=0.05)))
    left, right = see_hands(networks, np.zeros((600, 600, 3), np.uint8), pose())
    assert left is None and right is not None


def test_without_its_network_no_hands_are_looked_for() -> None:
    networks = cast("PersonNetworks", SimpleNamespace(sees_hands=False))
    assert see_hands(networks, np.zeros((4, 4, 3), np.uint8), pose()) == (None, None)


def test_records_hold_hands_and_old_ones_none(tmp_path: Path) -> None:
    path = tmp_path / "a_person.json"
    write_seen(path, Seen(pose(), None, hands=(None, hand(RIGHT_WRIST))))
    left, right = read_seen_hands(path)
    assert left is None and right is not None
    np.testing.assert_allclose(right["points_px"], hand(RIGHT_WRIST).points_px, atol=0.01)
    content = json.loads(path.read_text())
    del content["hands"]
    write_json(path, content)
    assert read_seen_hands(path) == [None, None]
    nameless = {"score": float("nan"), "points_px": hand(RIGHT_WRIST).points_px.tolist()}
    for wrong in (
        [None],
        [{"score": 1.0}, None],
        [{"score": 1.0, "points_px": [[0.0]]}, None],
        3,
        [None, nameless],
    ):
        write_json(path, content | {"hands": wrong})
        with pytest.raises(InputError, match="is not a record"):
            read_seen_hands(path)


def test_hands_come_into_the_world_of_the_framed_photo(tmp_path: Path) -> None:
    write_framed(tmp_path, "anna")
    path = tmp_path / "anna_person.json"
    content = json.loads(path.read_text())
    marks = np.array(content["pose"]["points_px"])
    points = np.tile(np.append(marks[15], 0.0), (21, 1))
    points[8, 2] = 10.0
    write_json(path, content | {"hands": [{"score": 0.9, "points_px": points.tolist()}, None]})
    person = PersonFiles("anna", tmp_path / "anna.png")
    seen = observe(person, read_person(person), None)
    assert seen is not None and seen.hands[1] is None and seen.hands[0] is not None
    np.testing.assert_allclose(seen.hands[0].points[0], [*seen.points[15], 0.0], atol=0.02)
    # 10 pixels of the photo are 5 of the frame's 256, 0.8 units each; behind the wrist is away from the viewer.
    np.testing.assert_allclose(seen.hands[0].points[8, 2], -4.0, atol=0.01)


def test_a_real_hand_has_its_size(networks: PersonNetworks, shared: Path) -> None:
    """OpenCV leaves biases of dense layers out of its answers; then hands are half a metre long."""
    if not networks.sees_hands:
        pytest.skip("the network of hands is not there (`jiff assets fetch perception`)")
    rgb = np.ascontiguousarray(read_image(shared / "people" / "person_16.jpg")[..., :3])
    seen = see_person(networks, rgb, "person_16", None)
    assert seen.hands[0] is not None and seen.hands[1] is not None
    for side, found in enumerate(seen.hands):
        assert found is not None and found.score > 0.9 and (found.left > 0.7) == (side == 0)
        lengths = [np.linalg.norm(found.points_m[a] - found.points_m[b]) for a, b in ((0, 9), (5, 17))]
        assert 0.05 < lengths[0] < 0.12 and 0.03 < lengths[1] < 0.09
        assert seen.mask is not None
        x, y = np.floor(found.points_px[:, :2]).astype(int).T
        assert (seen.mask[y, x] > 60).mean() > 0.8
