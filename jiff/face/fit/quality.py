"""How good a fit is, and when it is refused."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from jiff.geometry.normals import area_weighted_normals

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jiff.face.fit.fitting import FacePose
    from jiff.face.model import MorphableModel
    from jiff.face.surface import FaceSurface

_MATCH_DISTANCE = 1.0
_MATCH_COSINE = 0.5
_FEATURE_RADIUS = 0.9


@dataclass(frozen=True)
class FitQuality:
    """Measurements of a fit; lengths in world units (about cm).

    Attributes:
        median: of the distance between core vertices and the surface.
        p90: 90 % of the core vertices are nearer than this.
        features_p90: the same around eyes, nose and mouth, where a wrong place shows.
        overlap: share of the core vertices with surface of the same orientation within 0.6.
        inliers: number of core vertices within 0.6.
        scale: size of the face against the model's mean.
        yaw_deg: where the face looks, 0 at the camera, positive to the subject's left.
        pitch_deg: positive is up.
        roll_deg: tilt of the head in the image.
        coefficient_rms: of the identity, in standard deviations.
        landmark_px: mean distance of the five landmarks to the detected ones, None where none are known.
        landmark_relative: the same as a share of the distance between the eyes.
        picture: how well the model's features are found in the photo, see ``PictureTerm.agreement``.
        points: root mean square distance of the network's face points, at the model's mean size; None without them.
    """

    median: float
    p90: float
    features_p90: float
    overlap: float
    inliers: int
    scale: float
    yaw_deg: float
    pitch_deg: float
    roll_deg: float
    coefficient_rms: float
    landmark_px: float | None = None
    landmark_relative: float | None = None
    picture: float | None = None
    points: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain rounded values."""
        return {k: round(v, 4) if isinstance(v, float) else v for k, v in asdict(self).items()}


@dataclass(frozen=True)
class FitLimits:
    """Beyond these a fit is refused; lengths in world units.

    Attributes:
        median, p90, features_p90, overlap: see ``FitQuality``.
        scale: smallest and largest size against the model's mean.
        turn_deg: largest yaw or pitch.
        roll_deg: largest tilt.
        coefficient_rms: of the identity.
        landmark_relative: landmark error as a share of the distance between the eyes.
        picture: least agreement with the photo.
        points: largest distance of the network's face points.
    """

    median: float = 0.15
    p90: float = 0.45
    features_p90: float = 0.45
    overlap: float = 0.85
    scale: tuple[float, float] = (0.6, 1.7)
    turn_deg: float = 65.0
    roll_deg: float = 50.0
    coefficient_rms: float = 2.5
    landmark_relative: float = 0.45
    picture: float = 0.45
    points: float = float("inf")


PHOTO_LIMITS = FitLimits(landmark_relative=0.35)
"""For photos without a reconstruction."""


COARSE_LIMITS = FitLimits(median=1.0, p90=2.5, features_p90=2.5, overlap=0.5, landmark_relative=0.3)
"""For reconstructions, whose faces are blurred by a centimetre."""


RIGID_LIMITS = FitLimits(median=0.4, p90=1.3, features_p90=1.3, overlap=0.6, scale=(0.4, 2.5))
"""For faces of somebody's own making, which are moved and scaled but not bent."""


def head_angles_deg(rotation: NDArray[np.float64]) -> tuple[float, float, float]:
    """Return (yaw, pitch, roll) of a face whose model axes are the columns of ``rotation`` [3, 3]."""
    ahead, right = rotation[:, 2], rotation[:, 0]
    yaw = math.degrees(math.atan2(ahead[0], ahead[2]))
    pitch = math.degrees(math.asin(float(np.clip(ahead[1], -1, 1))))
    roll = math.degrees(math.asin(float(np.clip(right[1], -1, 1))))
    return yaw, pitch, roll


