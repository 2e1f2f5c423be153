"""What of a person lies outside the photo, told by the landmarks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from jiff.perception.landmarks import ANKLES, FEET, LEFT_EYE, MOUTH, NOSE, RIGHT_EYE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jiff.perception.landmarks import Pose

_CROWN = 1.6
"""From the eyes to the crown, over the distance from mouth to eyes."""
_HEEL = 0.02
"""A foot may be so far outside, over the person's height."""
_NECK = 0.05
"""Width of the mask on the upper border over the person's height that is more than a crown."""
_EYES = 0.05
"""From the upper border to the eyes, over the height, below which there is no room for a forehead."""
_TURNED_DEG = 60.0
_LEAST_BODY = 0.55


def crown_px(pose: Pose) -> NDArray[np.float64]:
    """Return [2] about where the top of the head is, photo pixels."""
    eyes = pose.points_px[[LEFT_EYE, RIGHT_EYE]].mean(0)
    return np.asarray(eyes + _CROWN * (eyes - pose.middle(MOUTH)))


def vertical_extent(pose: Pose) -> tuple[float, float]:
    """Return (top, bottom) of the whole person in the photo's rows, landmarks outside included."""
    rows = pose.points_px[:, 1]
    return float(min(crown_px(pose)[1], rows.min())), float(rows.max())


def missing_part(pose: Pose, mask: NDArray[np.uint8]) -> str | None:
    """Return which part of the person lies outside the photo, or None.

    Args:
        pose: landmarks; those outside are the network's guesses.
        mask: [H, W] of the person.
    """
    height = mask.shape[0]
    top, bottom = vertical_extent(pose)
    size = max(bottom - top, 1.0)
    crown, eyes = float(crown_px(pose)[1]), float(pose.points_px[[LEFT_EYE, RIGHT_EYE], 1].mean())
    inside = mask >= 128
    # Hair may reach the border; half of the way from eyes to crown may not be missing.
    wide = float(inside[0].sum()) > _NECK * size
    if inside[0].any() and ((crown + eyes) / 2 < 0 or (wide and eyes < _EYES * size)):
        return "the head is cut off by the upper border"
    feet = float(pose.points_px[list(FEET), 1].max())
    if inside[-1].any() and feet > height + _HEEL * size:
        return "the feet are outside the lower border"
    return None


def not_upright_deg(pose: Pose) -> float | None:
    """Return by how much the person is turned in the photo, None for somebody who stands, sits, bends or jumps."""
    up = pose.points_px[NOSE] - pose.middle(ANKLES)
    body = float(np.degrees(np.arctan2(up[0], -up[1])))
    if min(abs(body), abs(pose.tilt_deg)) <= _TURNED_DEG:
        return None
    return body


def is_fragment(pose: Pose, mask: NDArray[np.uint8]) -> bool:
    """Return whether a mask is much larger than the landmarks in it: a close-up of a head, in which a body was imagined."""
    rows, columns = np.flatnonzero((mask >= 128).any(1)), np.flatnonzero((mask >= 128).any(0))
    if len(rows) == 0:
        return False
    extent = max(float(np.ptp(rows)), float(np.ptp(columns)))
    return float(np.ptp(pose.points_px, axis=0).max()) < _LEAST_BODY * extent
