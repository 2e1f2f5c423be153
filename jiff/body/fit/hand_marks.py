"""Where the 21 points of a seen hand lie on anny's body, and which of its bones and changes hands are made of."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from jiff.body.anny_body import AnnyBody, load_anny_body
from jiff.body.fit.observed import HAND_KNUCKLES
from jiff.body.skeleton import bone_shares

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

_TIP_DEPTH = 0.004
"""Metres of a fingertip from its end that its point is the middle of."""
_WRIST_SHARE = 0.05
"""How far from the wrist bone's head to the middle knuckle the seen wrist lies; the bone begins in the forearm."""
_SHARES = np.array([[-0.03, 0.08, 0.01, -0.13], *[[-0.05, 0.07, 0.06, -0.13]] * 4])
"""How far along a finger, over the distance from the point before to the one behind, the network sees a point beyond anny's
joint; thumb first, from the hand outwards. Medians of what was left over in photos."""


def bends_of(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return [5, 2] the bends of a hand's points [21, 3], thumb first: at the knuckle, and the mean of the two joints beyond."""
    result = np.zeros((5, 2))
    for finger in range(5):
        chain = points[[0, *range(4 * finger + 1, 4 * finger + 5)]]
        steps = np.diff(chain, axis=0)
        steps = steps / np.maximum(np.linalg.norm(steps, axis=1, keepdims=True), 1e-9)
        angles = np.arccos(np.clip((steps[1:] * steps[:-1]).sum(axis=1), -1, 1))
        # The thumb leaves the wrist sideways; that angle is no bend.
        result[finger] = [angles[0] if finger else 0.0, angles[1:].mean()]
    return result


def palm_normal(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return [3] the unit normal of a hand's palm of points [21, 3], by the knuckles of index and little finger."""
    normal = np.cross(points[5] - points[0], points[17] - points[0])
    return np.asarray(normal / max(float(np.linalg.norm(normal)), 1e-9))


class HandMarks:
    """The points of both hands as parts of the body, and what turns and sizes them.

    Attributes:
        body: anny.
        palm: points that no finger moves.
        tip_bones: [10] bones that carry the fingertips, left thumb to right little finger.
        elbows, forearm_bones: bones at whose heads the elbows lie, and those that carry the hands; left, right.
        forearms: [2, 3] unit vectors from elbow to wrist at rest.
        wrists: [2, 3, 3] rows: axes at rest about which a wrist twists, bends to the sides, and up and down.
        spreads: [5] how much of a hand's spread each finger takes, towards the thumb's side.
        size_names: names of the local changes that make the left and right hand larger.
        larger_heads, smaller_heads: [2, 163 * 3] what those add to the bones' heads, metres.
        larger_tips, smaller_tips: [2, 10 * 3] the same of the fingertips.
    """

    palm = (0, *HAND_KNUCKLES)
    size_names = ("l-hand-scale-incr", "r-hand-scale-incr")

    def __init__(self, body: AnnyBody) -> None:
        self.body = body
        index = {name: k for k, name in enumerate(body.bone_labels)}
        rest = body.rest_vertices()
        heads = body.bone_heads(rest)
        names = [[f"finger{f}-{j}.{side}" for f in range(1, 6) for j in (1, 2, 3)] for side in "LR"]
        self._joints = np.array([[index[name] for name in row] for row in names])
        self._wrists = [index[f"wrist.{side}"] for side in "LR"]
        self.tip_bones = torch.tensor([index[f"finger{f}-3.{side}"] for side in "LR" for f in range(1, 6)])
        self.elbows = torch.tensor([index[f"lowerarm01.{side}"] for side in "LR"])
        self.forearm_bones = [index[f"lowerarm02.{side}"] for side in "LR"]
        self._tip_vertices = [self._tip(body, rest, heads, f, side) for side in "LR" for f in range(1, 6)]
        along = heads[self._wrists] - heads[self.elbows.numpy()]
        self.forearms = along / np.linalg.norm(along, axis=1, keepdims=True)
        wrists = []
        for k in range(2):
            joints = heads[self._joints[k]].reshape(5, 3, 3)
            across = joints[1, 0] - joints[4, 0]
            across -= across @ self.forearms[k] * self.forearms[k]
            across /= np.linalg.norm(across)
            wrists.append([self.forearms[k], np.cross(self.forearms[k], across), across])
        self.wrists = np.array(wrists)
        shares = bone_shares()
        rows = [[shares.bones.index(f"finger{f}-1.{side}") for f in range(1, 6)] for side in "LR"]
        self.spreads = torch.tensor(
            (shares.spread_axis[rows] * shares.side_axis[rows]).sum(-1), dtype=torch.float32
        )
        self._shares = torch.tensor(_SHARES[..., None], dtype=torch.float32)
        self.larger_heads, self.larger_tips = self._grown(rest, 1.0)
        self.smaller_heads, self.smaller_tips = self._grown(rest, -1.0)

    @staticmethod
    def _tip(
        body: AnnyBody, rest: NDArray[np.float32], heads: NDArray[np.float64], finger: int, side: str
    ) -> NDArray[np.int64]:
        skin = np.flatnonzero(body.moved_by((f"finger{finger}-3",), f".{side}")[:13380])
        last, before = (heads[body.bone_labels.index(f"finger{finger}-{j}.{side}")] for j in (3, 2))
        reach = (rest[skin] - last) @ ((last - before) / np.linalg.norm(last - before))
        return np.asarray(skin[reach > reach.max() - _TIP_DEPTH])

    def _grown(self, rest: NDArray[np.float32], size: float) -> tuple[Tensor, Tensor]:
        heads, tips = [], []
        for name in self.size_names:
            other = self.body.rest_vertices({}, {name: size})
            heads.append((self.body.bone_heads(other) - self.body.bone_heads(rest)).ravel())
            tips.append((self.tips(other) - self.tips(rest)).ravel())
        return tuple(torch.tensor(np.stack(part), dtype=torch.float32) for part in (heads, tips))  # type: ignore[return-value]

    def tips(self, rest: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return [10, 3] fingertips of rest vertices [19158, 3], left thumb to right little finger."""
        return np.stack([rest[skin].mean(axis=0, dtype=np.float64) for skin in self._tip_vertices])

    def rest_points(
        self, hand: int, heads: NDArray[np.float64], tips: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return [21, 3] the points of a hand (0 left, 1 right) of bones' heads [163, 3] and fingertips [10, 3]."""
        fingers = np.concatenate(
            [heads[self._joints[hand]].reshape(5, 3, 3), tips.reshape(2, 5, 1, 3)[hand]], axis=1
        )
        wrist = heads[self._wrists[hand]]
        wrist = wrist + _WRIST_SHARE * (fingers[2, 0] - wrist)
        chain = np.concatenate([np.broadcast_to(wrist, (5, 1, 3)), fingers, fingers[:, 3:]], axis=1)
        fingers = fingers + _SHARES[..., None] * (chain[:, 2:] - chain[:, :-2])
        return np.concatenate([wrist[None], fingers.reshape(20, 3)])

    def points(self, bones: Tensor, tips: Tensor) -> Tensor:
        """Return [B, 2, 21, 3] the points of both hands of posed bones' heads [B, 163, 3] and fingertips [B, 10, 3]."""
        joints = bones[:, torch.from_numpy(self._joints)].unflatten(2, (5, 3))
        fingers = torch.cat([joints, tips.unflatten(1, (2, 5))[:, :, :, None]], dim=3)
        wrists = bones[:, self._wrists]
        wrists = wrists + _WRIST_SHARE * (fingers[:, :, 2, 0] - wrists)
        first = wrists[:, :, None, None].expand(-1, -1, 5, -1, -1)
        chain = torch.cat([first, fingers, fingers[:, :, :, 3:]], dim=3)
        fingers = fingers + self._shares * (chain[:, :, :, 2:] - chain[:, :, :, :-2])
        return torch.cat([wrists[:, :, None], fingers.flatten(2, 3)], dim=2)

    def palm_turn(
        self, hand: int, heads: NDArray[np.float64], points: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return [3, 3] the rotation that takes a hand's palm at rest to that of points [21, 3].

        Args:
            hand: 0 left, 1 right.
            heads: [163, 3] of the bones at rest.
            points: of the seen hand.
        """
        rest = self.rest_points(hand, heads, np.zeros((10, 3)))[list(self.palm)]
        seen = points[list(self.palm)]
        turn, _ = Rotation.align_vectors(seen - seen.mean(axis=0), rest - rest.mean(axis=0))
        return np.asarray(turn.as_matrix())


@lru_cache(maxsize=1)
def load_hand_marks() -> HandMarks:
    """Return the marks on anny's body."""
    return HandMarks(load_anny_body())
