"""Poses as anatomical angles (degrees from the anatomical position) and their joint rotations."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial.transform import Rotation

from jiff.body.anny_body import load_anny_body
from jiff.body.joint_limits import ANKLE_FREE, ANKLE_TILT, ANKLE_TURN, LIMITS
from jiff.body.skeleton import JOINTS, JointPose, bone_shares

if TYPE_CHECKING:
    from numpy.typing import NDArray

TRUNK_ANGLES = (
    "pelvis_pitch", "pelvis_yaw", "pelvis_roll", "spine_pitch", "spine_yaw", "spine_roll", "head_pitch", "head_yaw",
    "head_roll",
)  # fmt: skip
"""Pitch bends forward, yaw turns to the own left, roll leans to the own left."""

ARM_ANGLES = (
    "shoulder_flexion", "shoulder_abduction", "shoulder_rotation", "elbow", "pronation", "wrist_flexion",
    "wrist_deviation", "collar_lift", "collar_forward", "finger_curl", "thumb_curl", "finger_spread",
)  # fmt: skip
"""Zero: hanging, palm to the thigh, thumb forward. Flexion swings the arm forward in the sagittal plane, abduction out of
that plane, rotation is outward about the arm's own axis (a bent forearm then points outward instead of forward);
pronation turns the palm back; the wrist flexes towards the palm and deviates towards the thumb; thumb and fingers curl
towards each other. The shoulder's angles
are those of the upper arm against the chest, whatever part of it the collar bone takes."""

LEG_ANGLES = ("hip_flexion", "hip_abduction", "hip_rotation", "knee", "ankle", "ankle_free")
"""Zero: straight down, toes forward. Flexion swings the thigh forward, abduction out, rotation turns the toes out. The
ankle lifts the toes; it counts only where ``ankle_free`` is 1, else the sole is kept level as far as the ankle goes."""

ANGLES = (
    *TRUNK_ANGLES,
    *(f"left_{name}" for name in (*ARM_ANGLES, *LEG_ANGLES)),
    *(f"right_{name}" for name in (*ARM_ANGLES, *LEG_ANGLES)),
)
"""Names of a pose's angles, in the order of its vector."""

_SIDE = len(ARM_ANGLES) + len(LEG_ANGLES)
_MIRRORED_SIGN = np.array([1.0, -1.0, -1.0])
# Of the spine's turn, the lumbar joint takes this share and the chest the rest; of the head's, the neck.
_LUMBAR, _NECK = 0.45, 0.45
# Scapulohumeral rhythm: about a third of the arm's lift beyond the first 30 degrees comes from the shoulder girdle.
_RHYTHM, _RHYTHM_FROM, _RHYTHM_MOST = 0.28, 30.0, 38.0
_FORWARD_SHARE = 0.12


def index_of(name: str) -> int:
    """Return the place of an angle in a pose's vector."""
    return ANGLES.index(name)


