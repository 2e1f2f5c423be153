"""``jiff data icp``: refine the fitted faces of a processed set against the scans."""

from __future__ import annotations

import shutil
import uuid
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jiff.base.errors import DatasetError, FitError
from jiff.base.files import atomic_folder, remove_leftovers, write_bytes
from jiff.data.dataset_file import record_stage
from jiff.data.face_data import frontal_camera
from jiff.data.face_record import (
    PENDING_FOLDER,
    STAMPS,
    FitRecord,
    read_record,
    remembered_summaries,
    stored_stamp,
)
from jiff.data.layout import ProcessedSet
from jiff.data.mesh_cache import cached_mesh
from jiff.face.fit.external import model_of_mesh
from jiff.face.fit.fitting import FaceFitter, FacePose
from jiff.face.fit.quality import FitLimits, measure_fit, refusal
from jiff.face.models.registry import load_face_model
from jiff.face.prior_files import write_face
from jiff.face.surface import FaceScene
from jiff.geometry.io.mesh_io import load_mesh
from jiff.options.face_models import face_model_names
from jiff.options.icp import IcpConfig
from jiff.run.parallel import WorkReport, run_items
from jiff.run.plan import plan_work
from jiff.run.stage import Stamp, Verdict

if TYPE_CHECKING:
    from jiff.base.progress import Progress

_FORMAT = 1
WORKER_GIB = 0.4
"""Most memory of a process, measured on a scan of 470,000 triangles."""


def run_icp(config: IcpConfig, progress: Progress) -> WorkReport:
    """Refine FACE_3DMM against GEO/OBJ: trimmed point-to-plane, similarity and coefficients; colours are kept.

    Meshes without a fit of jiff's own beside them (published data, external faces) are moved, turned and scaled only.

    Raises:
        DatasetError: no processed set, or none of its subjects has a face mesh.
    """
    config = config.located()
    dataset = ProcessedSet(config.input)
    shared = config.shard is not None
    names = [name for name in dataset.subjects(may_lack=shared) if dataset.face_mesh(name).is_file()]
    if not names and not shared:
        raise DatasetError(
            f"{config.input}: no subject has a face mesh; run `jiff data face -i {config.input}` first."
        )
    plan = plan_work(config, names, worker_gib=WORKER_GIB)
    for name in plan.names:
        remove_leftovers(dataset.face_report(name).parent)
    report = run_items(
        _refine_subject,
        [(name, (name, config)) for name in names],
        plan=plan,
        progress=progress,
        title="Refining faces",
        is_complete=_is_refined,
    )
    settings = {"box_margin": config.box_margin}
    subjects = {**remembered_summaries(dataset, "icp", report.skipped), **report.results}
    record_stage(dataset, "icp", settings=settings, subjects=subjects, shared=shared)
    report.outputs.append(str(config.input / "FACE_3DMM"))
    return report


def _stamp(dataset: ProcessedSet, name: str, config: IcpConfig, mesh: Path) -> Stamp:
    """Return what decides a refinement; ``mesh`` is the refined one, so that a replaced mesh is refined again."""
    return Stamp(
        "icp", _FORMAT, {"box_margin": config.box_margin}, {"scan": dataset.geometry(name), "face mesh": mesh}
    )


def _pending(dataset: ProcessedSet, name: str) -> Path:
    return dataset.face_report(name).with_name(PENDING_FOLDER)


def _put_in_place(dataset: ProcessedSet, name: str) -> dict[str, Any]:
    """Move a subject's pending files to their places and return its summary; killed between, the next run goes on here."""
    folder = _pending(dataset, name)
    for target in (dataset.face_mesh(name), dataset.face_region(name), dataset.face_report(name)):
        write_bytes(target, (folder / target.name).read_bytes())
    summary = (read_record(folder / dataset.face_report(name).name).notes or {})["summary"]["icp"]
    # Renamed first: half a pending folder must never be taken for a whole one.
    shutil.rmtree(folder.rename(folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:8]}.part")))
    return dict(summary)


