"""Place a face by one picture alone, landmarks first, then pixels; depth stays a guess until a reconstruction is there."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from jiff.face.detect.detector import HaarDetector, SecondOpinion
from jiff.face.detect.locate import finds_face_at
from jiff.face.fit.fitting import FaceFitter, FacePose, FitConfig
from jiff.face.fit.picture_term import PictureTerm, shows_features
from jiff.face.fit.quality import PHOTO_LIMITS, FitQuality, head_angles_deg, refusal
from jiff.face.landmarks import five_of
from jiff.geometry.camera import rotation_y
from jiff.geometry.normals import area_weighted_normals

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jiff.face.detect.detector import Detection
    from jiff.face.model import MorphableModel
    from jiff.geometry.camera import Camera

DEPTH_WORLD = 5.0
"""Where the middle of a face lies before the body's axis when nothing better is known, world units."""

PHOTO_FIT = FitConfig(
    reach=(0.0, 0.0, 0.0),
    iterations=(6, 6, 6),
    prior=(150.0, 100.0, 60.0),
    noise=(1.0, 1.0, 1.0),
    landmark_noise=(0.5, 0.6, 0.8),
    landmark_axes=(1.0, 1.0, 1e3),
    turn_deviation=0.25,
    scale_deviation=0.2,
    picture=(600.0, 800.0, 800.0),
    picture_level=(0, 1, 2),
)
"""Landmarks of a 40-pixel face are off by a pixel, 0.4 cm; its pixels together know better."""

_GUESSED_YAWS_DEG = (-25.0, 25.0, -45.0, 45.0)
_SURE_AGREEMENT, _CLEARLY = 0.4, 0.03
_ASIDE_DEG = 25.0
"""Yaw from which a face may look like a profile to a cascade."""
_GUESSED_TRUST = np.array([1.0, 1.0, 0.4, 0.4, 0.4])
_EYES_ONLY = np.array([1.0, 1.0, 0.1, 0.1, 0.1])


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
    model: MorphableModel,
    pose: FacePose,
    camera: Camera,
    points_px: NDArray[np.float64],
    trust: NDArray[np.float64] | None = None,
) -> FitQuality:
    """Return what a picture alone can tell of a fit: angles, size, landmark error against [5, 2] or [68, 2] detected."""
    projected = camera.world_to_pixel(model.five_landmarks(pose.vertices(model)))
    detected = five_of(points_px)
    weights = trust if trust is not None and len(trust) == 5 else None
    error = float(np.average(np.linalg.norm(projected - detected, axis=1), weights=weights))
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


def fit_photo(
    model: MorphableModel,
    camera: Camera,
    image_rgb: NDArray[np.uint8],
    mask: NDArray[np.uint8],
    points_px: NDArray[np.float64],
    evidence: str,
) -> tuple[FacePose, FitQuality]:
    """Return the face of a photo: by its landmarks, then, where the model has a texture to compare, by its pixels.

    Args:
        model: the face model.
        camera: of the photo.
        image_rgb: [S, S, 3].
        mask: [S, S], the person at least 128.
        points_px: [5, 2] or [68, 2] landmarks.
        evidence: of the detection; what Haar cascades say of nose and mouth is a guess.
    """
    guessed = evidence.startswith("haar")
    trust = _GUESSED_TRUST if guessed else None
    pose, quality = fit_landmarks(model, camera, points_px, trust=trust)
    if not shows_features(model):
        return pose, quality
    picture = PictureTerm(model, camera, image_rgb, mask)
    fitter = FaceFitter(model, PHOTO_FIT)
    return fit_picture(fitter, camera, picture, pose, five_of(points_px), trust, guessed=guessed)


