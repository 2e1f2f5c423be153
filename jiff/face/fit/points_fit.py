"""Place and form a face by the 468 points of the face network in one picture or several: start and most of the shape."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from jiff.face.fit.fitting import FacePose
from jiff.face.landmarks import similarity
from jiff.geometry.normals import area_weighted_normals

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jiff.face.model import MorphableModel
    from jiff.face.points import ModelPoints
    from jiff.geometry.camera import Camera

DEPTH_WORLD = 5.0
"""Where the middle of a face lies before the body's axis when nothing better is known, world units."""
_LEAST_PARALLAX = 0.1
"""Of the directions of several views together, below which they do not tell the depth."""


@dataclass(frozen=True)
class PointsPrior:
    """What is expected (standard deviations; lengths in world units).

    Attributes:
        scale: natural logarithm of the size against the mean, a free multiple of 1.
        independent: so many independent measurements all points of all views count for: their errors go together.
        depth_noise: of the network's depths, against its places in the picture.
        independent_undone, depth_noise_undone: the same once the network's habits are undone.
        identity, expression: of the coefficients.
        identity_known: of the identity once it was found with the habits undone.
        iterations: Gauss-Newton steps.
    """

    scale: float = 0.3
    independent: float = 100.0
    depth_noise: float = 12.0
    independent_undone: float = 1000.0
    depth_noise_undone: float = 3.0
    identity: float = 1.0
    identity_known: float = 0.05
    expression: float = 0.5
    iterations: int = 12


@dataclass(frozen=True, eq=False)
class PointsView:
    """What the network says in one picture.

    Attributes:
        camera: orthographic, of the picture.
        mesh_px: [468, 3] points in pixels of ``camera.size``.
    """

    camera: Camera
    mesh_px: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class PointsFit:
    """A fit to face points.

    Attributes:
        pose: the face.
        residual: root mean square distance of the points as the network says them, in the picture, world units at the
            model's mean size; the worst view's.
        seen: [N] weight in [0, 1] of each point: whether it is turned to the camera of the first view.
        target_world: [N, 3] where the points of the first view should be; x and y of the picture, z of the fit.
        noise: [N] standard deviation of each, world units.
    """

    pose: FacePose
    residual: float
    seen: NDArray[np.float64]
    target_world: NDArray[np.float64]
    noise: NDArray[np.float64]


