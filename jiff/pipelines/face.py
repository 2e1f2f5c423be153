"""``jiff data face``: find faces and fit the face model, on a processed set or on a test folder."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jiff.base.errors import DatasetError, FitError
from jiff.base.files import remove_leftovers, write_text
from jiff.data.dataset_file import record_stage
from jiff.data.face_data import frontal_camera
from jiff.data.face_record import PENDING_FOLDER, FitRecord, remembered_summaries
from jiff.data.layout import ProcessedSet, parse_view_name
from jiff.data.mesh_cache import cached_mesh
from jiff.data.param_io import read_param
from jiff.face.box import FaceBox
from jiff.face.detect.detector import Detection
from jiff.face.detect.locate import finds_face_at, locate_face
from jiff.face.fit.appearance import face_colors, visible_share
from jiff.face.fit.external import find_face_mesh, model_of_face_mesh
from jiff.face.fit.fitting import FaceFitter
from jiff.face.fit.overlay import overlay_picture
from jiff.face.fit.photo_fit import fit_photo, landmark_quality, photo_refusal
from jiff.face.fit.quality import RIGID_LIMITS, FitLimits
from jiff.face.fit.scan_fit import fit_scan
from jiff.face.landmarks import check_five, five_of, read_landmarks
from jiff.face.models.registry import load_detector, load_face_model
from jiff.face.surface import FaceScene
from jiff.geometry.camera import Camera
from jiff.geometry.io.mesh_io import load_mesh, save_image, save_mesh
from jiff.geometry.mesh import Mesh
from jiff.options.face import FaceConfig
from jiff.photo.images import read_image, read_mask
from jiff.photo.test_folder import list_people, read_person
from jiff.render.gbuffer import render_gbuffer
from jiff.run.batch import plan_batch
from jiff.run.parallel import BatchReport, run_batch

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jiff.base.progress import Progress
    from jiff.face.detect.detector import FaceDetector
    from jiff.face.model import MorphableModel
    from jiff.photo.test_folder import PersonFiles

WORKER_GIB = 0.5
"""Most memory of a process, measured on a scan of 470,000 triangles with images of 1024 pixels."""


def run_face(config: FaceConfig, progress: Progress) -> BatchReport:
    """Find and fit the faces of a processed set (it has GEO) or of a test folder.

    A processed set gets, per subject, FACE_REGION, FACE_3DMM (mesh, fit.json, overlay.png) and FILE_NUMBER; a test folder
    ``<name>_region.txt``, ``<name>_mesh.obj``, ``<name>_fit.json`` and ``overlays/<name>.png``. Subjects whose face is not found
    or whose fit is refused are failures and get none of these but fit.json.

    Raises:
        DatasetError: the folder is missing or of neither kind.
        AssetError: a face model or detector is missing.
    """
    if not config.input.is_dir():
        raise DatasetError(f"{config.input}: no such folder; give a processed set or a test folder.")
    config = config.located()
    # Load once here: missing files end the run at once, caches are built before the processes start.
    load_face_model(config.model)
    load_detector(config.detector_model)
    if ProcessedSet(config.input).exists():
        return _run_processed_set(config, progress)
    return _run_test_folder(config, progress)


def _run_processed_set(config: FaceConfig, progress: Progress) -> BatchReport:
    dataset = ProcessedSet(config.input)
    names = dataset.subjects(may_lack=config.shard is not None)
    plan = plan_batch(config, names, worker_gib=WORKER_GIB)
    report = run_batch(
        _fit_subject,
        [(name, (name, config)) for name in names],
        plan=plan,
        progress=progress,
        title="Fitting faces",
        is_complete=_subject_complete,
    )
    record_stage(
        dataset,
        "face",
        settings={"model": config.model, "min_visible": config.min_visible, "box_margin": config.box_margin},
        subjects={
            **remembered_summaries(dataset, "face", report.skipped),
            **report.results,
            **{name: {"refused": why} for name, why in report.failures.items()},
        },
        shared=plan.shard is not None,
    )
    if report.results:
        report.outputs += [str(config.input / part) for part in ("FACE_REGION", "FACE_3DMM", "FILE_NUMBER")]
    return report


def _subject_complete(item: tuple[str, FaceConfig]) -> bool:
    name, config = item
    dataset = ProcessedSet(config.input)
    files = (dataset.face_region(name), dataset.face_mesh(name), dataset.file_number(name))
    return not config.overwrite and all(path.is_file() for path in files)


def frontal_picture(
    dataset: ProcessedSet, subject: str
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]] | None:
    """Return the frontal picture of a subject, the larger one where there is one, and its mask; None if not rendered."""
    frontal = [v for v in dataset.views(subject) if v.startswith("0_0_")]
    for render, mask in ((dataset.render_hi, dataset.mask_hi), (dataset.render, dataset.mask)):
        for view in frontal:
            if render(subject, view).is_file() and mask(subject, view).is_file():
                picture = np.ascontiguousarray(read_image(render(subject, view))[..., :3])
                return picture, read_mask(mask(subject, view), (picture.shape[0], picture.shape[1]))
    return None


def _fit_subject(item: tuple[str, FaceConfig]) -> dict[str, Any]:
    """Fit one subject and write its files; return a plain summary."""
    name, config = item
    dataset = ProcessedSet(config.input)
    camera = frontal_camera(dataset, name)
    scan = cached_mesh(dataset, name)
    scene = FaceScene(scan)
    frontal = frontal_picture(dataset, name)
    picture: NDArray[np.uint8] | None = None
    if frontal is not None:
        picture, mask = frontal
    else:
        mask = (render_gbuffer(scan, camera, 1, scene=scene.rays).coverage() * 255).astype("uint8")
    fitter = fitter_for(config, name)
    model = fitter.model
    try:
        fit = fit_scan(
            fitter, scene, camera, picture, mask, load_detector(config.detector_model), _limits(config)
        )
    except FitError as error:
        for path in (dataset.face_region(name), dataset.face_mesh(name), dataset.file_number(name)):
            path.unlink(missing_ok=True)
        # A picture, or a refinement about to be put in place, of the face that is refused now would mislead.
        dataset.face_report(name).with_name("overlay.png").unlink(missing_ok=True)
        shutil.rmtree(dataset.face_report(name).with_name(PENDING_FOLDER), ignore_errors=True)
        FitRecord(model.name, "none", None, {}, refused=str(error)).save(dataset.face_report(name))
        raise
    vertices = fit.pose.vertices(model)
    if picture is None:
        colors = model.texture()
    else:
        colors = face_colors(model, vertices, picture, mask, camera, scene)
    face = Mesh(vertices, model.triangles, colors=colors)
    yaws = sorted({parse_view_name(v)[0] for v in dataset.views(name)})
    shares = visible_share(model, vertices, scene, yaws)
    usable = [yaw for yaw, share in zip(yaws, shares) if share >= config.min_visible]
    if config.detect_yaws:
        detector = load_detector(config.detector_model)
        five_world = model.five_landmarks(vertices)
        usable = [yaw for yaw in usable if _found_at(dataset, name, yaw, five_world, detector)]
    detection = fit.evidence.detection
    in_picture = picture is not None and fit.evidence.source == "the frontal image"
    summary = {
        "median_cm": round(fit.quality.median, 3),
        "p90_cm": round(fit.quality.p90, 3),
        "overlap": round(fit.quality.overlap, 3),
        "evidence": f"{detection.evidence} on {fit.evidence.source}",
        "yaws": len(usable),
    }
    record = FitRecord(
        model=model.name,
        evidence=f"{detection.evidence} on {fit.evidence.source}",
        pose=fit.pose,
        quality=fit.quality.to_dict(),
        five_px=detection.points_px if in_picture else None,
        image_size=fit.evidence.camera.size,
        view=fit.view,
        notes={"summary": {"face": summary}},
    )
    for path in (dataset.face_region(name), dataset.face_report(name), dataset.file_number(name)):
        remove_leftovers(path.parent)
    # This file says that the subject is complete, so it goes first and comes last: a kill between leaves it absent.
    dataset.file_number(name).unlink(missing_ok=True)
    shutil.rmtree(dataset.face_report(name).with_name(PENDING_FOLDER), ignore_errors=True)
    write_face(face, dataset.face_mesh(name), dataset.face_region(name), camera, config.box_margin)
    record.save(dataset.face_report(name))
    if config.overlays and picture is not None:
        overlay = overlay_picture(picture, camera, face, record.five_px)
        save_image(dataset.face_report(name).with_name("overlay.png"), overlay)
    write_text(dataset.file_number(name), "".join(f"{yaw}\n" for yaw in usable))
    return summary


def _found_at(
    dataset: ProcessedSet, subject: str, yaw: int, five_world: NDArray[np.float64], detector: FaceDetector
) -> bool:
    """Return whether the detector finds the face in the subject's first image of a yaw."""
    view = next(view for view in dataset.views(subject) if parse_view_name(view)[0] == yaw)
    image = np.ascontiguousarray(read_image(dataset.render(subject, view))[..., :3])
    camera = Camera.from_param(read_param(dataset.param(subject, view))).with_size(image.shape[0])
    return finds_face_at(image, camera.world_to_pixel(five_world), detector)