def photo_refusal(
    quality: FitQuality, image_rgb: NDArray[np.uint8], detection: Detection, fitted_px: NDArray[np.float64]
) -> str | None:
    """Return why the fit to a photo is refused, or None.

    A face under hair or with its mouth wide open may agree poorly with the model's colours: it must have two eyes for
    OpenCV's cascades, which need no file. A neck or a fold of cloth may agree well by accident: whatever the agreement,
    a detector that did not find the face must see one where the fit put it. Landmarks that the user gave are
    exempt from the latter, being the way out where detectors fail.

    Args:
        quality: of the fit.
        image_rgb: [H, W, 3].
        detection: what the fit began with.
        fitted_px: [5, 2] where the fitted face has its eyes, nose tip and mouth corners, pixels.
    """
    other = refusal(replace(quality, picture=None), PHOTO_LIMITS)
    if other is not None:
        return other
    why = refusal(quality, PHOTO_LIMITS)
    if why is not None and not finds_face_at(image_rgb, detection.points_px, HaarDetector(), measured=True):
        return why
    if detection.evidence == "given":
        return None
    judge = SecondOpinion(aside=abs(quality.yaw_deg) > _ASIDE_DEG)
    if finds_face_at(image_rgb, fitted_px, judge):
        return None
    return "no second detector sees a face where the fit is"


def fit_picture(
    fitter: FaceFitter,
    camera: Camera,
    picture: PictureTerm,
    start: FacePose,
    five_px: NDArray[np.float64],
    trust: NDArray[np.float64] | None = None,
    *,
    guessed: bool = False,
) -> tuple[FacePose, FitQuality]:
    """Return a face whose features lie on those of the picture, and what the picture tells of it.

    Args:
        fitter: with ``PHOTO_FIT`` (or alike).
        camera: of the picture.
        picture: its pixels.
        start: from ``fit_landmarks``.
        five_px: [5, 2] landmarks.
        trust: weight of each, 1 where measured.
        guessed: nose and mouth are guesses of a frontal face: several turns are tried, the best one goes on.
    """
    model = fitter.model
    if guessed:
        start, trust = _best_turn(fitter, camera, picture, start, five_px), _EYES_ONLY
    five = _in_world(model, camera, start, five_px)
    pose = fitter.fit(None, start, five, trust, picture=picture)
    quality = landmark_quality(model, pose, camera, five_px, trust)
    return pose, replace(quality, picture=_agreement(model, pose, picture, -1))


def _best_turn(
    fitter: FaceFitter, camera: Camera, picture: PictureTerm, start: FacePose, five_px: NDArray[np.float64]
) -> FacePose:
    """Return the start, turned aside where that explains the picture clearly better than looking ahead does."""
    model = fitter.model
    begun = []
    for yaw in (0.0, *_GUESSED_YAWS_DEG):
        turned = _turned(model, camera, start, yaw)
        five = _in_world(model, camera, turned, five_px)
        pose = fitter.fit(None, turned, five, _EYES_ONLY, rounds=slice(0, 1), picture=picture)
        begun.append((_agreement(model, pose, picture, 0), pose))
    ahead, best = begun[0], max(begun, key=lambda found: found[0])
    sure = best[0] > max(_SURE_AGREEMENT, ahead[0] + _CLEARLY)
    return best[1] if sure else ahead[1]


def _agreement(model: MorphableModel, pose: FacePose, picture: PictureTerm, level: int) -> float:
    vertices = pose.vertices(model)
    return picture.agreement(vertices, area_weighted_normals(vertices, model.triangles), level)


def _in_world(
    model: MorphableModel, camera: Camera, pose: FacePose, five_px: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return [5, 3] landmarks of a picture at the depth of the posed face's own."""
    own = model.five_landmarks(pose.vertices(model))
    return camera.pixel_to_world(five_px, camera.world_to_ndc(own)[:, 2])


def _turned(model: MorphableModel, camera: Camera, pose: FacePose, yaw_deg: float) -> FacePose:
    """Return a face turned about the picture's vertical axis, its eyes where they were in the picture."""
    axes = np.asarray(camera.rotation)
    turn = axes.T @ rotation_y(np.radians(yaw_deg)) @ axes
    before = model.five_landmarks(pose.vertices(model))[:2]
    # Seen from aside, eyes of the same distance belong to a larger face.
    moved = replace(
        pose, rotation=turn @ pose.rotation, scale=pose.scale / float(np.cos(np.radians(yaw_deg)))
    )
    gap = (before - model.five_landmarks(moved.vertices(model))[:2]).mean(0)
    ahead = camera.forward_world
    return replace(moved, offset=moved.offset + gap - (gap @ ahead) * ahead)
