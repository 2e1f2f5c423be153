"""Find and fit the face of a scan: evidence from its picture, else from close-ups of its geometry."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from jiff.base.errors import FitError
from jiff.face.detect.locate import head_window, locate_face
from jiff.face.fit.fitting import FaceFitter, FacePose, start_from_landmarks
from jiff.face.fit.points_fit import PointsView, fit_views
from jiff.face.fit.quality import FitLimits, FitQuality, measure_fit, refusal
from jiff.face.fit.seen_fit import SEEN_LIMITS
from jiff.face.landmarks import check_five
from jiff.geometry.camera import Camera
from jiff.geometry.mesh import Mesh
from jiff.render.preview import render_preview

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from jiff.face.detect.detector import Detection, FaceDetector
    from jiff.face.points import ModelPoints
    from jiff.face.surface import FaceScene

    Look = Callable[[NDArray[np.float64]], Sequence[PointsView]]

CLOSE_UP_YAWS_DEG = (0.0, -30.0, 30.0, -60.0, 60.0)
CLOSE_UP_HALF_WIDTH = 22.0
_GUESSED_TRUST = np.array([1.0, 1.0, 0.5, 0.5, 0.5])
"""Trust in landmarks that were guessed from a face box or from eyes: nose and mouth are less certain."""


@dataclass(frozen=True, eq=False)
class Evidence:
    """A detection and the camera of the picture that it was made in."""

    detection: Detection
    camera: Camera
    source: str


@dataclass(frozen=True, eq=False)
class ScanFit:
    """An accepted fit.

    Attributes:
        pose: place, size, coefficients.
        quality: its measurements.
        evidence: what it rests on.
        view: rotation [3, 3] and centre [3] of the surface patch.
        views: number of pictures whose face points the fit began with; 0 where it began with landmarks.
    """

    pose: FacePose
    quality: FitQuality
    evidence: Evidence
    view: tuple[NDArray[np.float64], NDArray[np.float64]]
    views: int = 0


def _head_center(scene: FaceScene, mask: NDArray[np.uint8], camera: Camera) -> NDArray[np.float64] | None:
    """Return [3] the middle of what is seen in the window of the head, world units."""
    left, top, side = head_window(mask)
    steps = (np.arange(24) + 0.5) / 24
    grid = np.stack(np.meshgrid(left + side * steps, top + side * (0.1 + 0.5 * steps)), axis=-1).reshape(
        -1, 2
    )
    points, hit = scene.lift(camera.with_size(mask.shape[0]), grid)
    if not hit.any():
        return None
    center: NDArray[np.float64] = np.median(points[hit], axis=0)
    return center


def find_evidence(
    scene: FaceScene,
    camera: Camera,
    image_rgb: NDArray[np.uint8] | None,
    mask: NDArray[np.uint8],
    detector: FaceDetector,
    notes: list[str],
) -> Iterator[Evidence]:
    """Yield detections, the most trustworthy first: the frontal picture, then clay close-ups turned by several yaws.

    Args:
        scene: the scan.
        camera: of the frontal view.
        image_rgb: the frontal picture, or None.
        mask: of the frontal view.
        detector: see ``make_detector``.
        notes: receives why a picture gave nothing.
    """
    if image_rgb is not None:
        try:
            found = locate_face(image_rgb, mask, detector)
            yield Evidence(found, camera.with_size(image_rgb.shape[0]), "the frontal image")
        except FitError as error:
            notes.append(str(error))
    center = _head_center(scene, mask, camera)
    if center is None:
        return
    clay = Mesh(scene.mesh.vertices, scene.mesh.faces, normals=scene.normals)
    for yaw in CLOSE_UP_YAWS_DEG:
        close = Camera.at_yaw(
            yaw, center_world=center - [0, 3.0, 0], half_width_world=CLOSE_UP_HALF_WIDTH, size=384
        )
        picture = render_preview(clay, close, background=(0, 0, 0), samples=1, scene=scene.rays)
        for detection in detector.detect(picture):
            if check_five(detection.points_px) is None:
                yield Evidence(detection, close, f"a clay close-up at yaw {yaw:.0f}")


def _start(
    fitter: FaceFitter, scene: FaceScene, evidence: Evidence
) -> tuple[FacePose, NDArray[np.float64], NDArray[np.float64]] | str:
    """Return start, lifted landmarks [5, 3] and the trust in each [5], or why there is none."""
    detection = evidence.detection
    five, hit = scene.lift(evidence.camera, detection.points_px)
    if hit.sum() < 4:
        return "its landmarks do not lie on the scan"
    trust = np.ones(5) if detection.evidence in ("points", "yunet", "given") else _GUESSED_TRUST
    trust = np.where(hit, trust, 0.0)
    five = np.where(hit[:, None], five, five[hit].mean(0))
    return start_from_landmarks(fitter.model, five, np.maximum(trust, 1e-6)), five, trust


def _seen_start(
    fitter: FaceFitter,
    points: ModelPoints,
    evidence: Evidence,
    five_world: NDArray[np.float64],
    look: Look | None,
) -> tuple[FacePose, int] | None:
    """Return the one face of the points of all pictures and their number; None where they make no face.

    Args:
        fitter: of the model.
        points: on it.
        evidence: with points.
        five_world: [5, 3] landmarks lifted onto the scan.
        look: see ``fit_scan``.
    """
    if evidence.detection.mesh_px is None:
        return None
    views = [PointsView(evidence.camera, evidence.detection.mesh_px)]
    for chosen in ([*views, *(look(five_world) if look else ())], views):
        found = fit_views(fitter.model, points, chosen)
        if found.residual <= SEEN_LIMITS.points:
            # The scan knows the depth better than the points of views that differ by 30 degrees.
            gap = (five_world - fitter.model.five_landmarks(found.pose.vertices(fitter.model))).mean(0)
            ahead = np.asarray(evidence.camera.rotation)[2]
            return replace(found.pose, offset=found.pose.offset + float(gap @ ahead) * ahead), len(chosen)
    return None


def fit_scan(
    fitter: FaceFitter,
    scene: FaceScene,
    camera: Camera,
    image_rgb: NDArray[np.uint8] | None,
    mask: NDArray[np.uint8],
    detector: FaceDetector,
    limits: FitLimits | None = None,
    *,
    points: ModelPoints | None = None,
    look: Look | None = None,
) -> ScanFit:
    """Return the fit of the scan's face.

    Each piece of evidence is tried until a fit passes the limits; nothing is guessed without a detection. Face points of
    the networks, in all pictures together, say first what face it is; the surface refines it, and where hair or glasses
    hide the skin, the points' face is what is expected there. Without points the landmarks say where it is.

    Args:
        fitter: of the face model.
        scene: the scan.
        camera: of the frontal view.
        image_rgb: the frontal picture, or None.
        mask: of the frontal view.
        detector: see ``make_detector``.
        limits: that a fit must pass.
        points: where the network's points lie on the model; None leaves them out.
        look: returns the points in further pictures of the face whose landmarks [5, 3] are roughly there.

    Raises:
        FitError: no face was found, or no fit is good enough; the message says which and why.
    """
    limits = limits or FitLimits()
    notes: list[str] = []
    for evidence in find_evidence(scene, camera, image_rgb, mask, detector, notes):
        started = _start(fitter, scene, evidence)
        if isinstance(started, str):
            notes.append(f"the face found in {evidence.source} was refused because {started}")
            continue
        start, five, trust = started
        seen = None if points is None else _seen_start(fitter, points, evidence, five, look)
        # The landmarks' own start is a second chance.
        for begun, views in ([seen] if seen else []) + [(start, 0)]:
            found = _fit_from(fitter, scene, evidence, begun, views, five, trust, limits)
            if isinstance(found, ScanFit):
                return found
            notes.append(found)
    reason = (
        notes[-1]
        if notes
        else f"no face was found by {detector.name} in the picture or on the scan's surface"
    )
    raise FitError(reason)


def _fit_from(
    fitter: FaceFitter,
    scene: FaceScene,
    evidence: Evidence,
    start: FacePose,
    views: int,
    five: NDArray[np.float64],
    trust: NDArray[np.float64],
    limits: FitLimits,
) -> ScanFit | str:
    """Return the fit to the surface that begins with a start (of the points of ``views`` pictures), or why it is refused."""
    early = refusal_of_start(start, limits)
    if early is not None:
        return f"the face found in {evidence.source} was refused because {early}"
    view = (start.rotation, start.offset)
    surface = scene.around(view[1], view[0])
    if len(surface.points_world) < 200:
        return f"the face found in {evidence.source} was refused because hardly any surface is there"
    pose = fitter.fit(surface, start, five, trust, expected=start if views else None)
    vertices = pose.vertices(fitter.model)
    projected = evidence.camera.world_to_pixel(fitter.model.five_landmarks(vertices))
    quality = measure_fit(fitter.model, pose, surface, five_px=(projected, evidence.detection.points_px))
    why = refusal(quality, limits)
    if why is None:
        return ScanFit(pose, quality, evidence, view, views)
    return f"the fit to the face in {evidence.source} was refused because {why}"


def refusal_of_start(start: FacePose, limits: FitLimits) -> str | None:
    """Return why a start from landmarks cannot become a good fit, or None; far more lenient than the final limits."""
    if not np.isfinite(start.scale) or not limits.scale[0] / 1.4 <= start.scale <= limits.scale[1] * 1.4:
        return f"its landmarks make a face {start.scale:.2f} times an average one"
    if start.rotation[2, 2] < -0.2:
        return "it looks away from the camera"
    return None
