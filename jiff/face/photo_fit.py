"""Place a face from the landmarks of one picture alone; depth stays a guess until a reconstruction is there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from jiff.face.fitting import FacePose
from jiff.face.landmarks import five_of
from jiff.face.quality import FitQuality, head_angles_deg

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jiff.face.model import MorphableModel
    from jiff.geometry.camera import Camera

DEPTH_WORLD = 5.0
"""Where the middle of a face lies before the body's axis when nothing better is known, world units."""


@dataclass(frozen=True)
class PhotoPrior:
    """What is expected of a face of which only landmarks are known (standard deviations).

    Attributes:
        turn_rad: (pitch, yaw, roll) against looking into the camera.
        scale: natural logarithm of the size against the mean, a free multiple of 1.
        landmark_relative: error of a landmark as a share of the distance between the eyes.
        iterations: Gauss-Newton steps.
    """

    turn_rad: tuple[float, float, float] = (0.25, 0.5, 0.3)
    scale: float = 0.3
    landmark_relative: float = 0.06
    iterations: int = 20


def fit_landmarks(
    model: MorphableModel,
    camera: Camera,
    points_px: NDArray[np.float64],
    prior: PhotoPrior | None = None,
    trust: NDArray[np.float64] | None = None,
) -> tuple[FacePose, FitQuality]:
    """Return the most plausible face whose landmarks project to those of a picture.

    Gauss-Newton on the projected distances plus the priors of turn, size and coefficients. Five landmarks fix the
    place, size and turn and hardly any coefficient; 68 fix more.

    Args:
        model: the face model.
        camera: orthographic, of the picture.
        points_px: [5, 2] or [68, 2] landmarks in pixels of ``camera.size``.
        prior: expectations.
        trust: weight of each landmark, 1 where measured.
    """
    from scipy.spatial.transform import Rotation

    prior = prior or PhotoPrior()
    if len(points_px) == 68:
        index = np.asarray(model.landmarks68)[:, None]
        share = np.ones((68, 1))
    else:
        index, share = model.five
    weight = np.ones(len(points_px)) if trust is None else np.asarray(trust, dtype=np.float64)
    target = camera.pixel_to_world(points_px) @ camera.rotation.T
    target = target[:, :2]
    eyes = five_of(target)[:2]
    noise = prior.landmark_relative * float(np.linalg.norm(eyes[1] - eyes[0]))
    basis = np.concatenate([model.identity, model.expression]).astype(np.float64)
    marks = np.einsum("ij,cijk->cik", share, basis[:, index]) if len(basis) else np.zeros((0, len(index), 3))
    mean = np.einsum("ij,ijk->ik", share, model.mean[index].astype(np.float64))
    coefficients = np.zeros(len(basis))
    turn = np.zeros(3)
    log_scale = 0.0
    offset = np.average(target, axis=0, weights=weight + 1e-9)
    turn_weight = 1.0 / np.array(prior.turn_rad) ** 2
    for _ in range(prior.iterations):
        shape = mean + np.tensordot(coefficients, marks, axes=1)
        rotation = Rotation.from_rotvec(turn).as_matrix()
        scale = float(np.exp(log_scale))
        posed = scale * shape @ rotation.T
        error = target - posed[:, :2] - offset
        rows = np.zeros((len(index), 2, 6 + len(basis)))
        # d(w x p) for a small further turn w, its x and y.
        rows[:, 0, 1], rows[:, 0, 2] = posed[:, 2], -posed[:, 1]
        rows[:, 1, 0], rows[:, 1, 2] = -posed[:, 2], posed[:, 0]
        rows[:, :, 3] = posed[:, :2]
        rows[:, 0, 4] = rows[:, 1, 5] = 1.0
        rows[:, :, 6:] = (scale * marks @ rotation.T)[..., :2].transpose(1, 2, 0)
        w = np.repeat(weight / noise**2, 2)
        flat = rows.reshape(-1, rows.shape[2])
        matrix = flat.T @ (w[:, None] * flat)
        right = flat.T @ (w * error.ravel())
        penalty = np.concatenate([turn_weight, [1.0 / prior.scale**2, 1e-9, 1e-9], np.ones(len(basis))])
        value = np.concatenate([turn, [log_scale, 0.0, 0.0], coefficients])
        matrix[np.arange(len(right)), np.arange(len(right))] += penalty
        right -= penalty * value
        step = np.linalg.solve(matrix, right)
        turn = Rotation.from_matrix(Rotation.from_rotvec(step[:3]).as_matrix() @ rotation).as_rotvec()
        log_scale += float(np.clip(step[3], -0.3, 0.3))
        offset = offset + step[4:6]
        coefficients = np.clip(coefficients + step[6:], -3.0, 3.0)
        if model.expression_names:
            count = len(model.identity)
            coefficients[count:] = np.maximum(coefficients[count:], -0.3)
    rotation = camera.rotation.T @ Rotation.from_rotvec(turn).as_matrix()
    place = camera.rotation.T @ np.array([offset[0], offset[1], 0.0])
    count = len(model.identity)
    depth = DEPTH_WORLD - float(np.asarray(camera.rotation)[2] @ (place - np.asarray(camera.center_world)))
    pose = FacePose(
        scale=float(np.exp(log_scale)),
        rotation=rotation,
        offset=place + depth * np.asarray(camera.rotation)[2],
        identity=coefficients[:count],
        expression=coefficients[count:],
    )
    return pose, landmark_quality(model, pose, camera, points_px)


def landmark_quality(
    model: MorphableModel, pose: FacePose, camera: Camera, points_px: NDArray[np.float64]
) -> FitQuality:
    """Return what a picture alone can tell of a fit: angles, size, landmark error against [5, 2] or [68, 2] detected."""
    projected = camera.world_to_pixel(model.five_landmarks(pose.vertices(model)))
    detected = five_of(points_px)
    error = float(np.linalg.norm(projected - detected, axis=1).mean())
    yaw, pitch, roll = head_angles_deg(np.asarray(camera.rotation) @ pose.rotation)
    return FitQuality(
        median=0.0,
        p90=0.0,
        features_p90=0.0,
        overlap=1.0,
        inliers=0,
        scale=pose.scale,
        yaw_deg=yaw,
        pitch_deg=pitch,
        roll_deg=roll,
        coefficient_rms=float(np.sqrt((pose.identity**2).mean())) if len(pose.identity) else 0.0,
        landmark_px=error,
        landmark_relative=error / max(float(np.linalg.norm(detected[0] - detected[1])), 1e-6),
    )
