"""Place and form a face by the 468 points of the face network: start, held pose and most of the shape of a photo's fit."""

from __future__ import annotations

from dataclasses import dataclass
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


@dataclass(frozen=True)
class PointsPrior:
    """What is expected (standard deviations; lengths in world units).

    Attributes:
        scale: natural logarithm of the size against the mean, a free multiple of 1.
        independent: so many independent measurements all points together count for: their errors go together.
        depth_noise: of the network's depths, against its places in the picture.
        identity, expression: of the coefficients.
        iterations: Gauss-Newton steps.
    """

    scale: float = 0.3
    independent: float = 100.0
    depth_noise: float = 12.0
    identity: float = 1.0
    expression: float = 1.0
    iterations: int = 12


@dataclass(frozen=True, eq=False)
class PointsFit:
    """A fit to face points.

    Attributes:
        pose: the face.
        residual: root mean square distance of the seen points in the picture, world units at the model's mean size.
        seen: [N] weight in [0, 1] of each point: whether it is turned to the camera.
        target_world: [N, 3] where the points should be; x and y of the picture, z of the fit.
        noise: [N] standard deviation of each, world units.
    """

    pose: FacePose
    residual: float
    seen: NDArray[np.float64]
    target_world: NDArray[np.float64]
    noise: NDArray[np.float64]


def fit_points(
    model: MorphableModel,
    points: ModelPoints,
    camera: Camera,
    mesh_px: NDArray[np.float64],
    prior: PointsPrior | None = None,
) -> PointsFit:
    """Return the most plausible face whose points project to those of a picture.

    Gauss-Newton on the projected distances (each weighted by the learnt spread of its point and by whether it is turned
    to the camera), on the network's depths with little weight, and on the priors of size and coefficients.

    Args:
        model: the face model.
        points: where the points lie on it.
        camera: orthographic, of the picture.
        mesh_px: [468, 3] points of the network in pixels of ``camera.size``.
        prior: expectations.
    """
    from scipy.spatial.transform import Rotation

    prior = prior or PointsPrior()
    axes = np.asarray(camera.rotation)
    per_px = 2 * camera.half_width_world / camera.zoom / camera.size
    found = mesh_px[points.which]
    target = camera.pixel_to_world(found[:, :2]) @ axes.T
    # The camera looks down -z: what the network calls behind has smaller z.
    target = np.stack([target[:, 0], target[:, 1], -found[:, 2] * per_px], axis=1)
    basis = np.concatenate([model.identity, model.expression]).astype(np.float64)
    count = len(model.identity)
    on_basis = (
        np.einsum("ni,cnij->cnj", points.share, basis[:, points.index])
        if len(basis)
        else np.zeros((0, len(points.which), 3))
    )
    mean = points.on(model.mean.astype(np.float64))
    scale, rotation, offset = similarity(mean, target, 1.0 / points.spread**2)
    coefficients = np.zeros(len(basis))
    log_scale = float(np.log(np.clip(scale, 0.2, 5.0)))
    deviation = np.concatenate(
        [np.full(count, prior.identity), np.full(len(basis) - count, prior.expression)]
    )
    seen = np.ones(len(mean))
    noise = points.spread * np.exp(log_scale)
    for step_number in range(prior.iterations):
        shape = mean + np.tensordot(coefficients, on_basis, axes=1)
        scale = float(np.exp(log_scale))
        posed = scale * shape @ rotation.T
        seen = _turned_to_camera(model, points, coefficients, rotation)
        noise = np.hypot(points.spread, 0.15) * scale
        weight = seen / noise**2
        weight = weight * (prior.independent / max(float(seen.sum()), 1e-9))
        error = target - posed - offset
        rows = np.zeros((len(mean), 3, 7 + len(basis)))
        # d(w x p) for a small further turn w.
        rows[:, 0, 1], rows[:, 0, 2] = posed[:, 2], -posed[:, 1]
        rows[:, 1, 0], rows[:, 1, 2] = -posed[:, 2], posed[:, 0]
        rows[:, 2, 0], rows[:, 2, 1] = posed[:, 1], -posed[:, 0]
        rows[:, :, 3] = posed
        rows[:, [0, 1, 2], [4, 5, 6]] = 1.0
        rows[:, :, 7:] = (scale * on_basis @ rotation.T).transpose(1, 2, 0)
        w = np.stack([weight, weight, weight / prior.depth_noise**2], axis=1)
        flat, w, e = rows.reshape(-1, rows.shape[2]), w.ravel(), error.ravel()
        matrix = flat.T @ (w[:, None] * flat)
        right = flat.T @ (w * e)
        penalty = np.concatenate([np.full(3, 1e-6), [1.0 / prior.scale**2], np.full(3, 1e-9), deviation**-2])
        value = np.concatenate([np.zeros(3), [log_scale], np.zeros(3), coefficients])
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
        if model.expression_names:
            coefficients[count:] = np.maximum(coefficients[count:], -0.3)
    scale = float(np.exp(log_scale))
    place = axes.T @ np.array([offset[0], offset[1], 0.0])
    depth = DEPTH_WORLD - float(axes[2] @ (place - np.asarray(camera.center_world)))
    pose = FacePose(
        scale, axes.T @ rotation, place + depth * axes[2], coefficients[:count], coefficients[count:]
    )
    own = points.on(pose.vertices(model))
    target_world = camera.pixel_to_world(found[:, :2], camera.world_to_ndc(own)[:, 2])
    gap = np.linalg.norm(target_world - own, axis=1)
    residual = float(np.sqrt(np.average(gap**2, weights=seen + 1e-9))) / scale
    return PointsFit(pose, residual, seen, target_world, noise)


def _turned_to_camera(
    model: MorphableModel,
    points: ModelPoints,
    coefficients: NDArray[np.float64],
    rotation: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return [N] in [0, 1] how much each point is turned to the camera: those turned away are guesses."""
    count = len(model.identity)
    shape = model.shape(coefficients[:count], coefficients[count:])
    normals = points.on(area_weighted_normals(shape, model.triangles)) @ rotation.T
    return np.clip((normals[:, 2] - 0.05) / 0.35, 0.0, 1.0)
