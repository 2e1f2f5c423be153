"""From rotations of anny's bones back to the joints and hands of a ``JointPose``, as near as those allow."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial.transform import Rotation

from jiff.body.skeleton import FINGER_CURL, JOINT_HEADS, JOINTS, JointPose, bone_shares

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray


def joints_of_bones(rotations: Mapping[str, NDArray[np.float64]]) -> JointPose:
    """Return the pose whose joints turn all that follows them like these bones do.

    What hangs on the end of a joint (the head on the neck, the hand on the forearm) is turned exactly; how a joint's turn
    spreads over its own bones is ``bone_rotations``' choice, so skin around spine and shoulder may lie some millimetres
    off. Fingers take their mean bend.

    Args:
        rotations: bone name -> [3, 3] rotation as of ``AnnyBody.pose``.
    """
    shares = bone_shares()
    turns = np.zeros((len(JOINTS), 3))
    for index in range(len(JOINTS)):
        bones = [shares.bones[k] for k in np.flatnonzero(shares.joint == index)]
        if JOINTS[index].startswith("toes"):
            bones = [JOINT_HEADS[index]]
        whole = Rotation.identity()
        for bone in bones:
            if bone in rotations:
                whole = whole * Rotation.from_matrix(rotations[bone])
        turns[index] = whole.as_rotvec()
    hands = np.zeros((2, 3))
    for hand in range(2):
        bends = [
            float(Rotation.from_matrix(rotations[shares.bones[k]]).as_rotvec() @ shares.axis[k])
            for k in np.flatnonzero((shares.kind == 3) & (shares.hand == hand) & (shares.curl == FINGER_CURL))
            if shares.bones[k] in rotations
        ]
        hands[hand, FINGER_CURL] = float(np.mean(bends)) if bends else 0.0
    return JointPose(turns, hands)
