"""Areas of a mask that the network is not sure of, and what their colours make of them."""

from __future__ import annotations

import cv2
import numpy as np

from jiff.perception.mask import settled


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
