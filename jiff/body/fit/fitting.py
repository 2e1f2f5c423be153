"""Fit anny to one person in a photo: the regressor's body, then L-BFGS on everything that is seen."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.spatial.transform import Rotation
from torch import Tensor

from jiff.body.anny_body import AnnyBody, load_anny_body
from jiff.body.fit.acceptance import MOST_FOLDED, refusal
from jiff.body.fit.clearance import Clearance
from jiff.body.fit.energy import Energy, FitWeights, hinge_cost
from jiff.body.fit.hand_marks import load_hand_marks
from jiff.body.fit.hands import fit_hands
from jiff.body.fit.marks import SKIN_VERTICES, FacePlaces, load_marks
from jiff.body.fit.observed import unseen_joints, unseen_notes
from jiff.body.fit.regressor import SHAPES, Prediction, load_regressor, predict
from jiff.body.legs import leg_changes
from jiff.body.phenotype import ADULT_AGE
from jiff.body.placed import PlacedBody
from jiff.body.pose_clearance import folded_share
from jiff.body.skeleton import JOINT_HEADS, JOINTS, JointPose
from jiff.body.torch_body import PHENOTYPES, TorchBody, default_phenotypes
from jiff.body.torch_skeleton import JointsToBones, rotation_matrix

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jiff.body.fit.observed import Observation

_UNSEEN_FACTOR = 2.5
"""How much less sure joints are whose landmarks lie outside of the photo."""
_MOST_MISSED, _LITTLE_TRUST = 0.05, 0.1
_SIGMA_FACTORS = np.array([1.21, 1.13, 1.32])
"""What the regressor's deviations in x, y and z lack on captured poses, which it has not seen; measured by
``benchmarks.bodies_seen`` on 40 people that no figure in the documents rests on."""
_SILHOUETTE_STRIDE = 17
_SKIN_SHARE = 0.05
"""A twentieth of the skin outside of the mask weighs as much as landmarks 0.25 % of the height off."""
_ROOMS = (1.15, 1.3, 1.5)
"""How much more room limbs get, one after the other, while a body lies inside itself."""
_MOST_CLASPED = 0.03
"""Share of the skin inside other parts that hands on each other, or on the body, may make."""
UNTOLD = {"age": 0.5 * (ADULT_AGE[0] + ADULT_AGE[1]), "cupsize": 0.15}
"""Phenotypes that nothing tells. Clothes and the networks that draw them add to a flat chest; none takes away from another."""


@dataclass(frozen=True, eq=False)
class BodyFit:
    """A fitted body.

    Attributes:
        body: in the photo's world frame.
        told: what the regressor said.
        joint_sigma: [21, 3] standard deviations of the joints from the root, world units.
        landmark_error: [33] distances of the body's landmarks from those seen, less the known shift, as shares of height.
        folded_share: share of the skin that lies inside another part of the body, before hands were laid onto those seen.
        outside_share: share of the skin that stands out of the mask by more than 1 % of the height.
        notes: what a user should know.
        hand_error: [2] mean distance of left and right hand from their seen points in the picture's plane, centimetres at a
            height of 180; NaN where a hand was not seen.
        hands_seen: [2] whether they lie on hands that are seen, see ``FittedHands``.
        folded_with_hands: ``folded_share`` of the body as it is; None where no hands were laid onto those seen.
    """

    body: PlacedBody
    told: Prediction
    joint_sigma: NDArray[np.float64]
    landmark_error: NDArray[np.float64]
    folded_share: float
    outside_share: float
    notes: tuple[str, ...] = field(default=())
    hand_error: NDArray[np.float64] = field(default_factory=lambda: np.full(2, np.nan))
    hands_seen: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(2, dtype=bool))
    folded_with_hands: float | None = None

    @property
    def refusal(self) -> str | None:
        """Why the body must not be used, None where it may."""
        return refusal(self.landmark_error, self.outside_share, self.folded_share)


@dataclass
class _Unknowns:
    """What is solved for; rotations about the regressor's."""

    root: Tensor
    turns: Tensor
    hands: Tensor
    log_scale: Tensor
    offset: Tensor
    shape: Tensor
    legs: Tensor

    def tensors(self) -> list[Tensor]:
        """Return all of them."""
        return [self.root, self.turns, self.hands, self.log_scale, self.offset, self.shape, self.legs]


