"""Hands and fingers of a fitted body brought onto those seen in the photo: a stage of its own, after the body is fitted.

Arms turn by a few degrees, forearms and wrists as far as joints allow, fingers bend; everything above the shoulders, below
them and between stays as it was. What the picture's plane shows counts most, the network's guess of depth a little.

Hands are told by points whose bends and palm say where to begin, beside the body's own wrists: L-BFGS from one start alone
ends in hands turned over.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.spatial.transform import Rotation
from torch import Tensor

from jiff.body.fit.energy import geman
from jiff.body.fit.hand_marks import HandMarks, bends_of, palm_normal
from jiff.body.fit.observed import HAND_POINTS
from jiff.body.skeleton import FURTHER, JOINTS, KNUCKLE, SIDEWAYS, JointPose, twist_about
from jiff.body.torch_skeleton import JointsToBones, rotation_matrix, twist_angle, vee

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jiff.body.fit.observed import Observation
    from jiff.body.placed import PlacedBody
    from jiff.body.torch_body import TorchBody

_ARMS = tuple(
    tuple(JOINTS.index(f"{joint}.{side}") for joint in ("upperarm", "lowerarm", "wrist")) for side in "LR"
)
_UNIT = 1.7 / 180.0
"""World units of a centimetre at 180 cm, over the body's scale."""
_POINT_SIGMA = np.array([1.0, 0.8, *[0.5] * 19])
"""Of the seen points, centimetres at 180 cm: wrist and root of the thumb lie inside the hand, each network's elsewhere."""
_DEPTH_SIGMA, _DEPTH_WEIGHT = 1.5, 0.4
_ELBOW_SIGMA = 1.5
"""How far the elbow may move in the picture, centimetres at 180 cm."""
_ARM_SIGMA, _TWIST_SIGMA = 0.12, 0.6
"""Radians by which upper arm and forearm turn, and a forearm about itself. No limit: arms that the body fit put elsewhere, behind
a back or over a head, come to hands that lie where the landmarks of the body say."""
_WRIST_SIGMA = (0.2, 0.35, 0.7)
"""Radians by which a wrist turns about the forearm, to the sides, and up and down."""
_MOST_WRIST, _MOST_TWIST = 1.3, 1.9
_CURL_SIGMA = (0.6, 0.6, 0.15)
_FINGER_SIGMA = np.array([[0.4, 0.5, 0.35], *[[0.5, 0.5, 0.12]] * 4])
"""Of bends of single fingers, thumb first, as of ``JointPose.fingers``."""
_LEAST = np.array([[-0.6, -0.4, -0.7], *[[-0.4, -0.1, -0.35]] * 4])
_MOST = np.array([[0.9, 1.2, 0.8], *[[1.65, 1.75, 0.35]] * 4])
"""Limits of all that bends a joint together, radians from the rest pose: fingers do not bend backwards."""
_LIMIT_SIGMA = 0.08
_SIZE_SIGMA, _MOST_SIZE = 0.35, 0.9
"""Of the hands' size, as a local change of anny's: 1 is a quarter larger, -1 a sixth smaller."""
_ROBUST = (25.0, 6.0)
"""Deviations from which a point counts less and less, stage by stage."""
_STEPS = 22
_OUTSIDE, _LEAST_INSIDE = 4.0, 0.6
"""How much less sure points outside of the photo are, and the share inside from which a hand is laid onto its points."""
_GIVEN_UP = 2.5
"""Mean distance, centimetres at 180 cm, beyond which a hand stays as the body fit had it."""
TRUSTED, _FARTHEST = 1.0, 4.0
"""Mean and largest distance from the seen points, centimetres at 180 cm, below which a fitted hand lies on the one in the photo."""


@dataclass(frozen=True, eq=False)
class FittedHands:
    """A body whose hands lie on those seen.

    Attributes:
        body: the body.
        error: [2] mean distance of the left and right hand's points from those seen in the picture's plane, centimetres at
            a height of 180, of points that lie in the photo; NaN where no hand is seen, or too little of it is in the photo.
        trusted: [2] whether a hand is seen and the body's lies on it, its palm turned the same way.
    """

    body: PlacedBody
    error: NDArray[np.float64]
    trusted: NDArray[np.bool_]


