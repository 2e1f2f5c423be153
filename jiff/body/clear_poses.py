"""Poses of one body that do not cut into itself: drawn, mended, else drawn again."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from jiff.body.anatomy import index_of, joint_pose
from jiff.body.pose_clearance import BODY_TOUCH_M, Overlap, self_intersection
from jiff.body.poses import EVERYDAY, VARIED, DrawnPose, clamp, level_feet, sample_joint_pose
from jiff.body.skeleton import bone_rotations

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jiff.body.anny_body import AnnyBody

_MENDS = 5
_SIDES = {"L": "left", "R": "right"}


@dataclass(frozen=True, eq=False)
class ClearPose:
    """A drawn pose on a body.

    Attributes:
        drawn: the pose, mended.
        vertices: [19158, 3] posed, metres, as ``AnnyBody.pose`` leaves them: not on the ground yet.
        rotations: bone name -> [3, 3].
        refused: how many draws before it were refused.
    """

    drawn: DrawnPose
    vertices: NDArray[np.float64]
    rotations: dict[str, NDArray[np.float64]]
    refused: int


def _moved_apart(angles: NDArray[np.float64], overlaps: list[Overlap]) -> NDArray[np.float64]:
    """Return angles [A] with limbs moved out of what they enter: arms outward, legs apart."""
    angles = angles.copy()

    def add(side: str, name: str, degrees: float) -> None:
        angles[index_of(f"{_SIDES[side]}_{name}")] += degrees

    for overlap in overlaps:
        kind, _, side = overlap.limb.partition(".")
        other = overlap.into.partition(".")[0]
        more = 1.0 + min(overlap.share * 4, 1.5)
        if kind == "leg":
            add(side, "hip_abduction", 2.5 * more)
        elif other == "arm":
            add(side, "shoulder_rotation", 3.0 * more)
            add(side, "shoulder_abduction", 1.5 * more)
        else:
            add(side, "shoulder_abduction", 3.0 * more)
            add(side, "shoulder_rotation", 1.5 * more)
    return clamp(angles)


def posed_clear(
    drawn: DrawnPose, body: AnnyBody, rest: NDArray[np.float32], level: bool, margin_m: float
) -> ClearPose | None:
    """Return a drawn pose on a body, its limbs moved apart where they cut in; None where that does not help."""
    for attempt in range(_MENDS + 1):
        rotations = bone_rotations(drawn.pose)
        vertices = body.pose(rest, rotations).astype(np.float64)
        overlaps = self_intersection(vertices, margin_m)
        if not overlaps:
            return ClearPose(drawn, vertices, rotations, 0)
        if attempt == _MENDS:
            break
        angles = _moved_apart(drawn.angles, overlaps)
        if level:
            angles = clamp(level_feet(angles))
        drawn = replace(drawn, angles=angles, pose=joint_pose(angles))
    return None


def sample_clear_pose(
    rng: np.random.Generator,
    body: AnnyBody,
    rest: NDArray[np.float32],
    poses: str = VARIED,
    margin_m: float = BODY_TOUCH_M,
    most: int = 40,
) -> ClearPose:
    """Draw a pose that is clear on this body.

    Args:
        rng: decides everything.
        body: anny.
        rest: [19158, 3] its shape.
        poses: see ``sample_joint_pose``.
        margin_m: see ``self_intersection``; clothes need more room than skin.
        most: draws; should the first half all cut in, the others are of every day and keep from the skin only.

    Raises:
        RuntimeError: all draws cut into this body; none was seen that did.
    """
    for refused in range(most):
        late = refused >= most // 2
        drawn = sample_joint_pose(rng, EVERYDAY if late else poses)
        margin = BODY_TOUCH_M if late else margin_m
        clear = posed_clear(drawn, body, rest, drawn.level, margin)
        if clear is not None:
            return replace(clear, refused=refused)
    raise RuntimeError(f"none of {most} drawn poses is clear of this body")