def fitter_for(config: FaceConfig, name: str) -> FaceFitter:
    """Return the fitter of a subject: of the face model, or of its own external mesh.

    Raises:
        MeshError: the external mesh is missing or shows no face.
    """
    if config.face_mesh is None:
        return FaceFitter(load_face_model(config.model))
    path = find_face_mesh(config.face_mesh, name)
    mesh = load_mesh(path, texture=False)
    detector = load_detector(config.detector_model)
    return FaceFitter(model_of_face_mesh(mesh, str(path), detector, load_face_model("anny")))


def _limits(config: FaceConfig) -> FitLimits:
    return FitLimits() if config.face_mesh is None else RIGID_LIMITS


def write_face(face: Mesh, mesh_path: Path, region_path: Path, camera: Camera, margin: float) -> None:
    """Write a fitted face and its box."""
    save_mesh(face, mesh_path)
    FaceBox.around(face.vertices, margin).to_region_file(region_path, camera)


def _run_test_folder(config: FaceConfig, progress: Progress) -> BatchReport:
    people = list_people(config.input, config.names)
    report = run_batch(
        _fit_person,
        [(person.name, (person, config)) for person in people],
        plan=plan_batch(config, [person.name for person in people], worker_gib=WORKER_GIB),
        progress=progress,
        title="Fitting faces",
        is_complete=_person_complete,
    )
    if report.results:
        report.outputs.append(str(config.input))
    return report


