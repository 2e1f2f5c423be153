"""A pose model: people standing, walking, sitting, climbing, dancing, drawn from key poses within joint limits."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from jiff.body.anatomy import ANGLES, joint_pose, mirror_angles
from jiff.body.arm_keys import ARMS, PAIRS, Arm
from jiff.body.joint_limits import LIMITS, NOISE
from jiff.body.key_poses import EVERYDAY_ARMS, EVERYDAY_PAIRS, FAMILIES, Family, Key, Leg

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jiff.body.skeleton import JointPose

VARIED, EVERYDAY = "varied", "everyday"

_PAIR_SHARE = 0.22  # of everyday arms, those that belong together
_ALIKE_SHARE = 0.3  # of single arms, those that do the same on both sides
_BLEND_SHARE = 0.6  # of draws that lie between two key poses
_ARM_BLEND = 0.3
# Lengths of thigh and shin, and half the distance of the hips: shares that level the feet; of anny's average adult.
_THIGH, _SHIN, _HIP = 0.447, 0.454, 0.1145
# Of the body's weight, what lies above the hips, how far above, and the middle of the sole before the ankle, metres.
_UPPER_MASS, _UPPER_ARM_M, _SOLE_M = 0.68, 0.36, 0.05
_SIDE_START = {"left": 9, "right": 9 + (len(ANGLES) - 9) // 2}
_ARM_COUNT = 12


@dataclass(frozen=True, eq=False)
class DrawnPose:
    """A pose as drawn.

    Attributes:
        kind: family and key pose it lies nearest to, such as "walk/contact".
        arms: what the arms do, such as "hang+pocket", before mirroring.
        angles: [A] degrees, see ``jiff.body.anatomy.ANGLES``.
        pose: its joints.
        airborne: True where nothing touches the ground.
        level: True where both soles stand on it.
    """

    kind: str
    arms: str
    angles: NDArray[np.float64]
    pose: JointPose
    airborne: bool
    level: bool = False


def _arm_vector(arm: Arm) -> NDArray[np.float64]:
    return np.array(
        [arm.flexion, arm.abduction, arm.rotation, arm.elbow, arm.pronation, arm.wrist, arm.deviation, arm.lift,
         arm.forward, arm.curl, arm.thumb, arm.spread], dtype=np.float64,
    )  # fmt: skip


def arms_vector(name: str) -> NDArray[np.float64]:
    """Return [24] angles of the left and the right arm of a name as in ``Key.arms``."""
    if name in PAIRS:
        left, right = PAIRS[name]
    else:
        first, _, second = name.partition("+")
        left, right = ARMS[first], ARMS[second or first]
    return np.concatenate([_arm_vector(left), _arm_vector(right)])


def _leg_vector(leg: Leg) -> list[float]:
    return [
        leg.flexion,
        leg.abduction,
        leg.rotation,
        leg.knee,
        leg.ankle or 0.0,
        float(leg.ankle is not None),
    ]


def key_angles(key: Key, arms: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return [A] angles of a key pose with the arms [24]."""
    return np.array(
        [*key.pelvis, *key.spine, *key.head, *arms[:_ARM_COUNT], *_leg_vector(key.left), *arms[_ARM_COUNT:],
         *_leg_vector(key.right)], dtype=np.float64,
    )  # fmt: skip


@lru_cache(maxsize=1)
def _tables() -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return least, most and noise [A] of all angles."""
    plain = [name.removeprefix("left_").removeprefix("right_") for name in ANGLES]
    limits = np.array([LIMITS[name] for name in plain], dtype=np.float64)
    return limits[:, 0], limits[:, 1], np.array([NOISE[name] for name in plain])


def clamp(angles: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return angles [..., A] within the joints' limits."""
    low, high, _ = _tables()
    return np.clip(angles, low, high)