@dataclass
class _Unknowns:
    """What is solved for; a batch of starts.

    Attributes:
        arms: [B, 2, 3, 3] rotation vectors of upper arm, forearm and wrist.
        hands: [B, 2, 3] as of ``JointPose``.
        fingers: [B, 2, 5, 3] as of ``JointPose``.
        size: [B, 2] of the hands.
    """

    arms: Tensor
    hands: Tensor
    fingers: Tensor
    size: Tensor

    def tensors(self) -> list[Tensor]:
        """Return all of them."""
        return [self.arms, self.hands, self.fingers, self.size]


class _Problem:
    """One body and what is seen of its hands.

    Args:
        placed: the fitted body.
        seen: the person, at least one hand among what is seen.
        marks: where the points lie on a body.
        twin: anny on torch.
        bones: joints to bones.
    """

    def __init__(
        self,
        placed: PlacedBody,
        seen: Observation,
        marks: HandMarks,
        twin: TorchBody,
        bones: JointsToBones,
    ) -> None:
        self.placed, self.marks, self.twin, self.bones = placed, marks, twin, bones
        self.unit = _UNIT * placed.scale
        rest = placed.rest(marks.body)
        self.heads = marks.body.bone_heads(rest)
        self.tips = marks.tips(rest)
        # Whatever stands in for a hand that is not seen counts nothing.
        none = np.zeros((HAND_POINTS, 3))
        self.hands = [none if hand is None else hand.points for hand in seen.hands]
        self.inside = np.stack([_inside(points, seen) for points in self.hands])
        self.weight = torch.tensor([float(hand is not None) for hand in seen.hands])

        def tensor(values: object) -> Tensor:
            return torch.as_tensor(np.asarray(values), dtype=torch.float32)

        self._heads, self._tips = tensor(self.heads), tensor(self.tips)
        self._turns = tensor(placed.pose.turns)
        self._points, depth = tensor(np.stack(self.hands)[..., :2]), np.stack(self.hands)[..., 2]
        self._depth = tensor(depth - depth[:, marks.palm].mean(axis=1, keepdims=True))
        self._sigma = tensor(_POINT_SIGMA * self.unit * np.where(self.inside, 1.0, _OUTSIDE))
        self._offset = tensor(placed.offset_world)
        self._axes, self._wrist_axes = tensor(marks.forearms), tensor(marks.wrists)
        self._curl = tensor(placed.pose.hands)
        self._finger_sigma, self._least, self._most = tensor(_FINGER_SIGMA), tensor(_LEAST), tensor(_MOST)
        with torch.no_grad():
            self._elbows = self.places(self.start()[0])[1][:1]

    def start(self) -> tuple[_Unknowns, Tensor]:
        """Return two starts, the body's own arms and those that the network's metres ask for, and [2, 2, 2, 3, 3] their arms."""
        pose = self.placed.pose
        arms = np.stack([pose.turns[list(arm)] for arm in _ARMS])
        linear, _ = self.placed_bones()
        asked = arms.copy()
        fingers = np.zeros((2, 5, 3))
        for k, points in enumerate(self.hands):
            if not self.weight[k]:
                continue
            want = self.marks.palm_turn(k, self.heads, points)
            parent = linear[self.marks.forearm_bones[k]]
            turn = Rotation.from_matrix(parent.T @ want)
            # What the wrist would have to twist, the forearm does.
            twist = twist_about(turn, self.marks.forearms[k])
            asked[k, 1] = (Rotation.from_rotvec(arms[k, 1]) * twist).as_rotvec()
            swing = (twist.inv() * turn).as_rotvec()
            asked[k, 2] = swing * min(1.0, _MOST_WRIST / max(float(np.linalg.norm(swing)), 1e-9))
            bends = bends_of(points) - bends_of(self.marks.rest_points(k, self.heads, self.tips))
            bent = np.clip(bends, _LEAST[:, :2], _MOST[:, :2])
            fingers[k, :, :2] = bent - pose.hands[k, [1, 0, 0, 0, 0]][:, None]
        both = np.stack([arms, asked])

        def tensor(values: NDArray[np.float64]) -> Tensor:
            return torch.tensor(values, dtype=torch.float32)

        base = rotation_matrix(tensor(both)[:, :, :2])
        return _Unknowns(
            tensor(both), tensor(np.stack([pose.hands] * 2)), tensor(np.stack([fingers] * 2)), torch.zeros(2, 2)
        ), base  # fmt: skip

    def placed_bones(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return linear parts [163, 3, 3] and offsets of the body as it is."""
        return self.marks.body.bone_transforms(self.heads, self.placed.rotations())

    def places(self, x: _Unknowns) -> tuple[Tensor, Tensor]:
        """Return the hands' points [B, 2, 21, 3] and elbows [B, 2, 3], world units."""
        batch = len(x.arms)
        index = torch.tensor([joint for arm in _ARMS for joint in arm])
        turns = self._turns.expand(batch, -1, -1).index_copy(1, index, x.arms.flatten(1, 2))
        turned = self.bones(turns, x.hands, None, x.fingers)
        grown = (
            x.size.clamp(min=0) @ self.marks.larger_heads + (-x.size).clamp(min=0) @ self.marks.smaller_heads
        )
        heads = self._heads + grown.unflatten(1, (-1, 3))
        grown = (
            x.size.clamp(min=0) @ self.marks.larger_tips + (-x.size).clamp(min=0) @ self.marks.smaller_tips
        )
        tips = self._tips + grown.unflatten(1, (-1, 3))
        linear, offset = self.twin.bone_transforms(heads, turned)
        bones = (linear @ heads[..., None])[..., 0] + offset
        last = self.marks.tip_bones
        ends = (linear[:, last] @ tips[..., None])[..., 0] + offset[:, last]
        points = self.marks.points(bones, ends)
        place = self._offset
        return points * self.placed.scale + place, bones[:, self.marks.elbows] * self.placed.scale + place

    def cost(self, x: _Unknowns, base: Tensor, robust: float) -> Tensor:
        """Return [B, 2] what a fit of each hand makes small."""
        points, elbows = self.places(x)
        gap = ((points[..., :2] - self._points) / self._sigma[..., None]) ** 2
        cost = geman(gap.sum(-1), robust).sum(-1)
        depth = points[..., 2] - points[:, :, self.marks.palm, 2].mean(-1, keepdim=True) - self._depth
        cost = cost + _DEPTH_WEIGHT * geman((depth / (_DEPTH_SIGMA * self.unit)) ** 2, 3.0).sum(-1)
        cost = cost + (((elbows - self._elbows)[..., :2] / (_ELBOW_SIGMA * self.unit)) ** 2).sum(-1)
        # Arms, relative to where the body fit had them; half of vee is the sine of the angle times the axis.
        turned = rotation_matrix(x.arms)
        moved = vee(base.transpose(-1, -2) @ turned[:, :, :2]) / 2
        along = (moved * self._axes[:, None]).sum(-1)
        across = (moved**2).sum(-1) - along**2
        cost = (
            cost
            + (across.sum(-1) + along[:, :, 0] ** 2) / _ARM_SIGMA**2
            + along[:, :, 1] ** 2 / _TWIST_SIGMA**2
        )
        twist = twist_angle(turned[:, :, 1], self._axes)
        cost = cost + ((twist.abs() - _MOST_TWIST).clamp(min=0) / 0.15) ** 2
        wrist = (self._wrist_axes @ vee(turned[:, :, 2])[..., None])[..., 0] / 2
        cost = cost + ((wrist / wrist.new_tensor(_WRIST_SIGMA)) ** 2).sum(-1)
        cosine = (torch.diagonal(turned[:, :, 2], dim1=-2, dim2=-1).sum(-1) - 1) / 2
        cost = cost + ((float(np.cos(_MOST_WRIST)) - cosine).clamp(min=0) / 0.1) ** 2
        # Fingers.
        cost = cost + (((x.hands - self._curl) / x.hands.new_tensor(_CURL_SIGMA)) ** 2).sum(-1)
        cost = cost + ((x.fingers / self._finger_sigma) ** 2).sum((-1, -2))
        curl = x.hands[..., [1, 0, 0, 0, 0]]
        spread = x.hands[..., 2:] * self.marks.spreads
        bends = torch.stack(
            [
                x.fingers[..., KNUCKLE] + curl,
                x.fingers[..., FURTHER] + curl,
                x.fingers[..., SIDEWAYS] + spread,
            ],
            dim=-1,
        )
        over = (bends - self._most).clamp(min=0) + (self._least - bends).clamp(min=0)
        cost = cost + (over / _LIMIT_SIGMA).square().sum((-1, -2))
        cost = cost + (x.size / _SIZE_SIGMA) ** 2 + ((x.size.abs() - _MOST_SIZE).clamp(min=0) / 0.05) ** 2
        return cost * self.weight

    def error(self, placed_points: Tensor) -> tuple[Tensor, Tensor]:
        """Return [B, 2] mean and largest distances of points [B, 2, 21, 3] from those seen in the photo, centimetres at 180 cm.

        The mean is NaN where none lies in the photo.
        """
        inside = torch.from_numpy(self.inside).float()
        gap = (placed_points[..., :2] - self._points).norm(dim=-1) / self.unit
        gap = gap * inside
        return gap.sum(-1) / inside.sum(-1), gap.amax(-1)


def _inside(points: NDArray[np.float64], seen: Observation) -> NDArray[np.bool_]:
    """Return [21] which of a hand's points [21, 3] lie in the photo."""
    xy = points[:, :2]
    return np.asarray(((xy > seen.photo_low) & (xy < seen.photo_high)).all(axis=1))


def fit_hands(
    placed: PlacedBody, seen: Observation, marks: HandMarks, twin: TorchBody, bones: JointsToBones
) -> FittedHands:
    """Return a fitted body with its hands on those that are seen.

    Args:
        placed: in the photo's world frame.
        seen: the person; hands that are not seen, or of which less than 60 % of the points lie in the photo, stay as they are.
        marks: where the points of hands lie on a body.
        twin: anny on torch.
        bones: joints to bones.
    """
    left, right = (
        hand if hand is not None and _inside(hand.points, seen).mean() >= _LEAST_INSIDE else None
        for hand in seen.hands
    )
    seen = replace(seen, hands=(left, right))
    if seen.hands == (None, None):
        return FittedHands(placed, np.full(2, np.nan), np.zeros(2, dtype=bool))
    problem = _Problem(placed, seen, marks, twin, bones)
    x, base = problem.start()
    for tensor in x.tensors():
        tensor.requires_grad_()
    for robust in _ROBUST:
        solver = torch.optim.LBFGS(
            x.tensors(), max_iter=_STEPS, history_size=15, tolerance_grad=1e-3, tolerance_change=1e-4,
            line_search_fn="strong_wolfe",
        )  # fmt: skip

        def closure(robust: float = robust, solver: torch.optim.LBFGS = solver) -> Tensor:
            solver.zero_grad()
            loss = problem.cost(x, base, robust).sum()
            loss.backward()  # type: ignore[no-untyped-call]
            return loss

        solver.step(closure)
    with torch.no_grad():
        best = problem.cost(x, base, _ROBUST[-1]).argmin(dim=0)
        places = problem.places(x)[0]
        error, worst = problem.error(places)
    result, trusted = np.full(2, np.nan), np.zeros(2, dtype=bool)
    turns, hands, fingers = (
        part.copy() for part in (placed.pose.turns, placed.pose.hands, placed.pose.fingers)
    )
    changes = dict(placed.local_changes)
    for k in range(2):
        if seen.hands[k] is None:
            continue
        b = int(best[k])
        result[k] = float(error[b, k])
        if not result[k] <= _GIVEN_UP:
            # The body's arm is another one's, or the hand is: what the body fit said is no worse.
            continue
        fits = result[k] < TRUSTED and float(worst[b, k]) < _FARTHEST
        alike = float(palm_normal(places[b, k].double().numpy()) @ palm_normal(problem.hands[k])) > 0
        trusted[k] = fits and alike
        turns[list(_ARMS[k])] = x.arms[b, k].detach().double().numpy()
        hands[k] = x.hands[b, k].detach().double().numpy()
        fingers[k] = x.fingers[b, k].detach().double().numpy()
        changes[marks.size_names[k]] = float(x.size[b, k].detach().clamp(-1, 1))
    pose = JointPose(turns, hands, fingers)
    return FittedHands(replace(placed, pose=pose, local_changes=changes), result, trusted)