def _is_refined(item: tuple[str, IcpConfig]) -> Verdict:
    """Whether the mesh on disk is the one that an earlier run left, refined against this scan."""
    name, config = item
    dataset = ProcessedSet(config.input)
    if config.overwrite or _pending(dataset, name).is_dir() or not dataset.face_region(name).is_file():
        return Verdict(False)
    stored = stored_stamp(dataset.face_report(name), "icp")
    if stored is None:
        # Refined by an earlier version, or never.
        there = dataset.face_report(name).is_file() and "icp" in (
            read_record(dataset.face_report(name)).notes or {}
        )
        return Verdict(there)
    return _stamp(dataset, name, config, dataset.face_mesh(name)).judge(stored, True)


def _refine_subject(item: tuple[str, IcpConfig]) -> dict[str, Any]:
    """Refine one subject; return a plain summary."""
    name, config = item
    dataset = ProcessedSet(config.input)
    for path in (dataset.face_region(name), dataset.face_report(name)):
        remove_leftovers(path.parent)
    if _pending(dataset, name).is_dir():
        return _put_in_place(dataset, name)
    mesh = load_mesh(dataset.face_mesh(name), texture=False)
    report_path = dataset.face_report(name)
    record = read_record(report_path) if report_path.is_file() else None
    model = None
    pose = record.pose if record is not None else None
    if record is not None and pose is not None and record.model in face_model_names():
        model = load_face_model(record.model)
        fits = len(model.mean) == len(mesh.vertices) and len(pose.identity) == len(model.identity)
        if not fits or float(np.abs(pose.vertices(model) - mesh.vertices).max()) > 0.01:
            # Someone replaced the mesh; it is refined as it stands.
            model = None
    if model is None or pose is None:
        model = model_of_mesh(mesh, "external")
        pose = FacePose(1.0, np.eye(3), mesh.vertices.mean(0), np.zeros(0), np.zeros(0))
        record = None
    scene = FaceScene(cached_mesh(dataset, name))
    view = record.view if record is not None and record.view is not None else (pose.rotation, pose.offset)
    surface = scene.around(view[1], view[0])
    if len(surface.points_world) < 200:
        raise FitError(
            f"{dataset.face_mesh(name)}: lies away from the scan; run `jiff data face --overwrite`."
        )
    refined = FaceFitter(model).polish(surface, pose)
    quality = measure_fit(model, refined, surface)
    vertices = refined.vertices(model)
    moved = float(np.linalg.norm(vertices - mesh.vertices, axis=1).max())
    limits = (
        FitLimits() if record is not None else FitLimits(median=0.4, p90=1.2, features_p90=1.2, overlap=0.6)
    )
    why = refusal(quality, replace(limits, scale=(0.5, 2.0)))
    if why is not None:
        raise FitError(
            f"{dataset.face_mesh(name)}: was left as it is because {why}; look at its overlay.png."
        )
    camera = frontal_camera(dataset, name)
    summary = {
        "moved_cm": round(moved, 4),
        "median_cm": round(quality.median, 3),
        "p90_cm": round(quality.p90, 3),
    }
    earlier = (record.notes if record is not None else None) or {}
    with atomic_folder(_pending(dataset, name)) as folder:
        mesh_path = folder / dataset.face_mesh(name).name
        refined_mesh = replace(mesh, vertices=vertices, normals=None)
        write_face(
            refined_mesh, mesh_path, folder / dataset.face_region(name).name, camera, config.box_margin
        )
        notes = {
            **earlier,
            "icp": {"moved_cm": round(moved, 5)},
            STAMPS: {
                **(earlier.get(STAMPS) or {}),
                "icp": _stamp(dataset, name, config, mesh_path).taken(
                    dataset.root, {"face mesh": dataset.face_mesh(name)}
                ),
            },
            "summary": {**(earlier.get("summary") or {}), "icp": summary},
        }
        if record is not None:
            done = replace(record, pose=refined, quality={**record.quality, **quality.to_dict()}, notes=notes)
        else:
            done = FitRecord("external", "the mesh that was there", None, quality.to_dict(), notes=notes)
        done.save(folder / report_path.name)
    return _put_in_place(dataset, name)
