"""What a body that fits a photo makes small: landmarks, joints, rotations, silhouette, face, shape; all in deviations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from jiff.body.fit.regressor import SHAPES, Prediction
from jiff.body.skeleton import JOINTS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jiff.body.fit.marks import BodyMarks
    from jiff.body.fit.observed import Observation


_FEET = (29, 30, 31, 32)
_ANKLES_HEELS, _TOES = (27, 28, 29, 30), (31, 32)
_TIP_REACH, _TIPS = 0.08, 40
"""How far from a toe's landmark, as a share of the height, the mask is a foot's; and how many of its places are asked for."""
_FOOT_JOINTS = [JOINTS.index(f"{part}.{side}") for part in ("foot", "toes") for side in "LR"]
_BALANCE_CATCH = 5.0
"""Deviations from which a body that does not stand above its feet is let off: those who lean are drawn back, those who jump are not."""


@dataclass(frozen=True)
class FitWeights:
    """How much the terms count, and deviations that no data tells; lengths as shares of the body's height.

    Attributes:
        joints: weight of the regressor's joint places, which repeat the landmarks.
        turns: weight of its rotations.
        outside_sigma: how far skin may stand out of the mask.
        inside_sigma: how far the mask may stand out of the body; clothes and hair do.
        inside: weight of that.
        tips: weight, per foot, of the mask about the toes being covered by the foot.
        tips_sigma: how far shoes may stand off it.
        feet_sure: factor of the deviations of ankles' and heels' landmarks.
        feet_free: factor of those of the regressor's rotations of feet and toes, which it has learnt from feet on the ground.
        face_sigma: of face points.
        face: weight of all face points together, as so many landmarks.
        shape_sigma, scale_sigma: of phenotypes and of the logarithm of the scale about the regressor's.
        legs_sigma: of the legs' length, see ``leg_changes``; 6 to 8 %.
        clearance: weight of not sinking into oneself.
        balance, balance_sigma: weight of standing above the feet, and how far a body's middle may lie before or behind them.
        plane: weight, in the last stage, of the regressor's rotations and of what it says of joints in the picture's plane; 1
            leaves that stage out.
        catch: deviations from which a landmark counts less in that stage.
        outline: how much more skin outside of the mask counts in it.
        robust: deviations from which a landmark counts less and less, stage by stage: the first must catch all.
    """

    joints: float = 0.4
    turns: float = 0.6
    outside: float = 12.0
    outside_sigma: float = 0.008
    inside: float = 6.0
    inside_sigma: float = 0.03
    tips: float = 4.0
    tips_sigma: float = 0.008
    feet_sure: float = 0.6
    feet_free: float = 3.0
    face: float = 6.0
    face_sigma: float = 0.004
    shape_sigma: float = 0.2
    scale_sigma: float = 0.05
    legs_sigma: float = 0.4
    hands_sigma: float = 0.3
    balance: float = 4.0
    clearance: float = 4.0
    balance_sigma: float = 0.05
    plane: float = 0.1
    catch: float = 12.0
    outline: float = 3.0
    robust: tuple[float, ...] = (30.0, 10.0, 4.0)


def geman(squared: Tensor, scale: float) -> Tensor:
    """Return Geman and McClure's robust square of squared deviations: like the square below ``scale``, then level."""
    return squared / (1 + squared / scale**2)


