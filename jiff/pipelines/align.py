"""``jiff eval align``: bring the faces of a test folder onto the coarse reconstructions."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jiff.base.errors import FitError, InputError
from jiff.base.files import write_bytes
from jiff.data.face_record import FitRecord, read_record
from jiff.face.fit.coarse_fit import COARSE_FIT, fit_coarse
from jiff.face.fit.external import model_of_mesh
from jiff.face.fit.fitting import FaceFitter, FacePose
from jiff.face.fit.overlay import overlay_picture
from jiff.face.fit.picture_term import PictureTerm, shows_features
from jiff.face.models.registry import load_face_model
from jiff.face.surface import FaceScene
from jiff.geometry.camera import Camera
from jiff.geometry.io.mesh_io import load_mesh, save_image
from jiff.options.align import AlignConfig
from jiff.photo.test_folder import list_people, read_person
from jiff.pipelines.face import overlay_path, write_face
from jiff.run.parallel import BatchReport, default_jobs, run_batch

if TYPE_CHECKING:
    from jiff.base.progress import Progress
    from jiff.photo.test_folder import PersonFiles


def run_align(config: AlignConfig, progress: Progress) -> BatchReport:
    """Align ``<name>_mesh.obj`` and ``<name>_region.txt`` to ``PIFU/<name>.obj`` (or ``result_<name>.obj``), in place.

    The first unaligned mesh is kept as ``<name>_mesh_unaligned.obj``; every run starts from it.

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
    report = run_batch(
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


def _stamp(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def _is_aligned(item: tuple[PersonFiles, AlignConfig]) -> bool:
    person, config = item
    if config.overwrite or not person.unaligned_face_mesh.is_file() or not person.fit.is_file():
        return False
    notes = read_record(person.fit).notes or {}
    aligned = notes.get("align") or {}
    try:
        coarse = coarse_mesh_path(config.pifu, person.name)
    except InputError:
        return False
    return bool(aligned) and aligned == {
        **aligned,
        "coarse": _stamp(coarse),
        "mesh": _stamp(person.face_mesh),
    }


def _align_person(item: tuple[PersonFiles, AlignConfig]) -> dict[str, Any]:
    """Align one face; return a plain summary."""
    person, config = item
    coarse_path = coarse_mesh_path(config.pifu, person.name)
    coarse = load_mesh(coarse_path, texture=False)
    record = read_record(person.fit) if person.fit.is_file() else None
    # A face newer than the kept one was fitted again: it is the new start.
    earlier = (record.notes or {}).get("align") if record is not None else None
    fresh = (
        not person.unaligned_face_mesh.is_file()
        or earlier is None
        or earlier.get("mesh") != _stamp(person.face_mesh)
    )
    face = load_mesh(person.face_mesh if fresh else person.unaligned_face_mesh, texture=False)
    model = start = None
    five = None
    image = read_person(person)
    camera = Camera(size=image.rgb.shape[0])
    if record is not None and record.start is not None and record.model in ("anny", "bfm", "flame"):
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
    note = {"coarse": _stamp(coarse_path), "mesh": _stamp(person.face_mesh), "reason": fit.reason}
    saved = record or FitRecord(model.name, "the mesh that was there", None, {})
    replace(
        saved, pose=fit.pose if saved.start is not None else None, quality=fit.quality.to_dict(),
        notes={"method": fit.method, "align": note},
    ).save(person.fit)  # fmt: skip
    if config.overlays:
        picture = overlay_picture(image.rgb, camera, aligned, five)
        save_image(overlay_path(person.image), picture)
    q = fit.quality
    return {
        "method": fit.method, "reason": fit.reason, "median_cm": round(q.median, 3), "p90_cm": round(q.p90, 3),
        "overlap": round(q.overlap, 3), "landmark_px": None if q.landmark_px is None else round(q.landmark_px, 2),
    }  # fmt: skip
