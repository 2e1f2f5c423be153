"""Which way does a scan face? Its face, looked for from all around, and its feet."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from jiff.base.errors import MeshError
from jiff.face.detect.locate import head_window
from jiff.face.landmarks import check_five
from jiff.face.surface import FaceScene
from jiff.geometry.camera import Camera
from jiff.geometry.mesh import Mesh
from jiff.geometry.orientation import facing_yaw
from jiff.render.gbuffer import render_gbuffer
from jiff.render.preview import render_preview
from jiff.render.texture import MipTexture, has_triangle_atlas, texture_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jiff.face.detect.detector import FaceDetector

_STEP_DEG, _FINE_STEP_DEG = 30, 10
_HEAD_SIZE, _BODY_SIZE = 320, 128
_TEXTURE_SIZE = 2048
"""Heads are looked at in 320 pixels; more texture only costs time."""
_AGREE_DEG = 45.0
_FRONT_DEG = 50.0
"""Detectors of frontal faces find faces turned by up to about this."""
_WEIGHT = {"points": 1.0, "yunet": 1.0, "haar+eyes": 1.0, "haar": 0.3}


@dataclass(frozen=True)
class FaceDirection:
    """Where a face that was seen from several sides looks.

    Attributes:
        yaw_deg: from +z towards +x.
        views: number of views, of all looked at, in which it was found.
        evidence: the best detector's word, see ``Detection``.
        weight: sum of the views' weights.
    """

    yaw_deg: float
    views: int
    evidence: str
    weight: float


@dataclass(frozen=True)
class Facing:
    """What decided where a scan faces.

    Attributes:
        yaw_deg: from +z towards +x.
        reason: what it was found by, for the user.
        doubt: what speaks against it, or None.
    """

    yaw_deg: float
    reason: str
    doubt: str | None = None


def difference_deg(a: float, b: float) -> float:
    """Return a - b in [-180, 180)."""
    return (a - b + 180.0) % 360.0 - 180.0


def _mean_deg(angles: list[float], weights: list[float]) -> float:
    """Return the weighted circular mean."""
    radians = np.radians(angles)
    return math.degrees(math.atan2(np.dot(weights, np.sin(radians)), np.dot(weights, np.cos(radians))))


def _head_camera(mesh: Mesh, scene: FaceScene, yaw: float) -> Camera | None:
    low, high = mesh.bounds
    radius = float(np.abs(high - low).max()) * 0.6
    whole = Camera.at_yaw(yaw, center_world=(low + high) / 2, half_width_world=radius, size=_BODY_SIZE)
    mask = render_gbuffer(mesh, whole, scene=scene.rays).mask()
    if not mask.any():
        return None
    left, top, side = head_window(mask)
    center: NDArray[np.float64] = whole.pixel_to_world([left + side / 2, top + side / 2])
    half = side / 2 * 2 * radius / _BODY_SIZE
    return Camera.at_yaw(yaw, center_world=center, half_width_world=half, size=_HEAD_SIZE)


class _Onlooker:
    """Looks at the head of an upright scan from any side."""

    def __init__(self, mesh: Mesh, detector: FaceDetector) -> None:
        import cv2

        self._detector = detector
        self._scene = FaceScene(mesh)
        self._mesh = replace(mesh, normals=self._scene.normals)
        self._texture = None
        if has_triangle_atlas(mesh):
            self._texture = texture_of(mesh)
        elif mesh.texture is not None:
            image = mesh.texture
            height, width = image.shape[:2]
            shrink = _TEXTURE_SIZE / max(height, width)
            if shrink < 1:
                size = (max(1, round(width * shrink)), max(1, round(height * shrink)))
                image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
            self._texture = MipTexture(image)

    def face(self, yaw: float) -> tuple[float, str] | None:
        """Return weight and evidence of the best face in the view that turns the scan by ``yaw`` degrees."""
        camera = _head_camera(self._mesh, self._scene, yaw)
        if camera is None:
            return None
        picture = render_preview(
            self._mesh, camera, background=(0, 0, 0), samples=1, scene=self._scene.rays, texture=self._texture
        )
        best: tuple[float, str] | None = None
        for found in self._detector.detect(picture):
            extent = float(found.box_px[3] - found.box_px[1])
            hit = self._scene.lift(camera, found.points_px)[1]
            if check_five(found.points_px) is not None or hit.sum() < 4:
                continue
            if not 0.15 * _HEAD_SIZE < extent < 0.75 * _HEAD_SIZE:
                continue
            weight = _WEIGHT.get(found.evidence, 0.3)
            if best is None or weight > best[0]:
                best = weight, found.evidence
        return best


def face_direction(mesh: Mesh, detector: FaceDetector) -> FaceDirection | None:
    """Look for the face of an upright scan from twelve sides, then more closely; None when there is none.

    Args:
        mesh: y up, any unit, with its colours.
        detector: see ``make_detector``.
    """
    onlooker = _Onlooker(mesh, detector)
    found = {yaw: onlooker.face(yaw) for yaw in range(0, 360, _STEP_DEG)}
    angles = [-float(yaw) for yaw, best in found.items() if best is not None]
    weights = [best[0] for best in found.values() if best is not None]
    words = [best[1] for best in found.values() if best is not None]
    if not angles:
        return None
    # Folds and hair fool a detector now and then: only the side with most finds counts.
    support = [
        sum(w for b, w in zip(angles, weights) if abs(difference_deg(b, a)) <= _FRONT_DEG) for a in angles
    ]
    center = angles[int(np.argmax(support))]
    near = [k for k, a in enumerate(angles) if abs(difference_deg(a, center)) <= _FRONT_DEG]
    mean = _mean_deg([angles[k] for k in near], [weights[k] for k in near])
    # The views that show a face reach about as far to either side of the front: the finer, the better their middle.
    fine = [mean + d for d in range(-6 * _FINE_STEP_DEG, 7 * _FINE_STEP_DEG, _FINE_STEP_DEG)]
    closer = [(angle, best[0]) for angle in fine if (best := onlooker.face(-angle)) is not None]
    if closer:
        mean = _mean_deg([angle for angle, _ in closer], [weight for _, weight in closer])
    kept = [words[k] for k in near]
    evidence = next(word for word in _WEIGHT if word in kept)
    return FaceDirection(mean, len(near), evidence, float(sum(weights[k] for k in near)))


def find_facing(mesh: Mesh, detector: FaceDetector) -> Facing:
    """Decide where an upright scan faces, by its face and its feet.

    Args:
        mesh: y up, any unit, with its colours.
        detector: see ``make_detector``.

    Raises:
        MeshError: neither tells.
    """
    feet = facing_yaw(mesh.vertices)
    face = face_direction(mesh, detector)
    if face is None and feet is None:
        raise MeshError(
            "neither a face nor its feet tell which way it faces; give --yaw instead of --frontal."
        )
    if face is None:
        return Facing(feet or 0.0, "its feet (no face was found)")
    seen = f"its face ({face.evidence}, in {face.views} of {360 // _STEP_DEG} views)"
    if feet is None:
        return Facing(face.yaw_deg, f"{seen} alone, as its feet do not tell")
    apart = difference_deg(feet, face.yaw_deg)
    if abs(apart) <= _AGREE_DEG:
        return Facing(feet, f"its feet, as {seen} agrees")
    if face.weight < 1.0:
        return Facing(feet, "its feet", f"{seen} looks {apart:.0f} degrees aside of that")
    return Facing(face.yaw_deg, seen, f"its feet point {apart:.0f} degrees aside of that")
