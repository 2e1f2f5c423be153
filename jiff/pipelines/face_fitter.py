"""What fits of scans and of photos share: the fitter of a person, and the stamp of a fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jiff.data.face_record import read_record, stored_stamp
from jiff.face.detect.detector import find_detector_model, load_detector
from jiff.face.fit.external import find_face_mesh, model_of_face_mesh
from jiff.face.fit.fitting import FaceFitter
from jiff.face.fit.quality import RIGID_LIMITS, FitLimits
from jiff.face.models.registry import load_face_model
from jiff.geometry.io.mesh_io import load_mesh
from jiff.options.face import FaceConfig
from jiff.options.face_models import face_model_names
from jiff.run.stage import Stamp, Verdict

FACE_FORMAT = 1


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
    return FaceFitter(model_of_face_mesh(mesh, str(path), detector, load_face_model()))


def fit_limits(config: FaceConfig) -> FitLimits:
    """Return what a fit must reach to be believed."""
    return FitLimits() if config.face_mesh is None else RIGID_LIMITS


def face_stamp(config: FaceConfig, name: str, inputs: dict[str, Path], **settings: Any) -> Stamp:
    """Return what decides the bytes of a fit.

    Args:
        config: options.
        name: of the subject or person.
        inputs: role -> file, those of the fit itself.
        settings: further plain values.

    Raises:
        MeshError: the external mesh is missing.
    """
    model = config.model
    if config.face_mesh is not None:
        model = "external mesh"
        inputs = {**inputs, "face mesh": find_face_mesh(config.face_mesh, name)}
    detector = find_detector_model(config.detector_model)
    if detector is not None:
        inputs = {**inputs, "detector": detector}
    return Stamp("face", FACE_FORMAT, {"model": model, "box_margin": config.box_margin, **settings}, inputs)


def judge_fit(stamp: Stamp, report: Path, files_there: bool) -> Verdict:
    """Tell whether a fit is complete.

    Args:
        stamp: of the fit that is asked for.
        report: ``fit.json``, which need not exist.
        files_there: whether all files of the fit exist.
    """
    stored = stored_stamp(report, "face")
    if stored is None and files_there and report.is_file():
        # Of a version without stamps; meshes of the user's own belong to no model here.
        fitted = read_record(report).model
        if fitted in face_model_names() and fitted != stamp.settings["model"]:
            return Verdict(False, f"model was {fitted} and is {stamp.settings['model']}")
    return stamp.judge(stored, files_there)