class BodyFitter:
    """Fits bodies to photos; holds what all fits share.

    Args:
        body: anny's data.
        weights: of the terms.
        face: where face points lie, None to leave them out.
        steps: of L-BFGS in each stage of robustness.
    """

    def __init__(
        self,
        body: AnnyBody | None = None,
        weights: FitWeights | None = None,
        face: FacePlaces | None = None,
        steps: int = 25,
    ) -> None:
        self.body = body or load_anny_body()
        self.weights = weights or FitWeights()
        self.marks, self.face, self.steps = load_marks(), face, steps
        skin = np.arange(0, SKIN_VERTICES, _SILHOUETTE_STRIDE)
        corner = np.zeros(0, np.int64) if face is None else face.corner.ravel()
        wanted = np.unique(np.concatenate([skin, self.marks.vertices, corner]))
        self.twin = TorchBody(self.body, wanted)
        self.bones = JointsToBones(self.body.bone_labels)

        def places(vertices: NDArray[np.int64]) -> Tensor:
            return torch.from_numpy(np.searchsorted(wanted, vertices))

        self._skin, self._mark_vertices = places(skin), places(self.marks.vertices)
        self._mark_bones = torch.from_numpy(self.marks.bones)
        self._mixture = torch.as_tensor(self.marks.mixture, dtype=torch.float32)
        self._joints = torch.tensor([self.body.bone_labels.index(name) for name in JOINT_HEADS])
        self._foot_skin = [
            torch.from_numpy(np.flatnonzero(self.body.moved_by(("foot", "toe"), side)[skin]))
            for side in (".L", ".R")
        ]
        self._clearance = Clearance(self.body.bone_labels)
        # Between ankle and toes, where the weight is.
        self._feet = [JOINTS.index(name) for name in ("toes.L", "toes.R")]
        self._ankles = [JOINTS.index(name) for name in ("foot.L", "foot.R")]
        if face is not None:
            self._face_corner, self._face_share = (
                places(face.corner),
                torch.as_tensor(face.share, dtype=torch.float32),
            )
            self._face_which = torch.from_numpy(face.which)
        self._columns = torch.tensor([PHENOTYPES.index(name) for name in SHAPES])

    def _phenotypes(self, shape: Tensor) -> Tensor:
        return default_phenotypes(1, **UNTOLD).index_copy(1, self._columns, shape[None])

    def _start(self, seen: Observation, told: Prediction) -> _Unknowns:
        turns = Rotation.from_matrix(told.turns).as_rotvec()
        hands = torch.tensor(told.hands, dtype=torch.float32)
        shape = torch.tensor([told.phenotypes[name] for name in SHAPES], dtype=torch.float32).clamp(
            0.02, 0.98
        )
        unknowns = _Unknowns(
            torch.zeros(3), torch.tensor(turns, dtype=torch.float32), hands,
            torch.tensor(float(np.log(told.scale))), torch.zeros(2), shape, torch.zeros(1),
        )  # fmt: skip
        with torch.no_grad():
            places = self._evaluate(unknowns, told)["marks"][0]
            gap = torch.as_tensor(seen.points - told.shift, dtype=torch.float32) - places
            unknowns.offset += gap.median(dim=0).values
        return unknowns

    def _evaluate(self, x: _Unknowns, told: Prediction) -> dict[str, Tensor]:
        """Return skin, landmarks, joints [1, N, 3 or 2], world units, of which z has no origin."""
        base = torch.as_tensor(told.turns[0], dtype=torch.float32)
        root = rotation_matrix(x.root)[None] @ base
        phenotypes, legs = self._phenotypes(x.shape.clamp(0, 1)), leg_changes(x.legs.clamp(-1, 1))
        rest, heads = self.twin.rest(self.twin.shape_weights(phenotypes, legs))
        linear, offset = self.twin.bone_transforms(heads, self.bones(x.turns[None], x.hands[None], root))
        vertices = self.twin.pose(rest, linear, offset)
        bones = (linear @ heads[..., None])[..., 0] + offset
        scale = x.log_scale.exp()
        place = torch.cat([x.offset, x.offset.new_zeros(1)])
        vertices, bones = vertices * scale + place, bones * scale + place
        points = torch.cat([vertices[:, self._mark_vertices], bones[:, self._mark_bones]], dim=1)
        result = {
            "skin": vertices[:, self._skin],
            "marks": (self._mixture @ points)[..., :2],
            "joints": bones[:, self._joints],
            "root": root,
            "bones": bones,
            "feet": (bones[:, self._joints[self._ankles]] + bones[:, self._joints[self._feet]]) / 2,
        }
        if self.face is not None:
            corners = vertices[:, self._face_corner]
            result["face"] = (corners * self._face_share[..., None]).sum(dim=2)
        return result

    def cost(
        self, x: _Unknowns, energy: Energy, told: Prediction, robust: float, room: float = 1.0
    ) -> Tensor:
        """Return what a fit makes small; ``room`` as of ``Clearance``."""
        found = self._evaluate(x, told)
        matrices = torch.cat([found["root"], rotation_matrix(x.turns[1:])])
        cost = energy.landmarks(found["marks"][0], robust) + hinge_cost(x.turns)
        cost = cost + energy.prior(found["joints"][0], matrices, x.hands, x.shape, x.log_scale, x.legs)
        plane = found["skin"][0, :, :2]
        cost = cost + energy.silhouette(plane)
        cost = cost + energy.feet(plane[self._foot_skin[0]], plane[self._foot_skin[1]])
        cost = cost + energy.balance(found["skin"][0], found["feet"][0], robust)
        cost = cost + self.weights.clearance * self._clearance(found["bones"][0], x.log_scale.exp(), room)
        over = torch.cat([x.shape - x.shape.clamp(0, 1), x.legs - x.legs.clamp(-1, 1)]) / 0.05
        cost = cost + (over**2).sum()
        if self.face is not None:
            cost = cost + energy.faces(
                found["face"][0, :, :2], self._face_which, torch.ones(len(self._face_which))
            )
        return cost

    def fit(self, seen: Observation, told: Prediction | None = None) -> BodyFit:
        """Return the body of a person.

        Args:
            seen: the person.
            told: the start, by default the regressor's.
        """
        told = told or predict(load_regressor(), seen)
        energy = Energy(seen, told, self.marks, self.weights)
        x = self._start(seen, told)
        for tensor in x.tensors():
            tensor.requires_grad_()
        for robust in self.weights.robust:
            self._solve(x, energy, told, robust)
        result = self._result(x, seen, told)
        if _missed(result) > _MOST_MISSED:
            # The regressor's pose is another one, and holds the body off what is seen.
            other = self._start(seen, told)
            for tensor in other.tensors():
                tensor.requires_grad_()
            energy.trust = _LITTLE_TRUST
            for robust in self.weights.robust:
                self._solve(other, energy, told, robust)
            second = self._result(other, seen, told)
            if _missed(second) < 0.7 * _missed(result):
                x, result = other, second
            else:
                energy.trust = 1.0
        # Where the regressor and the photo disagree in the picture's plane, the photo is right.
        if self.weights.plane < 1.0:
            kept = [tensor.detach().clone() for tensor in x.tensors()]
            energy.plane, energy.outline = self.weights.plane, self.weights.outline
            self._solve(x, energy, told, self.weights.catch)
            again = self._result(x, seen, told)
            if _off(again) < _off(result):
                result = again
            else:
                energy.plane = energy.outline = 1.0
                with torch.no_grad():
                    for tensor, old in zip(x.tensors(), kept):
                        tensor.copy_(old)
        for room in _ROOMS:
            if result.folded_share <= MOST_FOLDED:
                break
            self._solve(x, energy, told, self.weights.robust[-1], room)
            result = self._result(x, seen, told)
        return self._with_hands(result, seen)

    def _with_hands(self, fit: BodyFit, seen: Observation) -> BodyFit:
        """Return a fit with its hands on those seen, unless that would put them into the body."""
        if seen.hands == (None, None):
            return fit
        left, right = seen.hands
        # Hands that would run through each other come one by one.
        for hands in dict.fromkeys([(left, right), (left, None), (None, right)]):
            found = fit_hands(fit.body, replace(seen, hands=hands), load_hand_marks(), self.twin, self.bones)
            folded = folded_share(found.body.vertices_world(self.body)[:SKIN_VERTICES] / fit.body.scale)
            if folded <= max(_MOST_CLASPED, fit.folded_share):
                # Whether the body may be used is told by the body fit: masks lose hands, and hands that hold each other touch.
                return replace(
                    fit, body=found.body, hand_error=found.error, hands_seen=found.trusted, folded_with_hands=folded
                )  # fmt: skip
        return fit

    def _solve(
        self, x: _Unknowns, energy: Energy, told: Prediction, robust: float, room: float = 1.0
    ) -> None:
        solver = torch.optim.LBFGS(
            x.tensors(), max_iter=self.steps, history_size=20, tolerance_grad=1e-3, tolerance_change=1e-4,
            line_search_fn="strong_wolfe",
        )  # fmt: skip

        def closure() -> Tensor:
            solver.zero_grad()
            loss = self.cost(x, energy, told, robust, room)
            loss.backward()
            return loss

        solver.step(closure)

    def _result(self, x: _Unknowns, seen: Observation, told: Prediction) -> BodyFit:
        with torch.no_grad():
            found = self._evaluate(x, told)
            scale = float(x.log_scale.exp())
            turns = x.turns.double().numpy().copy()
            turns[0] = Rotation.from_matrix(found["root"][0].double().numpy()).as_rotvec()
            shape = x.shape.clamp(0, 1).double().numpy()
            offset = np.append(x.offset.double().numpy(), 0.0)
            gap = found["marks"][0].double().numpy() - (seen.points - told.shift)
        phenotypes = UNTOLD | {name: float(value) for name, value in zip(SHAPES, shape)}
        hands = x.hands.detach().double().numpy()
        legs = leg_changes(float(x.legs.detach().clamp(-1, 1)))
        placed = PlacedBody(phenotypes, JointPose(turns, hands), scale, offset, legs)
        skin = placed.vertices_world(self.body)[:SKIN_VERTICES]
        # The middle of the body's depth is the world's, as of scans.
        depth = (skin[:, 2].min() + skin[:, 2].max()) / 2
        placed = replace(placed, offset_world=offset - [0.0, 0.0, depth])
        error = np.linalg.norm(gap, axis=1) / (1.7 * scale)
        outside, folded = outside_share(skin, seen, 1.7 * scale), folded_share(skin / scale)
        unseen = unseen_joints(seen)
        sigma = told.joints_sigma * _SIGMA_FACTORS * np.where(unseen, _UNSEEN_FACTOR, 1.0)[:, None]
        return BodyFit(placed, told, sigma, error, folded, outside, unseen_notes(unseen))