def mirror_angles(angles: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mirrored pose of angles [..., A]: left and right exchanged, yaw and roll reversed."""
    trunk = angles[..., :9] * np.tile(_MIRRORED_SIGN, 3)
    left, right = angles[..., 9 : 9 + _SIDE], angles[..., 9 + _SIDE :]
    return np.concatenate([trunk, right, left], axis=-1)


def mirror_pose(pose: JointPose) -> JointPose:
    """Return the mirrored pose."""
    swapped = [name.translate(str.maketrans("LR", "RL")) if "." in name else name for name in JOINTS]
    order = [JOINTS.index(name) for name in swapped]
    hands = pose.hands[::-1] * [1.0, 1.0, _right_spread()]
    return JointPose(pose.turns[order] * _MIRRORED_SIGN, hands, pose.fingers[::-1].copy())


@lru_cache(maxsize=1)
def _right_spread() -> float:
    """Return 1 where a positive spread opens both of the skeleton's hands, -1 where it closes the right one."""
    shares = bone_shares()
    left, right = (shares.spread_axis[shares.bones.index(f"finger2-1.{side}")] for side in "LR")
    return float(np.sign((left * _MIRRORED_SIGN) @ right))


@dataclass(frozen=True, eq=False)
class _Zero:
    """Rotations [3, 3] that take the left limbs' bones from anny's rest pose to the anatomical position."""

    upperarm: NDArray[np.float64]
    lowerarm: NDArray[np.float64]
    wrist: NDArray[np.float64]
    upperleg: NDArray[np.float64]
    lowerleg: NDArray[np.float64]
    foot: NDArray[np.float64]


def _frame(along: NDArray[np.float64], side: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the rotation whose rows are an orthonormal frame: along a bone, then what is left of ``side``."""
    first = along / np.linalg.norm(along)
    second = side - (side @ first) * first
    second /= np.linalg.norm(second)
    return np.stack([first, second, np.cross(first, second)])


@lru_cache(maxsize=1)
def _zero() -> _Zero:
    body = load_anny_body()
    heads = body.bone_heads(body.rest_vertices())

    def place(name: str) -> NDArray[np.float64]:
        return np.asarray(heads[body.bone_labels.index(f"{name}.L")])

    x, down, front = np.eye(3)[0], np.array([0.0, -1.0, 0.0]), np.eye(3)[2]
    upper = place("lowerarm01") - place("upperarm01")
    fore = place("wrist") - place("lowerarm01")
    # The rest pose's slight bend shows the elbow's axis: flexing turns about -x in the anatomical position.
    hinge = np.cross(upper, fore)
    hand = place("finger3-1") - place("wrist")
    # From the little to the index finger: forward where the palm faces the thigh.
    across = place("finger2-1") - place("finger5-1")
    thigh, shin = place("lowerleg01") - place("upperleg01"), place("foot") - place("lowerleg01")
    toes = (place("toe3-1") - place("foot")) * [1.0, 0.0, 1.0]
    return _Zero(
        _frame(down, -x).T @ _frame(upper, hinge),
        _frame(down, front).T @ _frame(fore, across),
        _frame(down, front).T @ _frame(hand, across),
        _frame(down, x).T @ _frame(thigh, x),
        _frame(down, x).T @ _frame(shin, x),
        _frame(front, down).T @ _frame(toes, down),
    )


def _euler(order: str, *degrees: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(Rotation.from_euler(order, np.stack(degrees, axis=-1), degrees=True).as_matrix())


def _arm(a: NDArray[np.float64], zero: _Zero) -> list[NDArray[np.float64]]:
    """Return [N, 3, 3] rotations of a left collar bone, upper arm, forearm and wrist."""
    none = np.zeros(len(a))
    reach = _euler("XZY", -a[:, 0], a[:, 1], a[:, 2])
    lift = np.degrees(np.arccos(np.clip(reach[:, 1, 1], -1, 1)))
    girdle = np.clip((lift - _RHYTHM_FROM) * _RHYTHM, 0, _RHYTHM_MOST)
    forward = np.clip(-reach[:, 2, 1], -1, 1) * 90 * _FORWARD_SHARE
    collar = _euler("ZYX", girdle + a[:, 7], -(forward + a[:, 8]), none)
    elbow = _euler("XZY", -a[:, 3], none, -a[:, 4])
    wrist = _euler("XZY", -a[:, 6], -a[:, 5], none)
    return [
        collar,
        collar.transpose(0, 2, 1) @ reach @ zero.upperarm,
        zero.upperarm.T @ elbow @ zero.lowerarm,
        zero.lowerarm.T @ wrist @ zero.wrist,
    ]


def _leg(a: NDArray[np.float64], pelvis: NDArray[np.float64], zero: _Zero) -> list[NDArray[np.float64]]:
    """Return [N, 3, 3] rotations of a left thigh, shin, foot and toes; ``pelvis`` [N, 3, 3]."""
    none = np.zeros(len(a))
    hip = _euler("XZY", -a[:, 0], a[:, 1], a[:, 2])
    knee = _euler("XZY", a[:, 3], none, none)
    shin = pelvis @ hip @ knee
    # Level: the shin's direction of walking, projected on the ground.
    front = shin[:, :, 2] * [1.0, 0.0, 1.0]
    bent = np.hypot(front[:, 0], front[:, 2]) < 0.3
    front[bent] = pelvis[bent][:, :, 2] * [1.0, 0.0, 1.0]
    yaw = np.degrees(np.arctan2(front[:, 0], front[:, 2]))
    level = shin.transpose(0, 2, 1) @ _euler("YXZ", yaw, none, none)
    tilt = Rotation.from_matrix(level).as_euler("XZY", degrees=True)
    low, high = LIMITS["ankle"]
    tilt[:, 0] = np.clip(tilt[:, 0], -high, -low)
    tilt[:, 1] = np.clip(tilt[:, 1], -ANKLE_TILT, ANKLE_TILT)
    tilt[:, 2] = np.clip(tilt[:, 2], -ANKLE_TURN, ANKLE_TURN)
    free = a[:, 5] > ANKLE_FREE
    tilt[free] = np.stack([-a[free, 4], none[free], none[free]], axis=1)
    ankle = _euler("XZY", tilt[:, 0], tilt[:, 1], tilt[:, 2])
    # Toes stay on the ground when the heel leaves it.
    foot = shin @ ankle
    heel_up = np.degrees(np.arcsin(np.clip(-foot[:, 1, 2], -1, 1)))
    toes = np.where(free, 0.0, np.clip(heel_up, 0.0, LIMITS["toes"][1]))
    return [
        hip @ zero.upperleg,
        zero.upperleg.T @ knee @ zero.lowerleg,
        zero.lowerleg.T @ ankle @ zero.foot,
        zero.foot.T @ _euler("XZY", -toes, none, none) @ zero.foot,
    ]


def joint_turns(angles: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return rotation vectors [N, 21, 3] and hands [N, 2, 3], radians, of poses in anatomical angles.

    Args:
        angles: [N, A] degrees in the order of ``ANGLES``, see ``JointPose`` for what comes out.
    """
    zero = _zero()
    flip = np.diag([-1.0, 1.0, 1.0])
    pelvis = _euler("YXZ", angles[:, 1], angles[:, 0], -angles[:, 2])
    spine, head = angles[:, 3:6] * [1.0, 1.0, -1.0], angles[:, 6:9] * [1.0, 1.0, -1.0]

    def part(total: NDArray[np.float64], share: float) -> NDArray[np.float64]:
        return _euler("YXZ", total[:, 1] * share, total[:, 0] * share, total[:, 2] * share)

    turned = {
        "root": pelvis,
        "spine": part(spine, _LUMBAR),
        "chest": part(spine, 1 - _LUMBAR),
        "neck": part(head, _NECK),
        "head": part(head, 1 - _NECK),
    }
    hands = np.zeros((len(angles), 2, 3))
    for k, side in enumerate("LR"):
        own = angles[:, 9 + k * _SIDE : 9 + (k + 1) * _SIDE]
        arm, leg = own[:, : len(ARM_ANGLES)], own[:, len(ARM_ANGLES) :]
        # The skeleton's thumb bends away from the fingers.
        hands[:, k] = np.radians(arm[:, 9:12]) * [1.0, -1.0, 1.0 if side == "L" else _right_spread()]
        # The right side is computed as a left one and mirrored.
        seen = pelvis if side == "L" else flip @ pelvis @ flip
        names = ("clavicle", "upperarm", "lowerarm", "wrist", "upperleg", "lowerleg", "foot", "toes")
        for name, matrix in zip(names, [*_arm(arm, zero), *_leg(leg, seen, zero)]):
            turned[f"{name}.{side}"] = matrix if side == "L" else flip @ matrix @ flip
    stacked = np.stack([turned[name] for name in JOINTS], axis=1)
    vectors = Rotation.from_matrix(stacked.reshape(-1, 3, 3)).as_rotvec().reshape(len(angles), len(JOINTS), 3)
    return vectors, hands


def joint_pose(angles: NDArray[np.float64]) -> JointPose:
    """Return the pose of one vector of anatomical angles [A], degrees."""
    turns, hands = joint_turns(np.asarray(angles, dtype=np.float64)[None])
    return JointPose(turns[0], hands[0])