def _outside(mask: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Return the distance to the person [S, S] and places of the outline [N, 2], both in pixels."""
    import cv2

    on = (mask >= 0.5).astype(np.uint8)
    distance = cv2.distanceTransform(1 - on, cv2.DIST_L2, 5)
    lines, _ = cv2.findContours(on, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    points = np.concatenate([line[:, 0] for line in lines]) if lines else np.zeros((0, 2))
    return np.asarray(distance, dtype=np.float32), points.astype(np.float64) + 0.5


def _tips(seen: Observation, height: float) -> list[NDArray[np.float64]]:
    """Return places [N, 2] of the mask about the toes of each foot that is seen, world units."""
    if seen.mask is None:
        return [np.zeros((0, 2)) for _ in _TOES]
    size = seen.mask.shape[0]
    rows, columns = np.nonzero(seen.mask >= 0.5)
    places = np.stack([columns + 0.5, size - rows - 0.5], axis=1) * seen.mask_size / size + np.array(
        seen.mask_low
    )
    gaps = np.linalg.norm(places[:, None] - seen.points[None], axis=2)
    nearest, result = gaps.argmin(axis=1), []
    for toe in _TOES:
        near = places[(nearest == toe) & (gaps[:, toe] < _TIP_REACH * height) & (seen.visibility[toe] > 0.5)]
        result.append(near[np.linspace(0, len(near) - 1, min(_TIPS, len(near))).astype(int)])
    return result


class Energy:
    """Terms of one photo, as a function of a body on torch; ``trust`` weighs the regressor's rotations and joints, ``plane``
    its rotations and, of its joints, what the picture's plane shows.

    Args:
        seen: the person.
        told: what the regressor says of it.
        marks: where landmarks lie on a body.
        weights: of the terms.
        outline: how many places of the mask's outline are asked for.
    """

    def __init__(
        self, seen: Observation, told: Prediction, marks: BodyMarks, weights: FitWeights, outline: int = 160
    ) -> None:
        self.weights, self.trust, self.plane, self.outline = weights, 1.0, 1.0, 1.0
        self.height = 1.7 * told.scale

        def tensor(values: object) -> Tensor:
            return torch.as_tensor(np.asarray(values), dtype=torch.float32)

        spread = np.maximum(told.shift_sigma, 0.5 * marks.spread * self.height)
        # Shifts that the regressor is not sure of are none of the body's habits.
        self.target = tensor(seen.points - told.shift)
        self.mark_weight = tensor(np.clip(seen.presence, 0.02, 1.0))
        self.mark_sigma = tensor(spread)
        self.mark_sigma[list(_ANKLES_HEELS)] *= weights.feet_sure
        self.joints, self.joints_sigma = tensor(told.joints), tensor(told.joints_sigma)
        self.turns, self.turns_sigma = tensor(told.turns), tensor(np.maximum(told.turns_sigma, 0.03))
        self.turns_sigma[_FOOT_JOINTS] *= weights.feet_free
        self.hands = tensor(told.hands)
        self.shape = tensor([told.phenotypes[name] for name in SHAPES])
        self.log_scale = float(np.log(told.scale))
        self.face = None if seen.face is None else tensor(seen.face[:, :2])
        self.grounded = float(seen.presence[list(_FEET)].min() > 0.5)
        self.distance: Tensor | None = None
        self.tips = [tensor(places) for places in _tips(seen, self.height)]
        if seen.mask is not None:
            size = seen.mask.shape[0]
            step = seen.mask_size / size
            distance, line = _outside(seen.mask)
            self.distance = tensor(distance * step)[None, None]
            self.low = tensor(seen.mask_low)
            self.photo_low, self.photo_high = tensor(seen.photo_low), tensor(seen.photo_high)
            self.side = seen.mask_size
            chosen = (
                line[np.linspace(0, len(line) - 1, min(outline, len(line))).astype(int)]
                if len(line)
                else line
            )
            # Rows count downwards.
            self.line = tensor(np.stack([chosen[:, 0], size - chosen[:, 1]], axis=1) * step) + self.low

    def landmarks(self, places: Tensor, robust: float) -> Tensor:
        """Return the cost of landmarks' places [33, 2]; beyond ``robust`` deviations they count less and less."""
        gap = ((places - self.target) / self.mark_sigma[:, None]) ** 2
        return (geman(gap.sum(-1), robust) * self.mark_weight).sum()

    def prior(
        self, joints: Tensor, turns: Tensor, hands: Tensor, shape: Tensor, log_scale: Tensor, legs: Tensor
    ) -> Tensor:
        """Return the cost of joints [21, 3], rotations [21, 3, 3], hands [2, 3], phenotypes [5], scale and legs [1]."""
        w = self.weights
        gap = ((joints - joints[:1] - self.joints) / self.joints_sigma) ** 2
        gap = gap * gap.new_tensor([self.plane, self.plane, 1.0])
        cost = self.trust * w.joints * gap[1:].sum()
        # 8 sin^2(angle / 2) is the square of the chordal distance; near angle^2 * 2 for small ones.
        angle = ((turns - self.turns) ** 2).sum((-1, -2)) / 2
        cost = cost + self.trust * self.plane**0.25 * w.turns * (angle / self.turns_sigma**2).sum()
        cost = cost + ((hands - self.hands) ** 2).sum() / w.hands_sigma**2
        cost = cost + ((shape - self.shape) ** 2).sum() / w.shape_sigma**2 + (legs[0] / w.legs_sigma) ** 2
        return cost + (log_scale - self.log_scale) ** 2 / w.scale_sigma**2

    def silhouette(self, skin: Tensor) -> Tensor:
        """Return the cost of skin [N, 2] outside of the mask and of the mask's outline far from all skin."""
        if self.distance is None:
            return skin.new_zeros(())
        w = self.weights
        place = (skin - self.low) / self.side * 2 - 1
        grid = (place * place.new_tensor([1.0, -1.0]))[None, None]
        found = torch.nn.functional.grid_sample(
            self.distance, grid, mode="bilinear", padding_mode="border", align_corners=False
        )[0, 0, 0]
        # Skin beyond the photo's border is not seen, and so not outside of the person.
        found = found * ((skin > self.photo_low) & (skin < self.photo_high)).all(dim=1)
        outside = geman((found / (w.outside_sigma * self.height)) ** 2, 6.0).mean()
        if len(self.line) == 0:
            return self.outline * w.outside * outside
        nearest = torch.cdist(self.line, skin).min(dim=1).values
        inside = geman((nearest / (w.inside_sigma * self.height)) ** 2, 1.5).mean()
        return self.outline * w.outside * outside + w.inside * inside

    def feet(self, left: Tensor, right: Tensor) -> Tensor:
        """Return the cost of the mask about the toes far from the skin of the feet [N, 2].

        Landmarks of feet are the ball's and a heel's that clothes hide; only the mask shows which way a shoe points.
        """
        cost = left.new_zeros(())
        for tips, skin in zip(self.tips, (left, right)):
            if len(tips) > 0:
                nearest = torch.cdist(tips, skin).min(dim=1).values / (self.weights.tips_sigma * self.height)
                cost = cost + self.weights.tips * geman(nearest**2, 4.0).mean()
        return cost

    def balance(self, skin: Tensor, feet: Tensor, robust: float) -> Tensor:
        """Return the cost of skin [N, 3] whose middle does not lie above the lower of the feet [2, 3].

        Depth is what landmarks know least, and people who stand do not lean; those who run or jump do, and are let off.
        """
        share = torch.softmax(-feet[:, 1] / (0.03 * self.height), dim=0)
        gap = (skin[:, 2].mean() - (share * feet[:, 2]).sum()) / (self.weights.balance_sigma * self.height)
        return self.weights.balance * self.grounded * geman(gap**2, max(_BALANCE_CATCH, robust / 4))

    def faces(self, places: Tensor, which: Tensor, share: Tensor) -> Tensor:
        """Return the cost of face points' places [N, 2], numbers [N] among the 468 and shares of trust [N]."""
        if self.face is None:
            return places.new_zeros(())
        gap = ((places - self.face[which]) / (self.weights.face_sigma * self.height)) ** 2
        return self.weights.face * (geman(gap.sum(-1), 4.0) * share).sum() / share.sum().clamp(min=1.0)


def hinge_cost(turns: Tensor) -> Tensor:
    """Return the cost of knees that bend forward, sideways or twist, of rotation vectors [21, 3], radians."""
    knees = turns[[JOINTS.index("lowerleg.L"), JOINTS.index("lowerleg.R")]]
    forward = knees[:, 0].clamp(max=-0.05) + 0.05
    return (forward**2).sum() / 0.05**2 + (knees[:, 1:] ** 2).sum() / 0.2**2