def measure_fit(
    model: MorphableModel,
    pose: FacePose,
    surface: FaceSurface,
    *,
    within: float = 0.6,
    five_px: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None,
) -> FitQuality:
    """Measure a fit.

    Args:
        model: the face model.
        pose: the fit.
        surface: what it was fitted to.
        within: distance up to which a vertex counts as overlapping.
        five_px: projected and detected landmarks, [5, 2] each.
    """
    vertices = pose.vertices(model)
    normals = area_weighted_normals(vertices, model.triangles)
    distance, index = surface.tree.query(vertices)
    plane = surface.normals_world[index]
    along = np.abs(np.einsum("ij,ij->i", vertices - surface.points_world[index], plane))
    matched = (distance < _MATCH_DISTANCE) & (np.einsum("ij,ij->i", normals, plane) > _MATCH_COSINE)
    # Where nothing matches, the full distance counts, so that a miss cannot hide behind a plane that runs past it.
    # Folds of lids and lips match nothing either, but lie close to what is seen.
    error = np.where(matched, along, distance)
    core = model.core
    near = matched & (along < within) if within <= _MATCH_DISTANCE else distance < within
    feature_points = vertices[model.landmarks68[27:]]
    gap = np.linalg.norm(vertices[core][:, None] - feature_points[None], axis=2).min(1)
    features = gap < _FEATURE_RADIUS * pose.scale
    yaw, pitch, roll = head_angles_deg(pose.rotation)
    landmark_px = landmark_relative = None
    if five_px is not None:
        projected, detected = five_px
        landmark_px = float(np.linalg.norm(projected - detected, axis=1).mean())
        landmark_relative = landmark_px / max(float(np.linalg.norm(detected[0] - detected[1])), 1e-6)
    return FitQuality(
        median=float(np.median(error[core])),
        p90=float(np.percentile(error[core], 90)),
        features_p90=float(np.percentile(error[core][features], 90)) if features.any() else math.inf,
        overlap=float(near[core].mean()),
        inliers=int(near[core].sum()),
        scale=float(pose.scale),
        yaw_deg=yaw,
        pitch_deg=pitch,
        roll_deg=roll,
        coefficient_rms=float(np.sqrt((pose.identity**2).mean())) if len(pose.identity) else 0.0,
        landmark_px=landmark_px,
        landmark_relative=landmark_relative,
    )


def refusal(quality: FitQuality, limits: FitLimits) -> str | None:
    """Return why a fit is refused, or None."""
    q = quality
    if not math.isfinite(q.median) or not math.isfinite(q.scale):
        return "the fit diverged"
    if not limits.scale[0] <= q.scale <= limits.scale[1]:
        return f"the face would be {q.scale:.2f} times an average one"
    if abs(q.yaw_deg) > limits.turn_deg or abs(q.pitch_deg) > limits.turn_deg:
        return f"the face looks {q.yaw_deg:.0f} degrees aside and {q.pitch_deg:.0f} up"
    if abs(q.roll_deg) > limits.roll_deg:
        return f"the head is tilted by {q.roll_deg:.0f} degrees"
    if q.overlap < limits.overlap:
        return f"only {100 * q.overlap:.0f} % of the face lies on the surface"
    for name, value, limit in (
        ("median", q.median, limits.median),
        ("90 %", q.p90, limits.p90),
        ("90 % of eyes, nose and mouth", q.features_p90, limits.features_p90),
    ):
        if value > limit:
            return f"the distance to the surface is too large ({name}: {value:.2f} cm, at most {limit} cm)"
    if q.coefficient_rms > limits.coefficient_rms:
        return f"the shape is implausible ({q.coefficient_rms:.1f} standard deviations)"
    if q.landmark_relative is not None and q.landmark_relative > limits.landmark_relative:
        return f"its landmarks are {q.landmark_px:.1f} px from the detected ones"
    if q.points is not None and q.points > limits.points:
        return f"the face points do not make a face ({q.points:.2f} cm apart, at most {limits.points})"
    if q.picture is not None and q.picture < limits.picture:
        return f"the picture does not look like a face there (agreement {q.picture:.2f}, at least {limits.picture})"
    return None
