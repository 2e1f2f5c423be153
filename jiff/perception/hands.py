"""The hands of a person: 21 points each, seen in windows that the body's landmarks promise and the hand's own points correct.

Zhang et al., "MediaPipe Hands: On-device Real-time Hand Tracking", 2020.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from jiff.base.errors import AssetError
from jiff.body.fit.observed import HAND_KNUCKLES
from jiff.perception.crop import Crop
from jiff.perception.landmarks import HAND_WRIST, HandPoints

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jiff.perception.landmarks import Pose
    from jiff.perception.networks import PersonNetworks

_WRISTS, _LITTLE, _INDEX, _ELBOWS = (15, 16), (17, 18), (19, 20), (13, 14)
_PALM = (0, 1, 2, 3, 5, 6, 9, 10, 13, 14, 17, 18)
"""Points that stay where they are when fingertips bend."""
_FIRST_SIDE, _NEXT_SIDE, _NEXT_SHIFT = 4.5, 2.0, 0.1
"""Side of the first window over the length from wrist to knuckles; side of the next over that of the box around palm and
middle joints, and how far it moves towards the fingertips, as a share of the box."""
_ON_FOREARM, _FOREARM_SIDE = 0.35, 1.3
"""Place beyond the wrist and side of a window that the forearm promises, over its length as seen."""
_ROUNDS = 4
_SETTLED = 0.02
"""Mean movement of the points, over a window's side, from which another round would say the same."""
LEAST_SCORE = 0.8
_OTHER_HAND = 0.7
"""How sure the network may be that a hand is the other one."""
_OFF_WRIST = 0.3
"""Distance from the body's wrist, over the window's side, from which a hand is somebody else's, or none."""
_SAME = 0.1
"""Mean distance of two hands' points over a window's side below which both are one."""
_LEAST_SCALE, _MOST_SCALE = 0.4, 2.6
"""Size of a hand over that of the body, both from their own metres, beyond which it is no hand of this body's."""


def _crop_up(middle: NDArray[np.float64], along: NDArray[np.float64], side: float) -> Crop:
    return Crop((float(middle[0]), float(middle[1])), max(side, 8.0), math.atan2(along[0], -along[1]))


def first_crops(pose: Pose, hand: int) -> list[Crop]:
    """Return windows of a hand (0 left, 1 right) that the landmarks of the body promise, fingers upwards.

    The first goes by wrist, index and little finger; the second by the forearm, for hands that bend or point at the viewer.
    """
    p = pose.points_px
    wrist = p[_WRISTS[hand]]
    middle = (2 * p[_INDEX[hand]] + p[_LITTLE[hand]]) / 3
    along, forearm = middle - wrist, wrist - p[_ELBOWS[hand]]
    length = float(np.linalg.norm(forearm))
    return [
        _crop_up(middle, along, _FIRST_SIDE * float(np.linalg.norm(along))),
        _crop_up(wrist + _ON_FOREARM * forearm, forearm, _FOREARM_SIDE * length),
    ]


def next_crop(hand: HandPoints) -> Crop:
    """Return the window that the points of a hand ask for."""
    xy = hand.points_px[:, :2]
    along = xy[list(HAND_KNUCKLES[:3])].mean(axis=0) - xy[HAND_WRIST]
    angle = math.atan2(along[0], -along[1])
    c, s = math.cos(angle), math.sin(angle)
    axes = np.array([[c, s], [-s, c]])
    turned = xy[list(_PALM)] @ axes.T
    low, high = turned.min(axis=0), turned.max(axis=0)
    side = max(float((high - low).max()), 2.0)
    middle = axes.T @ ((low + high) / 2 - [0.0, _NEXT_SHIFT * side])
    return Crop((float(middle[0]), float(middle[1])), _NEXT_SIDE * side, angle)


def _settled(networks: PersonNetworks, rgb: NDArray[np.uint8], crop: Crop) -> HandPoints:
    """Return the points of a hand whose windows follow them, of the round that was surest."""
    best = hand = networks.hand_in(rgb, crop)
    for _ in range(_ROUNDS - 1):
        again = networks.hand_in(rgb, next_crop(hand))
        gap = np.linalg.norm(again.points_px[:, :2] - hand.points_px[:, :2], axis=1).mean()
        hand = again
        if hand.score > best.score:
            best = hand
        if gap < _SETTLED * hand.crop.side_px:
            break
    return best


def _px_per_m(points_px: NDArray[np.float64], points_m: NDArray[np.float64]) -> float:
    """Return the scale that lays points [N, 2] in metres onto those in pixels, without turning them."""
    seen, known = (p[:, :2] - p[:, :2].mean(axis=0) for p in (points_px, points_m))
    return float(np.sqrt((seen**2).sum() / max(float((known**2).sum()), 1e-12)))


def is_of(hand: HandPoints, pose: Pose, side: int) -> bool:
    """Return whether a hand is one, and the left (0) or right (1) one of this body: place, size and side agree."""
    if hand.score < LEAST_SCORE or (hand.left if side == 1 else 1 - hand.left) > _OTHER_HAND:
        return False
    gap = float(np.linalg.norm(hand.points_px[HAND_WRIST, :2] - pose.points_px[_WRISTS[side]]))
    scale = _px_per_m(hand.points_px, hand.points_m) / _px_per_m(pose.points_px, pose.points_m)
    return gap < _OFF_WRIST * hand.crop.side_px and _LEAST_SCALE < scale < _MOST_SCALE


def see_hands(
    networks: PersonNetworks, rgb: NDArray[np.uint8], pose: Pose
) -> tuple[HandPoints | None, HandPoints | None]:
    """Return the points of a person's left and right hand, read from the photo's own pixels; None where one is not seen.

    Args:
        networks: the networks; without that of hands none is seen.
        rgb: [H, W, 3].
        pose: landmarks of the person.
    """
    if not networks.sees_hands:
        return None, None
    found: list[HandPoints | None] = [None, None]
    for side in range(2):
        for crop in first_crops(pose, side):
            try:
                hand = _settled(networks, rgb, crop)
            except AssetError:
                # It answered before, when it was loaded: a window that it cannot read costs that window.
                continue
            if is_of(hand, pose, side):
                found[side] = hand
                break
    left, right = found
    if left is not None and right is not None:
        gap = np.linalg.norm(left.points_px[:, :2] - right.points_px[:, :2], axis=1).mean()
        if gap < _SAME * max(left.crop.side_px, right.crop.side_px):
            # One hand in both windows: it is the one whose side and place agree better.
            sure = [left.left * left.score, (1 - right.left) * right.score]
            found[int(np.argmin(sure))] = None
    return found[0], found[1]