def level_feet(angles: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return angles [A] with the longer leg bent until both soles are at one height."""
    angles = angles.copy()
    start = [_SIDE_START[side] + _ARM_COUNT for side in ("left", "right")]
    pitch, roll = np.radians(angles[0]), np.radians(angles[2])

    def reach(side: int) -> float:
        flexion, abduction, _, knee = np.radians(angles[start[side] : start[side] + 4])
        # A pelvis that leans to the left lowers the left hip and turns both legs.
        sign = 1.0 if side == 0 else -1.0
        thigh = _THIGH * np.cos(flexion - pitch) + _SHIN * np.cos(flexion - pitch - knee)
        return float(np.cos(abduction - sign * roll) * thigh + sign * _HIP * np.sin(roll))

    for _ in range(12):
        longer = 0 if reach(0) > reach(1) else 1
        gap = reach(longer) - reach(1 - longer)
        if gap < 0.004:
            break
        knee = start[longer] + 3
        # Bending hip and knee together keeps the foot below the body; the shortening is their sine's.
        bend = np.radians(angles[knee])
        slope = 0.45 * np.sin(max(bend / 2, 0.06)) + 0.02
        step = np.degrees(min(gap / slope, 0.2)) * 0.8
        angles[knee] += step
        angles[start[longer]] += step / 2
    return angles


def balanced(angles: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return angles [A] of a person on both feet with the hips turned so that the weight lies about over the soles."""
    angles = angles.copy()
    start = [_SIDE_START[side] + _ARM_COUNT for side in ("left", "right")]
    pitch, spine = np.radians(angles[0]), np.radians(angles[3])
    for _ in range(3):
        flexion, knee = (np.radians(angles[[first + k for first in start]]) for k in (0, 3))
        ahead = float(np.mean(_THIGH * np.sin(flexion - pitch) + _SHIN * np.sin(flexion - pitch - knee)))
        weight = _UPPER_MASS * _UPPER_ARM_M * np.sin(pitch + 0.6 * spine) + (1 - _UPPER_MASS) * 0.5 * ahead
        gap = float(np.clip(ahead + _SOLE_M - weight, -0.3, 0.3))
        # The feet move with the hips by about the legs' length.
        angles[start] -= np.degrees(gap / (_THIGH + _SHIN)) * 0.85
    return angles


def _everyday_arms(rng: np.random.Generator) -> str:
    if rng.random() < _PAIR_SHARE:
        return str(EVERYDAY_PAIRS[rng.integers(len(EVERYDAY_PAIRS))])
    left = EVERYDAY_ARMS[rng.integers(len(EVERYDAY_ARMS))]
    if rng.random() < _ALIKE_SHARE:
        return left
    return f"{left}+{EVERYDAY_ARMS[rng.integers(len(EVERYDAY_ARMS))]}"


def _choose_arms(rng: np.random.Generator, family: Family, key: Key) -> str:
    if rng.random() < family.mixed:
        return _everyday_arms(rng)
    return str(key.arms[rng.integers(len(key.arms))])


def _families(poses: str) -> tuple[list[str], NDArray[np.float64]]:
    names = [name for name, family in FAMILIES.items() if family.everyday or poses != EVERYDAY]
    weights = np.array([FAMILIES[name].weight for name in names])
    return names, weights / weights.sum()


def sample_angles(rng: np.random.Generator, poses: str = VARIED) -> tuple[NDArray[np.float64], str, str, Key]:
    """Draw a pose: [A] anatomical angles in degrees, its kind, its arms, and the key pose nearest to it.

    Args:
        rng: decides everything.
        poses: "varied", or "everyday" for standing and walking alone.
    """
    names, weights = _families(poses)
    name = names[int(rng.choice(len(names), p=weights))]
    family = FAMILIES[name]
    keys = list(family.keys)
    first = keys[int(rng.integers(len(keys)))]
    key = family.keys[first]
    arms = _choose_arms(rng, family, key)
    angles = key_angles(key, arms_vector(arms))
    if rng.random() < _BLEND_SHARE:
        # Only keys on the ground blend with keys on the ground, and airborne ones with airborne ones.
        others = [k for k in keys if k != first and family.keys[k].airborne == key.airborne]
        if others:
            other = family.keys[others[int(rng.integers(len(others)))]]
            share = float(rng.uniform(0.0, 0.5))
            free = angles[[start + _ARM_COUNT + 5 for start in _SIDE_START.values()]]
            mixed = angles + share * (key_angles(other, arms_vector(arms)) - angles)
            mixed[[start + _ARM_COUNT + 5 for start in _SIDE_START.values()]] = free
            angles = mixed
    if rng.random() < _ARM_BLEND:
        second = arms_vector(_choose_arms(rng, family, key))
        share = float(rng.uniform(0.0, 0.5))
        for k, start in enumerate(_SIDE_START.values()):
            part = slice(start, start + _ARM_COUNT)
            angles[part] += share * (second[k * _ARM_COUNT : (k + 1) * _ARM_COUNT] - angles[part])
    noise = _tables()[2] * rng.normal(size=len(ANGLES)) * float(rng.uniform(0.35, 1.25))
    angles = clamp(angles + noise)
    if key.level:
        if not family.seated:
            angles = clamp(balanced(angles))
        angles = clamp(level_feet(angles))
    if rng.random() < 0.5:
        angles = mirror_angles(angles)
    return angles, f"{name}/{first}", arms, key


def sample_joint_pose(rng: np.random.Generator, poses: str = VARIED) -> DrawnPose:
    """Draw a pose; it may still cut into itself, see ``jiff.body.pose_clearance``.

    Args:
        rng: decides everything.
        poses: "varied", or "everyday" for standing and walking alone.
    """
    angles, kind, arms, key = sample_angles(rng, poses)
    return DrawnPose(kind, arms, angles, joint_pose(angles), key.airborne, key.level)
