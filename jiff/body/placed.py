"""A body in the world: anny's shape, pose and place, as fitted to a photo or known of a synthetic person."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from jiff.body.skeleton import JOINT_HEADS, bone_rotations

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jiff.body.anny_body import AnnyBody
    from jiff.body.skeleton import JointPose


@dataclass(frozen=True, eq=False)
class PlacedBody:
    """One person's body: ``world = scale * posed + offset_world``, posed in anny's metres.

    Attributes:
        phenotypes, local_changes, facial_actions: see ``AnnyBody.rest_vertices``.
        pose: joints and hands.
        scale: world units per metre of anny's body.
        offset_world: [3].
        extra_index, extra_offsets: [N] vertices and [N, 3] metres added to them at rest, what no name of anny holds.
    """

    phenotypes: dict[str, float]
    pose: JointPose
    scale: float
    offset_world: NDArray[np.float64]
    local_changes: dict[str, float] = field(default_factory=dict)
    facial_actions: dict[str, float] = field(default_factory=dict)
    extra_index: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    extra_offsets: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 3)))

    def rest(self, body: AnnyBody) -> NDArray[np.float32]:
        """Return [19158, 3] rest vertices, metres."""
        rest = body.rest_vertices(self.phenotypes, self.local_changes, self.facial_actions)
        rest[self.extra_index] += self.extra_offsets.astype(np.float32)
        return rest

    def rotations(self) -> dict[str, NDArray[np.float64]]:
        """Return bone name -> [3, 3], see ``AnnyBody.pose``."""
        return bone_rotations(self.pose)

    def vertices_world(self, body: AnnyBody) -> NDArray[np.float64]:
        """Return [19158, 3] posed vertices, world units."""
        posed = body.pose(self.rest(body), self.rotations())
        return np.asarray(posed.astype(np.float64) * self.scale + self.offset_world)

    def bones_world(self, body: AnnyBody) -> NDArray[np.float64]:
        """Return [163, 3] heads of the posed bones, world units."""
        heads = body.bone_heads(self.rest(body))
        linear, offset = body.bone_transforms(heads, self.rotations())
        posed = np.einsum("bij,bj->bi", linear, heads) + offset
        return np.asarray(posed * self.scale + self.offset_world)

    def joints_world(self, body: AnnyBody) -> NDArray[np.float64]:
        """Return [21, 3] joints in the order of ``JOINTS``, world units."""
        index = [body.bone_labels.index(name) for name in JOINT_HEADS]
        return self.bones_world(body)[index]
