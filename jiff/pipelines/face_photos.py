"""``jiff data face`` on a test folder: the faces of photos."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from jiff.base.errors import FitError
from jiff.data.face_record import STAMPS, FitRecord
from jiff.face import habits
from jiff.face.detect.detector import Detection, load_detector
from jiff.face.detect.locate import locate_face
from jiff.face.fit.appearance import face_colors
from jiff.face.fit.overlay import overlay_picture
from jiff.face.fit.photo_fit import fit_photo, landmark_quality, photo_refusal
from jiff.face.fit.quality import PHOTO_LIMITS, refusal
from jiff.face.fit.seen_fit import fit_seen, seen_refusal
from jiff.face.landmarks import check_five, five_of, read_landmarks
from jiff.face.models.registry import load_model_points, load_photo_reader
from jiff.face.prior_files import write_face
from jiff.geometry.camera import Camera
from jiff.geometry.io.mesh_io import save_image
from jiff.geometry.mesh import Mesh
from jiff.options.face import FaceConfig
from jiff.perception.files import VERSION, find_networks
from jiff.photo.test_folder import PersonFiles, PersonImage, list_people, read_person
from jiff.pipelines.face_fitter import face_stamp, fitter_for, judge_fit
from jiff.pipelines.seen_faces import close_up_of, seen_face
from jiff.run.parallel import WorkReport, run_items
from jiff.run.plan import plan_work
from jiff.run.stage import Stamp, Verdict

if TYPE_CHECKING:
    from jiff.base.progress import Progress
    from jiff.face.model import MorphableModel

_PEOPLE = 2
"""Grows when people come to be found elsewhere in a photo."""
WORKER_GIB = 0.5
"""Most memory of a process."""


def run_test_folder(config: FaceConfig, progress: Progress) -> WorkReport:
    """Find and fit the faces of a folder of photos; see ``jiff.pipelines.face.run_face``."""
    people = list_people(config.input, config.names)
    report = run_items(
        _fit_person,
        [(person.name, (person, config)) for person in people],
        plan=plan_work(config, [person.name for person in people], worker_gib=WORKER_GIB),
        progress=progress,
        title="Fitting faces",
        is_complete=person_complete,
    )
    if report.results:
        report.outputs.append(str(config.input))
    return report


def _stamp(person: PersonFiles, config: FaceConfig) -> Stamp:
    inputs = {
        "photo": person.image,
        "mask": person.mask,
        "landmarks": person.landmarks,
        "what was seen": person.seen,
    }
    there = {role: path for role, path in inputs.items() if path.is_file()}
    seen = person.seen.is_file()
    looks = seen or find_networks() is not None
    settings: dict[str, object] = (
        {"networks": VERSION, "habits": habits.VERSION} if looks else {"networks": None}
    )
    if looks and not seen:
        settings["people"] = _PEOPLE
    return face_stamp(config, person.name, there, **settings)


def person_complete(item: tuple[PersonFiles, FaceConfig]) -> Verdict:
    """Tell whether the face of a photo was fitted as ``FaceConfig`` asks."""
    person, config = item
    if config.overwrite:
        return Verdict(False)
    return judge_fit(_stamp(person, config), person.fit, person.has_face)


def _find_face(person: PersonFiles, pixels: PersonImage, config: FaceConfig) -> Detection:
    """Return the face that the user's landmarks, what was seen in the photo, or a detector tells.

    Raises:
        FitError: none.
    """
    if person.landmarks.is_file():
        points = read_landmarks(person.landmarks)
        five = five_of(points)
        wrong = check_five(five)
        if wrong is not None:
            raise FitError(f"{person.landmarks}: {wrong}; mend the landmarks or delete the file.")
        return Detection(np.concatenate([points.min(0), points.max(0)]), five, 1.0, "given")
    seen = seen_face(person)
    if seen is not None:
        return seen
    return locate_face(pixels.rgb, pixels.mask, load_detector(config.detector_model))


def _fit_person(item: tuple[PersonFiles, FaceConfig]) -> dict[str, Any]:
    """Find the face of one photo, place the model by its landmarks, write its files; return a plain summary."""
    person, config = item
    stamp = _stamp(person, config).taken(person.image.parent)
    pixels = read_person(person)
    size = pixels.rgb.shape[0]
    camera = Camera(size=size)
    model: MorphableModel = fitter_for(config, person.name).model
    try:
        detection = _find_face(person, pixels, config)
        points = None if detection.mesh_px is None else load_model_points(model)
        if points is not None and detection.mesh_px is not None:
            mesh_px = detection.mesh_px
            close_up = close_up_of(person, pixels, camera, mesh_px)
            pose, quality = fit_seen(model, points, camera, mesh_px, detection.points_px, close_up)
            method, why = "face points", seen_refusal(quality, mesh_px, pixels.mask)
        else:
            marks = detection.points_px
            if detection.evidence == "given":
                marks = read_landmarks(person.landmarks)
            pose, quality = fit_photo(model, camera, pixels.rgb, pixels.mask, marks, detection.evidence)
            method = "landmarks" if quality.picture is None else "picture"
            fitted_px = camera.world_to_pixel(model.five_landmarks(pose.vertices(model)))
            why = photo_refusal(quality, pixels.rgb, detection, fitted_px)
        if why is not None:
            raise FitError(why[0].upper() + why[1:] + "; give a clearer picture or landmarks.")
        reader = load_photo_reader(config.model) if config.face_mesh is None else None
        if reader is not None:
            pose = reader.read_pose(model, pixels.rgb, detection.points_px, camera)
            quality = landmark_quality(model, pose, camera, detection.points_px)
            method = "coefficients"
            why = refusal(quality, PHOTO_LIMITS)
            if why is not None:
                raise FitError(why[0].upper() + why[1:] + "; give a clearer picture or landmarks.")
    except FitError as error:
        person.forget_face()
        person.overlay.unlink(missing_ok=True)
        FitRecord(model.name, "none", None, {}, refused=str(error)).save(person.fit)
        raise FitError(f"{person.image}: {error}") from error
    vertices = pose.vertices(model)
    colors = face_colors(model, vertices, pixels.rgb, pixels.mask, camera)
    face = Mesh(vertices, model.triangles, colors=colors)
    write_face(face, person.face_mesh, person.region, camera, config.box_margin)
    person.unaligned_face_mesh.unlink(missing_ok=True)
    measured = {
        k: v
        for k, v in quality.to_dict().items()
        if k not in ("median", "p90", "features_p90", "overlap", "inliers")
    }
    FitRecord(
        model.name, f"{detection.evidence} landmarks of the photo", pose, measured,
        five_px=detection.points_px, image_size=size, start=pose,
        notes={"method": method, STAMPS: {"face": stamp}},
    ).save(person.fit)  # fmt: skip
    if config.overlays:
        picture = overlay_picture(pixels.rgb, camera, face, detection.points_px)
        save_image(person.overlay, picture)
    return {
        "evidence": detection.evidence,
        "landmark_px": measured["landmark_px"],
        "yaw_deg": measured["yaw_deg"],
        "picture": measured["picture"],
        "points_cm": measured["points"],
    }
