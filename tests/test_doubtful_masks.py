"""Areas of a mask that the network is not sure of, and what their colours make of them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import cv2
import numpy as np

from jiff.perception.crop import Crop
from jiff.perception.landmarks import FacePoints, Pose
from jiff.perception.mask import person_mask, settled, with_seen_face


def test_ground_between_legs_is_settled_by_its_colour(rng: np.random.Generator) -> None:
    size = 128
    person, ground = np.zeros((size, size), bool), np.zeros((size, size), bool)
    person[10:60, 40:88] = True
    person[60:120, 40:54] = person[60:120, 74:88] = True
    ground[60:112, 54:74] = True
    rgb = np.where(person[..., None], [150, 40, 20], [190, 180, 170]) + rng.integers(-8, 9, (size, size, 3))
    rgb = np.clip(rgb, 0, 255).astype(np.uint8)
    share = person.astype(np.float32)
    share[ground] = 0.6
    # The network may be sure where it is wrong, near the crotch.
    share[60:72, 54:74] = 1.0
    found = settled(rgb, share)
    assert (found[ground] > 0.5).mean() < 0.02
    assert (found[person] > 0.5).mean() > 0.99
    np.testing.assert_array_equal(settled(rgb, share), found)
    # Where nothing is in doubt, and where person and background look the same, nothing is taken away.
    np.testing.assert_array_equal(settled(rgb, person.astype(np.float32)), person.astype(np.float32))
    soft = cv2.GaussianBlur(person.astype(np.float32), (0, 0), 1.0)
    np.testing.assert_array_equal(settled(rgb, soft), soft)
    unsure = np.full((size, size), 0.5, np.float32)
    np.testing.assert_array_equal(settled(rgb, unsure), unsure)


def _face(yaw: float) -> FacePoints:
    """A disc of points of radius 20 about (60, 50); the eyes' corners tell where it looks."""
    angle = np.linspace(0, 2 * np.pi, 468, endpoint=False)
    points = np.stack([60 + 20 * np.cos(angle), 50 + 20 * np.sin(angle), np.zeros(468)], axis=1)
    turn = np.radians(yaw)
    points[33] = [60 - 5 * np.cos(turn), 45, -5 * np.sin(turn)]
    points[263] = [60 + 5 * np.cos(turn), 45, 5 * np.sin(turn)]
    return FacePoints(points, 1.0)


def test_a_mask_holds_the_face_that_was_seen() -> None:
    mask = np.zeros((100, 128), np.uint8)
    mask[:, 62:] = 255
    found = with_seen_face(mask, _face(10.0))
    y, x = np.mgrid[:100, :128] + 0.5
    distance = np.hypot(x - 60, y - 50)
    assert (found[distance < 19] == 255).all(), "the half that was lost is back"
    np.testing.assert_array_equal(found[distance > 23], mask[distance > 23])
    # Points of a face that looks aside do not tell its outline.
    for other in (None, _face(60.0)):
        np.testing.assert_array_equal(with_seen_face(mask, other), mask)


def test_what_another_person_claims_more_strongly_is_theirs_in_doubt_too(rng: np.random.Generator) -> None:
    size = 256
    ours, theirs = np.zeros((size, size), np.float32), np.zeros((size, size), np.float32)
    ours[60:200, 60:120] = 1.0
    ours[60:200, 120:180] = 0.55
    theirs[60:200, 120:180] = 0.9
    # Both wear the same.
    person = (ours > 0)[..., None]
    rgb = np.where(person, [60, 90, 160], [200, 190, 180]) + rng.integers(-6, 7, (size, size, 3))
    rgb = np.clip(rgb, 0, 255).astype(np.uint8)
    crop = Crop((size / 2, size / 2), float(size), 0.0)
    a, b = (
        cast("Pose", SimpleNamespace(mask=mask, crop=crop, points_px=np.zeros((33, 2))))
        for mask in (ours, theirs)
    )
    alone, beside = person_mask(rgb, a) >= 128, person_mask(rgb, a, [b]) >= 128
    assert alone[80:180, 130:170].mean() > 0.9
    assert beside[80:180, 130:170].mean() < 0.05 and beside[80:180, 70:110].mean() > 0.95


def test_ground_between_legs_of_which_the_network_is_sure_leaves_the_mask(rng: np.random.Generator) -> None:
    size = 256
    person = np.zeros((size, size), bool)
    person[20:140, 90:170] = person[140:240, 90:110] = person[140:240, 150:170] = True
    share = person.astype(np.float32)
    share[140:148, 110:150] = 1.0
    rgb = np.where(person[..., None], [150, 40, 20], [60, 80, 150]) + rng.integers(-6, 7, (size, size, 3))
    rgb = np.clip(rgb, 0, 255).astype(np.uint8)
    points = np.zeros((33, 2))
    points[[23, 25, 27]], points[[24, 26, 28]] = (
        [[100, 120], [100, 180], [100, 236]],
        [[160, 120], [160, 180], [160, 236]],
    )
    crop = Crop((size / 2, size / 2), float(size), 0.0)
    found = person_mask(rgb, cast("Pose", SimpleNamespace(mask=share, crop=crop, points_px=points))) >= 128
    assert not found[142:, 112:148].any() and found[person].mean() > 0.98