def _person_complete(item: tuple[PersonFiles, FaceConfig]) -> bool:
    person, config = item
    return person.has_face and not config.overwrite


def _fit_person(item: tuple[PersonFiles, FaceConfig]) -> dict[str, Any]:
    """Find the face of one photo, place the model by its landmarks, write its files; return a plain summary."""
    person, config = item
    pixels = read_person(person)
    size = pixels.rgb.shape[0]
    camera = Camera(size=size)
    model: MorphableModel = fitter_for(config, person.name).model
    stem = person.image.with_name
    try:
        given = stem(f"{person.name}_landmarks.txt")
        if given.is_file():
            points = read_landmarks(given)
            five = five_of(points)
            wrong = check_five(five)
            if wrong is not None:
                raise FitError(f"{given}: {wrong}; mend the landmarks or delete the file.")
            box = np.concatenate([points.min(0), points.max(0)])
            detection = Detection(box, five, 1.0, "given")
        else:
            detection = locate_face(pixels.rgb, pixels.mask, load_detector(config.detector_model))
            points = detection.points_px
        pose, quality = fit_photo(model, camera, pixels.rgb, pixels.mask, points, detection.evidence)
        method = "landmarks" if quality.picture is None else "picture"
        reader = None
        if model.name == "bfm":
            from jiff.face.models.coeff_fit import load_reader

            reader = load_reader()
        if reader is not None:
            pose = reader.place(model, *reader.read(pixels.rgb, detection.points_px), camera)
            quality = landmark_quality(model, pose, camera, detection.points_px)
            method = "coefficients"
        fitted_px = camera.world_to_pixel(model.five_landmarks(pose.vertices(model)))
        why = photo_refusal(quality, pixels.rgb, detection, fitted_px)
        if why is not None:
            raise FitError(why[0].upper() + why[1:] + "; give a clearer picture or landmarks.")
    except FitError as error:
        person.forget_face()
        overlay_path(person.image).unlink(missing_ok=True)
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
        notes={"method": method},
    ).save(person.fit)  # fmt: skip
    if config.overlays:
        picture = overlay_picture(pixels.rgb, camera, face, detection.points_px)
        save_image(overlay_path(person.image), picture)
    return {
        "evidence": detection.evidence,
        "landmark_px": measured["landmark_px"],
        "yaw_deg": measured["yaw_deg"],
        "picture": measured["picture"],
    }


def overlay_path(image: Path) -> Path:
    """Return where the overlay picture of a photo goes."""
    # Not beside the photo: every image of a test folder counts as a person.
    return image.parent / "overlays" / f"{image.stem}.png"
