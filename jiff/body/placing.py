"""Move a body as a whole: by the similarity from one frame to another."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial.transform import Rotation

from jiff.body.skeleton import JOINTS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jiff.body.anny_body import AnnyBody
    from jiff.body.placed import PlacedBody

_ROOT = JOINTS.index("root")
_TOLERANCE = 1e-3
"""How far a matrix may be from a scaled rotation, as a share of the scale; files hold six digits."""


def moved(
    placed: PlacedBody, body: AnnyBody, linear: NDArray[np.float64], offset: NDArray[np.float64]
) -> PlacedBody:
    """Return a body of which every point ``p`` has come to ``linear @ p + offset``.

    Args:
        placed: the body.
        body: anny.
        linear: [3, 3] a rotation times a positive scale.
        offset: [3].

    Raises:
        ValueError: ``linear`` is no scaled rotation.
    """
    scale = float(np.cbrt(max(np.linalg.det(linear), 0.0)))
    turn = linear / scale if scale > 0 else linear
    if scale <= 0 or np.abs(turn @ turn.T - np.eye(3)).max() > _TOLERANCE:
        raise ValueError(f"linear must be a rotation times a positive scale; got {linear.tolist()}.")
    # The root turns about its own head, which stays where it was: what that lacks is an offset.
    head = np.asarray(body.bone_heads(placed.rest(body))[body.bone_labels.index("root")], dtype=np.float64)
    turns = placed.pose.turns.copy()
    turns[_ROOT] = (Rotation.from_matrix(turn) * Rotation.from_rotvec(turns[_ROOT])).as_rotvec()
    new_scale = placed.scale * scale
    place = linear @ placed.offset_world + offset + new_scale * (turn @ head - head)
    return replace(placed, pose=replace(placed.pose, turns=turns), scale=new_scale, offset_world=place)