def points_in_camera(
    points: ModelPoints, camera: Camera, mesh_px: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return [N, 3] the network's points of [468, 3] along the camera's axes, world units; z to an offset."""
    per_px = 2 * camera.half_width_world / camera.zoom / camera.size
    found = mesh_px[points.which]
    in_plane = camera.pixel_to_world(found[:, :2]) @ np.asarray(camera.rotation).T
    # The camera looks down -z: what the network calls behind has smaller z.
    return np.stack([in_plane[:, 0], in_plane[:, 1], -found[:, 2] * per_px], axis=1)


def fit_points(
    model: MorphableModel,
    points: ModelPoints,
    camera: Camera,
    mesh_px: NDArray[np.float64],
    prior: PointsPrior | None = None,
) -> PointsFit:
    """Return the most plausible face whose points project to those of one picture, see ``fit_views``."""
    return fit_views(model, points, [PointsView(camera, mesh_px)], prior)


def fit_views(
    model: MorphableModel,
    points: ModelPoints,
    views: Sequence[PointsView],
    prior: PointsPrior | None = None,
) -> PointsFit:
    """Return the one face whose points project to those of all pictures: one identity, expression, place and size.

    The network's habits are undone first. Then Gauss-Newton on the projected distances (each weighted by the spread of its
    point and by whether it is turned to that camera), on the network's depths with less weight and to an offset of each
    view, and on the priors of size and coefficients. The depth of a single view is a guess.

    Args:
        model: the face model.
        points: where the points lie on it.
        views: at least one; the first is the one whose targets are returned.
        prior: expectations.
    """
    prior = prior or PointsPrior()
    said = [points_in_camera(points, view.camera, view.mesh_px) for view in views]
    axes = [np.asarray(view.camera.rotation) for view in views]
    count = len(model.identity)
    deviation = np.repeat([prior.identity, prior.expression], [count, len(model.expression)])
    solver = _Solver(model, points, axes)
    mean = points.on(model.mean.astype(np.float64))
    scale, turn, offset = similarity(mean, said[0], 1.0 / points.spread**2)
    nothing = np.zeros(len(deviation))
    face = _Face(float(np.log(np.clip(scale, 0.2, 5.0))), axes[0].T @ turn, axes[0].T @ offset, nothing)
    targets = said
    if points.habits is not None:
        targets = [points.habits.undone(target) for target in said]
        sure = replace(prior, independent=prior.independent_undone, depth_noise=prior.depth_noise_undone)
        face = solver.solve(face, targets, points.habits.left, sure, nothing, deviation)
        # Whose face it is, is known better now; what it does is what the network says.
        expected = np.concatenate([face.coefficients[:count], nothing[count:]])
        deviation = np.repeat([prior.identity_known, prior.expression], [count, len(model.expression)])
        face = solver.solve(face, said, points.spread, prior, expected, deviation)
    else:
        face = solver.solve(face, said, points.spread, prior, nothing, deviation)
    scale, offset = float(np.exp(face.log_scale)), face.offset
    if not _tell_depth(axes):
        ahead = axes[0][2]
        middle = float(ahead @ (offset - np.asarray(views[0].camera.center_world)))
        offset = offset + (DEPTH_WORLD - middle) * ahead
    pose = FacePose(scale, face.rotation, offset, face.coefficients[:count], face.coefficients[count:])
    own = points.on(pose.vertices(model))
    seen = solver.seen(face)
    residual = max(
        _distance(own, target, camera_axes, turned) / scale
        for target, camera_axes, turned in zip(said, axes, seen)
    )
    first = own @ axes[0].T
    target_world = np.concatenate([said[0][:, :2], first[:, 2:]], axis=1) @ axes[0]
    return PointsFit(pose, residual, seen[0], target_world, np.hypot(points.spread, 0.15) * scale)


@dataclass(frozen=True, eq=False)
class _Face:
    """The parameters of a fit; ``coefficients`` [C] are identity, then expression."""

    log_scale: float
    rotation: NDArray[np.float64]
    offset: NDArray[np.float64]
    coefficients: NDArray[np.float64]


class _Solver:
    """Gauss-Newton on the points of one face in several cameras."""

    def __init__(self, model: MorphableModel, points: ModelPoints, axes: list[NDArray[np.float64]]) -> None:
        self.model, self.points, self.axes = model, points, axes
        self.basis = np.concatenate([model.identity, model.expression]).astype(np.float64)
        self.on_basis = (
            np.einsum("ni,cnij->cnj", points.share, self.basis[:, points.index])
            if len(self.basis)
            else np.zeros((0, len(points.which), 3))
        )
        self.mean = points.on(model.mean.astype(np.float64))

    def seen(self, face: _Face) -> list[NDArray[np.float64]]:
        """Return [N] in [0, 1] of each camera how much the points are turned to it: those turned away are guesses."""
        count = len(self.model.identity)
        shape = self.model.shape(face.coefficients[:count], face.coefficients[count:])
        normals = self.points.on(area_weighted_normals(shape, self.model.triangles)) @ face.rotation.T
        return [np.clip((normals @ own[2] - 0.05) / 0.35, 0.0, 1.0) for own in self.axes]

    def solve(
        self,
        face: _Face,
        targets: list[NDArray[np.float64]],
        spread: NDArray[np.float64],
        prior: PointsPrior,
        expected: NDArray[np.float64],
        deviation: NDArray[np.float64],
    ) -> _Face:
        """Return the face whose points lie best at the targets.

        Args:
            face: to start with.
            targets: of each camera, [N, 3] along its axes, z to an offset.
            spread: [N] standard deviation of each point.
            prior: of the size, and what the points count for.
            expected: [C] the likeliest coefficients.
            deviation: [C] theirs.
        """
        from scipy.spatial.transform import Rotation

        count = len(self.model.identity)
        log_scale, rotation, offset, coefficients = (
            face.log_scale, face.rotation, face.offset, face.coefficients,
        )  # fmt: skip
        for step_number in range(prior.iterations):
            scale = float(np.exp(log_scale))
            posed = scale * (self.mean + np.tensordot(coefficients, self.on_basis, axes=1)) @ rotation.T
            noise = np.hypot(spread, 0.15) * scale
            rows = np.zeros((len(posed), 3, 7 + len(coefficients)))
            # d(w x p) for a small further turn w.
            rows[:, 0, 1], rows[:, 0, 2] = posed[:, 2], -posed[:, 1]
            rows[:, 1, 0], rows[:, 1, 2] = -posed[:, 2], posed[:, 0]
            rows[:, 2, 0], rows[:, 2, 1] = posed[:, 1], -posed[:, 0]
            rows[:, :, 3] = posed
            rows[:, [0, 1, 2], [4, 5, 6]] = 1.0
            rows[:, :, 7:] = (scale * self.on_basis @ rotation.T).transpose(1, 2, 0)
            seen = self.seen(_Face(log_scale, rotation, offset, coefficients))
            together = prior.independent / max(float(np.sum(seen)), 1e-9)
            # A whisper of damping: a single view says nothing of the depth.
            matrix, right = np.diag(np.full(rows.shape[2], 1e-6)), np.zeros(rows.shape[2])
            for own, target, turned in zip(self.axes, targets, seen):
                weight = turned / noise**2 * together
                depth_weight = weight / prior.depth_noise**2
                _add_view(matrix, right, rows, posed + offset, own, target, weight, depth_weight)
            penalty = np.concatenate([np.zeros(3), [1.0 / prior.scale**2], np.zeros(3), deviation**-2])
            value = np.concatenate([np.zeros(3), [log_scale], np.zeros(3), coefficients - expected])
            if step_number < 2:
                # Pose first: a face turned wrongly would be bent into place.
                penalty[7:] *= 1e4
            matrix[np.arange(len(right)), np.arange(len(right))] += penalty
            right -= penalty * value
            step = np.linalg.solve(matrix, right)
            rotation = Rotation.from_rotvec(np.clip(step[:3], -0.5, 0.5)).as_matrix() @ rotation
            log_scale += float(np.clip(step[3], -0.3, 0.3))
            offset = offset + step[4:7]
            coefficients = np.clip(coefficients + step[7:], -3.0, 3.0)
            if self.model.expression_names:
                coefficients[count:] = np.maximum(coefficients[count:], -0.3)
        return _Face(log_scale, rotation, offset, coefficients)


def _add_view(
    matrix: NDArray[np.float64],
    right: NDArray[np.float64],
    rows: NDArray[np.float64],
    placed: NDArray[np.float64],
    axes: NDArray[np.float64],
    target: NDArray[np.float64],
    weight: NDArray[np.float64],
    depth_weight: NDArray[np.float64],
) -> None:
    """Add the equations of one view, in place.

    Args:
        matrix, right: [P, P] and [P] the system.
        rows: [N, 3, P] how the parameters move the points in the world.
        placed: [N, 3] the points, world.
        axes: [3, 3] of the camera.
        target: [N, 3] where they should be along these, z to an offset.
        weight, depth_weight: [N].
    """
    error = target - placed @ axes.T
    for axis in range(3):
        w = weight if axis < 2 else depth_weight
        moves, gap = np.tensordot(rows, axes[axis], axes=([1], [0])), error[:, axis]
        if axis == 2:
            total = max(float(w.sum()), 1e-12)
            moves, gap = moves - w @ moves / total, gap - w @ gap / total
        matrix += moves.T @ (w[:, None] * moves)
        right += moves.T @ (w * gap)


def _tell_depth(axes: list[NDArray[np.float64]]) -> bool:
    """Return whether views along the third rows of [3, 3] axes fix a place in space."""
    across = sum(np.eye(3) - np.outer(own[2], own[2]) for own in axes)
    return float(np.linalg.eigvalsh(across)[0]) > _LEAST_PARALLAX


def _distance(
    points: NDArray[np.float64],
    target: NDArray[np.float64],
    axes: NDArray[np.float64],
    seen: NDArray[np.float64],
) -> float:
    """Return the root mean square distance of points [N, 3] to targets [N, 3] in a camera's plane."""
    gap = np.linalg.norm((points @ axes.T - target)[:, :2], axis=1)
    return float(np.sqrt(np.average(gap**2, weights=seen + 1e-9)))
