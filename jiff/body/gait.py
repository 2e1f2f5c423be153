"""A walk on the spot, from the angles of the joints over one stride.

The curves of hip, knee and ankle are low Fourier series near those of walking adults (Winter, "Biomechanics and Motor
Control of Human Movement", 4th edition, 2009, appendix A: hip about 22 forward to 11 back, knee 18 at the load and 62 in
the swing, ankle 19 down at the push).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial.transform import Rotation

from jiff.body.rig_bones import RIG_BONES, RIG_INDEX, RIG_PARENTS
from jiff.body.tpose import carried_heads

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jiff.body.rig import Rig

STRIDE_S = 1.08
"""One stride, two steps, of an adult at ease."""
FRAMES = 32
"""Keys of one stride, besides the last, which is the first again."""

# Percent of the stride from the heel's touch, degrees; cubic-like through the points by a short Fourier series.
_PERCENT = (0, 10, 20, 30, 40, 50, 60, 70, 80, 90)
_HIP = (22, 20, 14, 6, -3, -10, -8, 8, 20, 24)
_KNEE = (5, 16, 18, 11, 7, 10, 35, 61, 50, 15)
_ANKLE = (0, -4, 3, 7, 9, 4, -16, -8, 2, 1)
_HARMONICS = 4

_ARM_DOWN_DEG, _ARM_SWING_DEG, _ELBOW_DEG = 76.0, 16.0, 22.0
_TOE_BEND = 0.6
"""Share of the ankle's push that the toes bend back."""
_CURL_DEG = {"1": 20.0, "2": 26.0, "3": 16.0}


def _curve(points: tuple[float, ...], phase: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return radians at phases in strides, through the points as near as a few harmonics come."""
    series = np.fft.rfft(np.array(points, float)) / len(points)
    turns = np.arange(1, _HARMONICS + 1)
    waves = np.exp(2j * np.pi * turns[:, None] * phase)
    return np.asarray(np.radians(series[0].real + 2 * (series[turns, None] * waves).real.sum(axis=0)))


def _about(axis: tuple[float, float, float], angle: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return [T, 3, 3] rotations about an axis of the world by [T] radians."""
    return np.asarray(Rotation.from_rotvec(angle[:, None] * np.array(axis)).as_matrix())


def walk_turns(
    rig: Rig,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return a walk that repeats: [T] seconds, [T, B, 3, 3] turns from the T-pose, [T, 3] places of the hips.

    The hips stay above the origin and rise and fall so that the lower foot is on the ground.
    """
    phase = np.linspace(0.0, 1.0, FRAMES + 1)
    own = np.tile(np.eye(3), (len(phase), len(RIG_BONES), 1, 1))
    wave = 2 * np.pi * phase
    x, y, z = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)
    for side, shift, sign in (("Left", 0.0, 1.0), ("Right", 0.5, -1.0)):
        at = phase + shift
        hip, knee, ankle = (_curve(points, at) for points in (_HIP, _KNEE, _ANKLE))
        # Forward is +z: a positive turn about x takes what hangs down backward.
        own[:, RIG_INDEX[f"{side}UpLeg"]] = _about(x, -hip)
        own[:, RIG_INDEX[f"{side}Leg"]] = _about(x, knee)
        own[:, RIG_INDEX[f"{side}Foot"]] = _about(x, -ankle)
        own[:, RIG_INDEX[f"{side}ToeBase"]] = _about(x, np.minimum(ankle, 0.0) * _TOE_BEND)
        # An arm swings against the leg of its side.
        swing = np.radians(_ARM_SWING_DEG) * np.cos(wave + 2 * np.pi * shift)
        down = np.full_like(phase, np.radians(_ARM_DOWN_DEG))
        own[:, RIG_INDEX[f"{side}Arm"]] = _about(x, swing) @ _about(z, -sign * down)
        bend = np.radians(_ELBOW_DEG) + np.radians(9.0) * -np.cos(wave + 2 * np.pi * shift)
        own[:, RIG_INDEX[f"{side}ForeArm"]] = _about(y, -sign * bend)
        for finger in ("Index", "Middle", "Ring", "Pinky"):
            for joint, degrees in _CURL_DEG.items():
                curl = np.full_like(phase, np.radians(degrees))
                own[:, RIG_INDEX[f"{side}Hand{finger}{joint}"]] = _about(z, -sign * curl)
    # The pelvis follows the leading leg, the chest goes against it.
    own[:, RIG_INDEX["Hips"]] = _about(y, -np.radians(5.0) * np.cos(wave)) @ _about(
        z, np.radians(3.0) * np.sin(wave)
    )
    for name, share in (("Spine", -0.5), ("Spine1", -0.7), ("Spine2", -0.6)):
        own[:, RIG_INDEX[name]] = _about(y, -np.radians(5.0) * share * np.cos(wave)) @ _about(
            z, -np.radians(1.0) * np.sin(wave)
        )
    own[:, RIG_INDEX["Neck"]] = _about(y, np.radians(-2.0) * np.cos(wave))
    turns = own.copy()
    for bone, parent in enumerate(RIG_PARENTS):
        if parent >= 0:
            turns[:, bone] = turns[:, parent] @ own[:, bone]
    turns[-1] = turns[0]
    return phase * STRIDE_S, turns, _hips(rig, turns)


def _hips(rig: Rig, turns: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return [T, 3] hips whose lower foot touches the ground."""
    hips = rig.heads[0]
    lowest = np.empty(len(turns))
    for k, pose in enumerate(turns):
        joints = carried_heads(rig.heads, pose, hips)
        floor = []
        for side in ("Left", "Right"):
            for bone, point in _sole(rig, side):
                floor.append(float((joints[bone] + pose[bone] @ (point - rig.heads[bone]))[1]))
        lowest[k] = min(floor)
    drop = np.fft.rfft(lowest[:-1])
    # The change of feet has a corner that a body has not.
    drop[6:] = 0.0
    smooth = np.fft.irfft(drop, n=len(lowest) - 1)
    path = np.tile(hips, (len(turns), 1))
    path[:, 1] -= np.append(smooth, smooth[0])
    return path


def _sole(rig: Rig, side: str) -> list[tuple[int, NDArray[np.float64]]]:
    """Return bones and the points of them on which a foot stands in the T-pose: heel, ball, tip of the toes."""
    foot, toe, tip = (RIG_INDEX[side + name] for name in ("Foot", "ToeBase", "Toe_End"))
    heel = rig.heads[foot] - (0.0, 0.0, 0.3 * (rig.heads[toe] - rig.heads[foot])[2])
    on_ground = (1.0, 0.0, 1.0)
    return [
        (foot, heel * on_ground),
        (foot, rig.heads[toe] * on_ground),
        (toe, rig.heads[tip] * on_ground),
    ]
