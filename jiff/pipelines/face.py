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
from jiff.data.face_record import PENDING_FOLDER, STAMPS, FitRecord, remembered_summaries
from jiff.data.layout import ProcessedSet, parse_view_name
from jiff.data.mesh_cache import cached_mesh
from jiff.data.param_io import read_param
from jiff.face import habits
from jiff.face.detect.detector import load_detector, load_fallback
from jiff.face.detect.locate import finds_face_at
from jiff.face.detect.points_detector import PointsDetector
from jiff.face.fit.appearance import face_colors, visible_share
from jiff.face.fit.overlay import overlay_picture
from jiff.face.fit.scan_fit import fit_scan
from jiff.face.models.registry import load_face_model, load_model_points
from jiff.face.prior_files import write_face
from jiff.face.surface import FaceScene
from jiff.geometry.camera import Camera
from jiff.geometry.io.mesh_io import save_image
from jiff.geometry.mesh import Mesh
from jiff.options.face import FaceConfig
from jiff.perception.files import ensure_networks
from jiff.photo.images import read_image
from jiff.photo.masks import read_mask
from jiff.pipelines.face_fitter import face_stamp, fit_limits, fitter_for, judge_fit
from jiff.pipelines.face_photos import run_test_folder
from jiff.pipelines.seen_views import looker, turned_views, view_file
from jiff.render.gbuffer import render_gbuffer
from jiff.run.parallel import WorkReport, run_items
from jiff.run.plan import plan_work
from jiff.run.stage import Stamp, Verdict

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jiff.base.progress import Progress
    from jiff.face.detect.detector import FaceDetector

WORKER_GIB = 0.5
"""Most memory of a process, measured on a scan of 470,000 triangles with images of 1024 pixels."""


def run_face(config: FaceConfig, progress: Progress) -> WorkReport:
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
    ensure_networks(progress)
    load_detector(config.detector_model)
    if ProcessedSet(config.input).exists():
        return _run_processed_set(config, progress)
    return run_test_folder(config, progress)


def _run_processed_set(config: FaceConfig, progress: Progress) -> WorkReport:
    dataset = ProcessedSet(config.input)
    names = dataset.subjects(may_lack=config.shard is not None)
    plan = plan_work(config, names, worker_gib=WORKER_GIB)
    report = run_items(
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
        settings={
            "model": config.model if config.face_mesh is None else "external mesh",
            "box_margin": config.box_margin,
            "min_visible": config.min_visible,
            "detect_yaws": config.detect_yaws,
        },
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


def _stamp(dataset: ProcessedSet, name: str, config: FaceConfig) -> Stamp:
    yaws = sorted({parse_view_name(view)[0] for view in dataset.views(name)})
    settings: dict[str, Any] = {
        "min_visible": config.min_visible,
        "detect_yaws": config.detect_yaws,
        "yaws": yaws,
    }
    inputs = {"scan": dataset.geometry(name)}
    frontal = _frontal_files(dataset, name)
    if frontal is not None:
        inputs |= {"frontal image": frontal[0], "frontal mask": frontal[1]}
    if config.detect_yaws:
        firsts = [_first_view(dataset, name, yaw) for yaw in yaws]
        inputs |= {f"image {view}": dataset.render(name, view) for view in firsts}
    if isinstance(load_detector(config.detector_model), PointsDetector):
        turned = turned_views(dataset, name)
        settings |= {"habits": habits.VERSION, "views": turned}
        inputs |= {f"picture {view}": view_file(dataset, name, view) for view in turned}
    return face_stamp(config, name, inputs, **settings)


def _subject_complete(item: tuple[str, FaceConfig]) -> Verdict:
    name, config = item
    if config.overwrite:
        return Verdict(False)
    dataset = ProcessedSet(config.input)
    files = (dataset.face_region(name), dataset.face_mesh(name), dataset.file_number(name))
    there = all(path.is_file() for path in files)
    return judge_fit(_stamp(dataset, name, config), dataset.face_report(name), there)


def _first_view(dataset: ProcessedSet, name: str, yaw: int) -> str:
    return next(view for view in dataset.views(name) if parse_view_name(view)[0] == yaw)


def _frontal_files(dataset: ProcessedSet, subject: str) -> tuple[Path, Path] | None:
    """Return the frontal picture of a subject, the larger one where there is one, and its mask; None if not rendered."""
    frontal = [v for v in dataset.views(subject) if v.startswith("0_0_")]
    for render, mask in ((dataset.render_hi, dataset.mask_hi), (dataset.render, dataset.mask)):
        for view in frontal:
            if render(subject, view).is_file() and mask(subject, view).is_file():
                return render(subject, view), mask(subject, view)
    return None


def frontal_picture(
    dataset: ProcessedSet, subject: str
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]] | None:
    """Return the pixels of the frontal picture of a subject and its mask; None if it was not rendered."""
    files = _frontal_files(dataset, subject)
    if files is None:
        return None
    picture = np.ascontiguousarray(read_image(files[0])[..., :3])
    return picture, read_mask(files[1], (picture.shape[0], picture.shape[1]))


def _fit_subject(item: tuple[str, FaceConfig]) -> dict[str, Any]:
    """Fit one subject and write its files; return a plain summary."""
    name, config = item
    dataset = ProcessedSet(config.input)
    stamp = _stamp(dataset, name, config).taken(dataset.root)
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
        detector = load_detector(config.detector_model)
        points = load_model_points(model) if isinstance(detector, PointsDetector) else None
        limits = fit_limits(config)
        try:
            fit = fit_scan(
                fitter, scene, camera, picture, mask, detector, limits,
                points=points, look=looker(dataset, name, detector),
            )  # fmt: skip
        except FitError as refused:
            if points is None:
                raise
            # In small pictures the networks now and then take a face for a smaller one; the cascades do not.
            try:
                fit = fit_scan(fitter, scene, camera, picture, mask, load_fallback(), limits)
            except FitError:
                raise refused from None
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
        **({"views": fit.views} if fit.views else {}),
    }
    record = FitRecord(
        model=model.name,
        evidence=f"{detection.evidence} on {fit.evidence.source}",
        pose=fit.pose,
        quality=fit.quality.to_dict(),
        five_px=detection.points_px if in_picture else None,
        image_size=fit.evidence.camera.size,
        view=fit.view,
        notes={"summary": {"face": summary}, STAMPS: {"face": stamp}},
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
    view = _first_view(dataset, subject, yaw)
    image = np.ascontiguousarray(read_image(dataset.render(subject, view))[..., :3])
    camera = Camera.from_param(read_param(dataset.param(subject, view))).with_size(image.shape[0])
    return finds_face_at(image, camera.world_to_pixel(five_world), detector)
