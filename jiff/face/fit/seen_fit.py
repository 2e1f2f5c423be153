"""The face of a photo from the 468 points of the face network, then from the photo's own pixels."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from jiff.face.fit.equations import Marks
from jiff.face.fit.fitting import FaceFitter, FacePose
from jiff.face.fit.photo_fit import PHOTO_FIT, landmark_quality
from jiff.face.fit.picture_term import PictureTerm, shows_features
from jiff.face.fit.points_fit import PointsFit, fit_points
from jiff.face.fit.quality import FitLimits, FitQuality, refusal
from jiff.geometry.camera import Camera
from jiff.geometry.normals import area_weighted_normals

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jiff.face.model import MorphableModel
    from jiff.face.points import ModelPoints
    from jiff.perception.crop import Crop

SEEN_FIT = replace(
    PHOTO_FIT,
    prior=(20.0, 20.0, 20.0),
    landmark_noise=(float("inf"),) * 3,
    picture=(150.0, 300.0, 300.0),
)
"""Pixels refine what the points hold; the likeliest face is that of the points."""
_HOLD = 100.0
"""So many independent measurements the points count for beside the pixels."""

SEEN_LIMITS = FitLimits(
    scale=(0.45, 2.5), turn_deg=75.0, roll_deg=80.0, landmark_relative=0.35, picture=-1.0, points=1.4
)
"""For faces seen by the network: crouching people fill the frame with larger heads, jumping ones tilt them. Agreement with
the model's own colours separates nothing that the points do not."""
LEAST_ON_PERSON = 0.6
"""Share of the points that must lie in the person's mask."""


@dataclass(frozen=True, eq=False)
class CloseUp:
    """The head in the photo's own pixels.

    Attributes:
        rgb: [S, S, 3].
        mask: [S, S], the person at least 128.
        camera: its own, with the axes of the photo's camera.
    """

    rgb: NDArray[np.uint8]
    mask: NDArray[np.uint8]
    camera: Camera


def close_up_in(window: Crop, rgb: NDArray[np.uint8], mask: NDArray[np.uint8], camera: Camera) -> CloseUp:
    """Return the close-up of a window.

    Args:
        window: in pixels of ``camera.size``.
        rgb: [S, S, 3] what is seen in it, at any resolution.
        mask: [H, W] of the camera's whole picture.
        camera: of that picture.
    """
    size = rgb.shape[0]
    own = Camera(
        rotation=camera.rotation,
        center_world=camera.pixel_to_world(np.array(window.center_px)),
        half_width_world=window.side_px / camera.size * camera.half_width_world / camera.zoom,
        size=size,
    )
    return CloseUp(rgb, window.take(mask, size), own)


def fit_seen(
    model: MorphableModel,
    points: ModelPoints,
    camera: Camera,
    mesh_px: NDArray[np.float64],
    five_px: NDArray[np.float64],
    close_up: CloseUp | None = None,
) -> tuple[FacePose, FitQuality]:
    """Return the face whose points lie where the network saw them and whose features lie on the picture's.

    Args:
        model: the face model.
        points: where the network's points lie on it.
        camera: of the photo.
        mesh_px: [468, 3] points of the network in pixels of ``camera.size``.
        five_px: [5, 2] eyes, nose tip, mouth corners of these, for the report.
        close_up: pixels to refine by, where there are any.
    """
    found = fit_points(model, points, camera, mesh_px)
    pose, agreement = found.pose, None
    if close_up is not None and shows_features(model):
        term = PictureTerm(model, close_up.camera, close_up.rgb, close_up.mask)
        pose = FaceFitter(model, SEEN_FIT).fit(
            None, pose, picture=term, marks=_held(points, found), expected=found.pose
        )
        vertices = pose.vertices(model)
        agreement = term.agreement(vertices, area_weighted_normals(vertices, model.triangles), -1)
    quality = landmark_quality(model, pose, camera, five_px)
    return pose, replace(quality, picture=agreement, points=found.residual)


def _held(points: ModelPoints, found: PointsFit) -> Marks:
    """Return the points as marks that hold a fit; their depths are the fit's own."""
    weight = found.seen / found.noise**2 * (_HOLD / max(float(found.seen.sum()), 1e-9))
    return Marks(points.index, points.share, found.target_world, np.repeat(weight[:, None], 3, axis=1))


def share_on_person(mesh_px: NDArray[np.float64], mask: NDArray[np.uint8]) -> float:
    """Return the share of face points [468, 3] that lie in a mask [H, W]."""
    x, y = np.floor(mesh_px[:, :2]).astype(int).T
    inside = (x >= 0) & (y >= 0) & (x < mask.shape[1]) & (y < mask.shape[0])
    return float((mask[y[inside], x[inside]] >= 128).sum() / len(mesh_px))


def seen_refusal(quality: FitQuality, mesh_px: NDArray[np.float64], mask: NDArray[np.uint8]) -> str | None:
    """Return why a fit to face points is refused, or None.

    Args:
        quality: of the fit.
        mesh_px: [468, 3] points in pixels of the mask.
        mask: [H, W] of the person.
    """
    share = share_on_person(mesh_px, mask)
    if share < LEAST_ON_PERSON:
        return f"only {100 * share:.0f} % of the face lies on the person"
    return refusal(quality, SEEN_LIMITS)
