"""One body of the bodies fitted to several views of a person who did not move."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial.transform import Rotation

from jiff.body.legs import leg_changes, leg_value
from jiff.body.placed import PlacedBody
from jiff.body.skeleton import JOINTS, JointPose

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from jiff.body.anny_body import AnnyBody

_ROUNDS = 8
_ROBUST = 2.0
"""Deviations beyond which a view counts less and less: one that mixed up left and right must not move the mean."""
_DEPTH_SIGMA = 8.0
"""Of where a photo puts the whole body in depth, world units."""
_SHARED_SIGMA = 1.0
"""What more views do not make better, world units: all come from the same networks."""
_SHARED_TURN = 0.05
"""The same of rotations, radians."""


@dataclass(frozen=True, eq=False)
class OneView:
    """The body fitted to one view.

    Attributes:
        body: in the world.
        rotation: [3, 3] world to camera axes.
        joint_sigma: [21, 3] standard deviations of its joints along the camera's axes, world units.
        turns_sigma: [21] of its rotations, radians.
    """

    body: PlacedBody
    rotation: NDArray[np.float64]
    joint_sigma: NDArray[np.float64]
    turns_sigma: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ManyViews:
    """What several views say together.

    Attributes:
        body: the start of a fit to the surface: mean rotations, median shape and size, placed at the joints.
        turns: [21, 3, 3] mean rotations.
        turns_sigma: [21] radians.
        joints: [21, 3] places, world.
        covariance: [21, 3, 3] of them, world units squared.
    """

    body: PlacedBody
    turns: NDArray[np.float64]
    turns_sigma: NDArray[np.float64]
    joints: NDArray[np.float64]
    covariance: NDArray[np.float64]

    @property
    def joint_sigma(self) -> NDArray[np.float64]:
        """[21, 3] standard deviations along the world's axes."""
        return np.sqrt(np.diagonal(self.covariance, axis1=1, axis2=2))


def _turn_weight(
    turns: NDArray[np.float64], sigma: NDArray[np.float64], mean: NDArray[np.float64]
) -> NDArray[np.float64]:
    # Twice the sine of half the angle: the angle itself for small ones.
    angle = np.sqrt(((turns - mean) ** 2).sum(axis=(2, 3)) / 2)
    return np.asarray(1 / (sigma**2 * (1 + (angle / (_ROBUST * sigma)) ** 2) ** 2))


def _mean_turns(
    turns: NDArray[np.float64], sigma: NDArray[np.float64], seed: int | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return robust means [21, 3, 3] and deviations [21] of rotations [V, 21, 3, 3] with deviations [V, 21]."""
    weight = 1 / sigma**2 if seed is None else _turn_weight(turns, sigma, turns[seed])
    mean = turns[0]
    for _ in range(_ROUNDS):
        u, _, vt = np.linalg.svd(np.einsum("vj,vjab->jab", weight, turns))
        u[:, :, 2] *= np.linalg.det(u @ vt)[:, None]
        mean = u @ vt
        weight = _turn_weight(turns, sigma, mean)
    return mean, np.sqrt(1 / weight.sum(axis=0) + _SHARED_TURN**2)


def _mean_joints(
    joints: NDArray[np.float64], precision: NDArray[np.float64], seed: int | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return robust means [21, 3] and covariances [21, 3, 3] of places [V, 21, 3] of known precision [V, 21, 3, 3]."""
    mean = np.median(joints, axis=0) if seed is None else joints[seed]
    total = precision.sum(axis=0)
    for _ in range(_ROUNDS):
        gap = joints - mean
        squared = np.einsum("vja,vjab,vjb->vj", gap, precision, gap)
        weighted = precision / ((1 + squared / (3 * _ROBUST**2)) ** 2)[..., None, None]
        total = weighted.sum(axis=0)
        mean = np.linalg.solve(total, np.einsum("vjab,vjb->ja", weighted, joints)[..., None])[..., 0]
    return mean, np.linalg.inv(total) + _SHARED_SIGMA**2 * np.eye(3)


def combine_views(views: Sequence[OneView], body: AnnyBody, seed: int | None = None) -> ManyViews:
    """Return what views say together; how deep joints lie is told by the views from the side.

    Args:
        views: at least one.
        body: anny.
        seed: the view that the others are held against at first, None for their mean: where most mixed up front and back,
            one that did not finds those that agree with it.
    """
    turns = np.stack([Rotation.from_rotvec(view.body.pose.turns).as_matrix() for view in views])
    turns_sigma = np.stack([np.maximum(view.turns_sigma, 0.03) for view in views])
    mean, mean_sigma = _mean_turns(turns, turns_sigma, seed)
    precision = []
    for view in views:
        sigma = np.maximum(view.joint_sigma, 0.3)
        variance = sigma**2 + np.array([0.0, 0.0, _DEPTH_SIGMA**2])
        precision.append(np.einsum("ka,jk,kb->jab", view.rotation, 1 / variance, view.rotation))
    places = np.stack([view.body.joints_world(body) for view in views])
    joints, covariance = _mean_joints(places, np.stack(precision), seed)
    names = views[0].body.phenotypes
    phenotypes = {name: float(np.median([view.body.phenotypes[name] for view in views])) for name in names}
    pose = JointPose(
        Rotation.from_matrix(mean).as_rotvec(), np.median([view.body.pose.hands for view in views], axis=0)
    )
    scale = float(np.median([view.body.scale for view in views]))
    legs = leg_changes(float(np.median([leg_value(view.body.local_changes) for view in views])))
    start = PlacedBody(phenotypes, pose, scale, np.zeros(3), legs)
    gap = joints - start.joints_world(body)
    trunk = [JOINTS.index(name) for name in ("root", "spine", "chest", "neck")]
    placed = replace(start, offset_world=np.median(gap[trunk], axis=0))
    return ManyViews(placed, mean, mean_sigma, joints, covariance)