def _off(fit: BodyFit) -> float:
    """Return how far a fit is off in the picture: landmarks and skin outside of the mask."""
    return float(fit.landmark_error.mean()) + _SKIN_SHARE * fit.outside_share


def _missed(fit: BodyFit) -> float:
    """Return the mean distance of the four farthest landmarks, as a share of the height."""
    return float(np.sort(fit.landmark_error)[-4:].mean())


def outside_share(skin: NDArray[np.float64], seen: Observation, height: float) -> float:
    """Return the share of skin [N, 3] that lies outside of the mask by more than 1 % of the height."""
    import cv2

    if seen.mask is None:
        return 0.0
    size = seen.mask.shape[0]
    distance = cv2.distanceTransform((seen.mask < 0.5).astype(np.uint8), cv2.DIST_L2, 5)
    place = (skin[:, :2] - np.array(seen.mask_low)) / seen.mask_size * size
    column, row = place[:, 0].astype(int), (size - place[:, 1]).astype(int)
    inside = (column >= 0) & (column < size) & (row >= 0) & (row < size)
    inside &= (skin[:, :2] > seen.photo_low).all(axis=1) & (skin[:, :2] < seen.photo_high).all(axis=1)
    far = np.zeros(len(skin), dtype=bool)
    far[inside] = distance[row[inside], column[inside]] * seen.mask_size / size > 0.01 * height
    return float(far.sum() / max(len(skin), 1))
