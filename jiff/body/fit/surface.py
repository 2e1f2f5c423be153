"""Bring a body to the surface of a scan: skin inside the clothes, and on the scan where nothing covers it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation
from torch import Tensor

from jiff.body.anny_body import AnnyBody, load_anny_body
from jiff.body.fit.energy import geman, hinge_cost
from jiff.body.fit.in_scan import InScan, ScanSurface, skin_in_scan, skin_samples
from jiff.body.fit.regressor import SHAPES
from jiff.body.fit.views import combine_views
from jiff.body.legs import leg_changes, leg_value
from jiff.body.placed import PlacedBody
from jiff.body.skeleton import JOINT_HEADS, JointPose
from jiff.body.torch_body import PHENOTYPES, TorchBody
from jiff.body.torch_skeleton import JointsToBones, rotation_matrix

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jiff.body.fit.views import ManyViews, OneView

_DOUBTFUL, _MORE_STARTS = 0.1, 3
"""Share of skin and scan that do not go together from which other starts are tried, and how many."""


@dataclass(frozen=True)
class SurfaceWeights:
    """How much the terms count; deviations in world units.

    Attributes:
        joints, turns: weights of what the views say.
        outside, outside_sigma: skin outside of the scan.
        bare, bare_sigma: face, hands and feet off the scan.
        covered, covered_sigma: other skin off the scan.
        scan, scan_sigma: the scan off the skin; clothes and hair are.
        shape_sigma, scale_sigma, hands_sigma, legs_sigma: of phenotypes, logarithm of the scale, hands and legs' length, about the
            views'.
        rounds, steps: how often nearest points are looked for, and steps of L-BFGS between.
    """

    joints: float = 0.5
    turns: float = 0.5
    outside: float = 120.0
    outside_sigma: float = 0.6
    bare: float = 60.0
    bare_sigma: float = 1.2
    covered: float = 15.0
    covered_sigma: float = 5.0
    scan: float = 60.0
    scan_sigma: float = 3.0
    shape_sigma: float = 0.25
    scale_sigma: float = 0.15
    hands_sigma: float = 0.3
    legs_sigma: float = 0.3
    rounds: int = 8
    steps: int = 12


class SurfaceFitter:
    """Fits bodies to scans; holds what all fits share.

    Args:
        body: anny's data.
        weights: of the terms.
    """

    def __init__(self, body: AnnyBody | None = None, weights: SurfaceWeights | None = None) -> None:
        self.body, self.weights = body or load_anny_body(), weights or SurfaceWeights()
        vertices, bare = skin_samples()
        self._twin = TorchBody(self.body, vertices)
        self._bones = JointsToBones(self.body.bone_labels)
        self._bare = torch.from_numpy(bare)
        self._heads = self._twin.indices(JOINT_HEADS)
        self._columns = torch.tensor([PHENOTYPES.index(name) for name in SHAPES])

    def fit(self, surface: ScanSurface, told: ManyViews) -> InScan:
        """Return the body of a scan.

        Args:
            surface: the scan.
            told: what views of it say; the start.
        """
        w, start = self.weights, told.body
        row = torch.tensor([[start.phenotypes.get(name, 0.5) for name in PHENOTYPES]])
        base = torch.tensor(Rotation.from_rotvec(start.pose.turns[0]).as_matrix(), dtype=torch.float32)
        first = [
            torch.zeros(3),
            torch.tensor(start.pose.turns, dtype=torch.float32),
            torch.tensor(start.pose.hands, dtype=torch.float32),
            torch.tensor(0.0),
            torch.tensor(start.offset_world, dtype=torch.float32),
            row[0, self._columns].clamp(0.02, 0.98),
            torch.tensor([leg_value(start.local_changes)]),
        ]
        x = [tensor.clone().requires_grad_() for tensor in first]
        white = torch.tensor(np.linalg.cholesky(np.linalg.inv(told.covariance)), dtype=torch.float32)
        places = torch.tensor(told.joints, dtype=torch.float32)
        mean = torch.tensor(told.turns, dtype=torch.float32)
        sigma = torch.tensor(told.turns_sigma, dtype=torch.float32)
        scan = torch.tensor(surface.points, dtype=torch.float32)

        def evaluate() -> tuple[Tensor, Tensor, Tensor]:
            root = rotation_matrix(x[0])[None] @ base
            shape = row.index_copy(1, self._columns, x[5].clamp(0, 1)[None])
            rest, heads = self._twin.rest(self._twin.shape_weights(shape, leg_changes(x[6].clamp(-1, 1))))
            linear, offset = self._twin.bone_transforms(heads, self._bones(x[1][None], x[2][None], root))
            scale = start.scale * x[3].exp()
            skin = self._twin.pose(rest, linear, offset)[0] * scale + x[4]
            bones = ((linear @ heads[..., None])[..., 0] + offset)[0] * scale + x[4]
            return skin, bones[self._heads], torch.cat([root, rotation_matrix(x[1][1:])])

        def prior(joints: Tensor, matrices: Tensor) -> Tensor:
            gap = ((joints - places)[:, None] @ white)[:, 0]
            cost = w.joints * geman((gap**2).sum(-1), 5.0).sum()
            angle = ((matrices - mean) ** 2).sum((-1, -2)) / 2
            cost = cost + w.turns * (angle / sigma**2).sum() + hinge_cost(x[1])
            cost = cost + ((x[2] - first[2]) ** 2).sum() / w.hands_sigma**2
            cost = cost + ((x[5] - first[5]) ** 2).sum() / w.shape_sigma**2 + (x[3] / w.scale_sigma) ** 2
            cost = cost + ((x[6] - first[6]) ** 2).sum() / w.legs_sigma**2
            over = torch.cat([x[5] - x[5].clamp(0, 1), x[6] - x[6].clamp(-1, 1)])
            return cost + (over**2).sum() / 0.05**2

        for number in range(w.rounds):
            with torch.no_grad():
                skin = evaluate()[0].double().numpy()
            _, near, normal = (torch.tensor(part, dtype=torch.float32) for part in surface.heights(skin))
            index = torch.from_numpy(cKDTree(skin).query(surface.points)[1])
            # At first everything pulls, later what is far is clothes.
            reach = 2.0 + 12.0 * max(0.0, 1.0 - 2 * number / w.rounds)

            def cost(
                near: Tensor = near, normal: Tensor = normal, index: Tensor = index, reach: float = reach
            ) -> Tensor:
                skin, joints, matrices = evaluate()
                height = ((skin - near) * normal).sum(-1)
                out = geman((height.clamp(min=0) / w.outside_sigma) ** 2, 4 * reach).mean()
                bare = geman((height / w.bare_sigma) ** 2, reach)[self._bare].mean()
                covered = geman((height / w.covered_sigma) ** 2, reach)[~self._bare].mean()
                back = geman(((scan - skin[index]) ** 2).sum(-1) / w.scan_sigma**2, reach).mean()
                pull = w.outside * out + w.bare * bare + w.covered * covered + w.scan * back
                return pull + prior(joints, matrices)

            solver = torch.optim.LBFGS(
                x, max_iter=w.steps, history_size=12, tolerance_grad=1e-3, tolerance_change=1e-4,
                line_search_fn="strong_wolfe",
            )  # fmt: skip

            def closure() -> Tensor:
                solver.zero_grad()  # noqa: B023 - called in this round only
                loss = cost()
                loss.backward()  # type: ignore[no-untyped-call]
                return loss

            solver.step(closure)
        with torch.no_grad():
            root = evaluate()[2][0].double().numpy()
            turns = x[1].double().numpy().copy()
            turns[0] = Rotation.from_matrix(root).as_rotvec()
            shape = x[5].clamp(0, 1).double().numpy()
            placed = PlacedBody(
                start.phenotypes | {name: float(value) for name, value in zip(SHAPES, shape)},
                JointPose(turns, x[2].double().numpy()),
                start.scale * float(x[3].exp()),
                x[4].double().numpy(),
                leg_changes(float(x[6].clamp(-1, 1))),
            )
        return skin_in_scan(placed, self.body, surface)


def fit_surface(
    views: Sequence[OneView], surface: ScanSurface, fitter: SurfaceFitter
) -> tuple[InScan, ManyViews]:
    """Return the body of a scan and what views of it say together; views that disagree are tried one by one.

    Args:
        views: at least one.
        surface: the scan.
        fitter: of bodies to scans.
    """
    told = combine_views(views, fitter.body)
    best = fitter.fit(surface, told), told
    if best[0].fault <= _DOUBTFUL:
        return best
    others = [combine_views(views, fitter.body, seed) for seed in range(len(views))]
    others.sort(key=lambda other: skin_in_scan(other.body, fitter.body, surface).fault)
    for other in others[:_MORE_STARTS]:
        found = fitter.fit(surface, other), other
        if found[0].fault < best[0].fault:
            best = found
        if best[0].fault <= _DOUBTFUL:
            break
    return best
