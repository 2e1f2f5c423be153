"""``jiff eval align``: bring the faces of a test folder onto the coarse reconstructions."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jiff.base.errors import FitError, InputError
from jiff.base.files import write_bytes
from jiff.check.body import mesh_doubt
from jiff.data.face_record import STAMPS, FitRecord, read_record, stored_stamp
from jiff.face.fit.coarse_fit import COARSE_FIT, fit_coarse
from jiff.face.fit.external import model_of_mesh
from jiff.face.fit.fitting import FaceFitter, FacePose
from jiff.face.fit.overlay import overlay_picture
from jiff.face.fit.picture_term import PictureTerm, shows_features
from jiff.face.models.registry import load_face_model
from jiff.face.prior_files import write_face
from jiff.face.surface import FaceScene
from jiff.geometry.camera import Camera
from jiff.geometry.io.mesh_io import load_mesh, save_image
from jiff.options.align import AlignConfig
from jiff.options.face_models import face_model_names
from jiff.photo.test_folder import list_people, read_person
from jiff.run.parallel import WorkReport, run_items
from jiff.run.plan import default_jobs
from jiff.run.stage import Stamp, Verdict, file_fingerprint

if TYPE_CHECKING:
    from jiff.base.progress import Progress
    from jiff.photo.test_folder import PersonFiles

_FORMAT = 1


def run_align(config: AlignConfig, progress: Progress) -> WorkReport:
    """Align ``<name>_mesh.obj`` and ``<name>_region.txt`` to ``PIFU/<name>.obj`` (or ``result_<name>.obj``), in place.

    The first unaligned mesh is kept as ``<name>_mesh_unaligned.obj``; every run starts from it. Where `jiff data body` fitted a
    body, head and limbs of it that the reconstruction lacks are named in a warning.

    Raises:
        InputError: a folder is missing, or nobody in the test folder has a fitted face.
    """
    if not config.pifu.is_dir():
        raise InputError(
            f"{config.pifu}: no such folder; run `jiff eval pifu` first and give its results folder."
        )
    people = [person for person in list_people(config.test, config.names) if person.face_mesh.is_file()]
    if not people:
        raise InputError(
            f"{config.test}: nobody has a fitted face; run `jiff data face -i {config.test}` first."
        )
    report = run_items(
        _align_person,
        [(person.name, (person, config)) for person in people],
        jobs=config.jobs or default_jobs(),
        progress=progress,
        title="Aligning faces",
        is_complete=_is_aligned,
    )
    for name, result in report.results.items():
        if result["method"] == "depth":
            progress.info(f"{name}: was moved in depth only, because {result['reason']}.")
        if result["body"]:
            progress.warn(f"{name}: {result['body']}")
    report.outputs.append(str(config.test))
    return report


def coarse_mesh_path(folder: Path, name: str) -> Path:
    """Return the coarse mesh of a person under jiff's name or the published one.

    Raises:
        InputError: there is none.
    """
    for candidate in (folder / f"{name}.obj", folder / f"result_{name}.obj"):
        if candidate.is_file():
            return candidate
    raise InputError(
        f"{folder / name}.obj: no such reconstruction; run `jiff eval pifu` for this photo first."
    )


def _stamp(person: PersonFiles, coarse: Path, config: AlignConfig) -> Stamp:
    """Return what decides an alignment; the mesh is the aligned one: another face was fitted since, or it is as we left it."""
    inputs = {"coarse mesh": coarse, "face mesh": person.face_mesh, "photo": person.image}
    return Stamp("align", _FORMAT, {"box_margin": config.box_margin}, inputs)


def _is_aligned(item: tuple[PersonFiles, AlignConfig]) -> Verdict:
    person, config = item
    if config.overwrite or not person.unaligned_face_mesh.is_file():
        return Verdict(False)
    stored = stored_stamp(person.fit, "align")
    if stored is None:
        return Verdict(False)
    return _stamp(person, coarse_mesh_path(config.pifu, person.name), config).judge(stored, True)


def _align_person(item: tuple[PersonFiles, AlignConfig]) -> dict[str, Any]:
    """Align one face; return a plain summary."""
    person, config = item
    coarse_path = coarse_mesh_path(config.pifu, person.name)
    coarse = load_mesh(coarse_path, texture=False)
    record = read_record(person.fit) if person.fit.is_file() else None
    # A face newer than the kept one was fitted again: it is the new start.
    earlier = stored_stamp(person.fit, "align")
    fresh = not person.unaligned_face_mesh.is_file() or (
        earlier is None or earlier["inputs"]["face mesh"]["blake2b"] != file_fingerprint(person.face_mesh)
    )
    face = load_mesh(person.face_mesh if fresh else person.unaligned_face_mesh, texture=False)
    model = start = None
    five = None
    image = read_person(person)
    camera = Camera(size=image.rgb.shape[0])
    if record is not None and record.start is not None and record.model in face_model_names():
        model = load_face_model(record.model)
        start = record.start
        same = len(model.mean) == len(face.vertices) and len(start.identity) == len(model.identity)
        if not same or float(np.abs(start.vertices(model) - face.vertices).max()) > 0.01:
            model = start = None
    if record is not None and record.five_px is not None:
        five = record.five_px * (camera.size / record.image_size)
    if model is None or start is None:
        model = model_of_mesh(face, "external")
        start = FacePose(1.0, np.eye(3), face.vertices.mean(0), np.zeros(0), np.zeros(0))
        five = None
    try:
        # Without landmarks of its own a mesh cannot be held against the picture.
        term = None
        if five is not None and shows_features(model):
            term = PictureTerm(model, camera, image.rgb, image.mask)
        fitter = FaceFitter(model, COARSE_FIT)
        fit = fit_coarse(fitter, FaceScene(coarse), camera, start, five, picture=term)
    except FitError as error:
        raise FitError(f"{coarse_path}: {error}") from error
    if fresh:
        write_bytes(person.unaligned_face_mesh, person.face_mesh.read_bytes())
    aligned = replace(face, vertices=fit.pose.vertices(model), normals=None)
    write_face(aligned, person.face_mesh, person.region, camera, config.box_margin)
    saved = record or FitRecord(model.name, "the mesh that was there", None, {})
    stamps = {
        **((saved.notes or {}).get(STAMPS) or {}),
        "align": _stamp(person, coarse_path, config).taken(person.image.parent),
    }
    replace(
        saved, pose=fit.pose if saved.start is not None else None, quality=fit.quality.to_dict(),
        notes={"method": fit.method, "align": {"reason": fit.reason}, STAMPS: stamps},
    ).save(person.fit)  # fmt: skip
    if config.overlays:
        picture = overlay_picture(image.rgb, camera, aligned, five)
        save_image(person.overlay, picture)
    q = fit.quality
    return {
        "method": fit.method, "reason": fit.reason, "median_cm": round(q.median, 3), "p90_cm": round(q.p90, 3),
        "overlap": round(q.overlap, 3), "landmark_px": None if q.landmark_px is None else round(q.landmark_px, 2),
        "body": mesh_doubt(coarse, person.body),
    }  # fmt: skip
