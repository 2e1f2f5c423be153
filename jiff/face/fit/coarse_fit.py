"""Fit a photo's face to a coarse reconstruction: the picture fixes x and y, the reconstruction depth and form."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from jiff.base.errors import FitError
from jiff.face.fit.fitting import FaceFitter, FacePose, FitConfig
from jiff.face.fit.quality import COARSE_LIMITS, FitLimits, FitQuality, measure_fit, refusal
from jiff.geometry.normals import area_weighted_normals

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jiff.face.fit.picture_term import PictureTerm
    from jiff.face.model import MorphableModel
    from jiff.face.surface import FaceScene
    from jiff.geometry.camera import Camera

COARSE_FIT = FitConfig(
    reach=(5.0, 4.0, 3.0, 2.5),
    iterations=(4, 4, 5, 6),
    prior=(1e5, 600.0, 150.0, 80.0),
    noise=(3.0, 2.5, 2.0, 2.0),
    landmark_noise=(0.5, 0.7, 1.0, 1.0),
    landmark_axes=(1.0, 1.0, 4.0),
    least_cosine=0.4,
    coarse_vertices=1300,
    fine_vertices=2000,
    turn_deviation=0.2,
    scale_deviation=0.08,
    picture=(1000.0, 1000.0, 1000.0, 1000.0),
    picture_level=(0, 1, 2, 2),
)
"""A reconstruction's face is off by about 1 cm, the same way over some centimetres, so that hundreds of its points say
little more than a few: the picture fixes x, y and size, the reconstruction the depth, both the turn."""


@dataclass(frozen=True, eq=False)
class CoarseFit:
    """An alignment.

    Attributes:
        pose: the aligned face.
        quality: its measurements against the reconstruction.
        method: "surface" (fitted) or "depth" (only moved along the line of sight).
        reason: why it was not fitted, for "depth".
    """

    pose: FacePose
    quality: FitQuality
    method: str
    reason: str | None = None


def depth_shift(
    scene: FaceScene, camera: Camera, vertices: NDArray[np.float64], normals: NDArray[np.float64]
) -> tuple[float, float]:
    """Return by how much to move a face towards the camera so that it lies on the surface, and the share of it that sees one.

    Args:
        scene: the reconstruction.
        camera: of the photo.
        vertices: [V, 3] core of the face.
        normals: [V, 3] unit.
    """
    toward = -camera.forward_world
    facing = normals @ toward > 0.3
    if not facing.any():
        return 0.0, 0.0
    chosen = vertices[facing]
    points, hit = scene.lift(camera, camera.world_to_pixel(chosen))
    gap = (points - chosen)[hit] @ toward
    if len(gap) == 0:
        return 0.0, 0.0
    shift = float(np.median(gap))
    return shift, float((np.abs(gap - shift) < 4.0).sum() / len(chosen))


def fit_coarse(
    fitter: FaceFitter,
    scene: FaceScene,
    camera: Camera,
    start: FacePose,
    five_px: NDArray[np.float64] | None,
    limits: FitLimits = COARSE_LIMITS,
    picture: PictureTerm | None = None,
) -> CoarseFit:
    """Return the face moved onto a coarse reconstruction and, where that makes a good fit, formed by it.

    Args:
        fitter: a face model with ``COARSE_FIT`` (or alike).
        scene: the reconstruction.
        camera: of the photo.
        start: the face as placed by the photo's landmarks.
        five_px: [5, 2] those landmarks, in pixels of ``camera.size``; None when they are unknown.
        limits: beyond which the surface fit is not used.
        picture: the photo, where its pixels are known.

    Raises:
        FitError: hardly anything of the reconstruction lies behind the face.
    """
    model = fitter.model
    vertices = start.vertices(model)
    normals = area_weighted_normals(vertices, model.triangles)
    shift, share = depth_shift(scene, camera, vertices[model.core], normals[model.core])
    if share < 0.5:
        raise FitError(
            f"only {100 * share:.0f} % of the face has the reconstruction behind it; the reconstruction misses the head."
        )
    toward = -camera.forward_world
    moved = replace(start, offset=start.offset + shift * toward)
    surface = scene.around(moved.offset, moved.rotation)
    five_world = None
    if five_px is not None:
        # x and y are the picture's; the depth is the model's own, as good as any for a soft equation.
        own = model.five_landmarks(moved.vertices(model))
        depth = camera.world_to_ndc(own)[:, 2]
        five_world = camera.pixel_to_world(five_px, depth)
    pose = fitter.fit(surface, moved, five_world, picture=picture)
    quality = measure_fit(model, pose, surface, within=2.0, five_px=_pair(model, pose, camera, five_px))
    why = refusal(quality, limits)
    if why is None:
        return CoarseFit(pose, quality, "surface")
    quality = measure_fit(model, moved, surface, within=2.0, five_px=_pair(model, moved, camera, five_px))
    return CoarseFit(moved, quality, "depth", why)


def _pair(
    model: MorphableModel, pose: FacePose, camera: Camera, five_px: NDArray[np.float64] | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    if five_px is None:
        return None
    return camera.world_to_pixel(model.five_landmarks(pose.vertices(model))), five_px
