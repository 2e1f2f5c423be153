"""``jiff data body``: anny fitted to the people of a test folder; ``body_set`` does it for processed sets."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from jiff.base.errors import FitError
from jiff.base.files import write_json
from jiff.body.anny_files import anny_version
from jiff.body.files import FORMAT, write_body
from jiff.body.fit.fitting import BodyFitter
from jiff.data.face_record import read_record
from jiff.data.layout import ProcessedSet
from jiff.face.models.anny_on_body import face_places, with_face
from jiff.geometry.io.mesh_io import save_image
from jiff.perception.files import VERSION, ensure_networks, find_networks
from jiff.photo.observed import observe
from jiff.photo.test_folder import PersonFiles, list_people, read_person
from jiff.pipelines.body_pictures import body_picture
from jiff.pipelines.body_set import run_body_set
from jiff.run.parallel import WorkReport, run_items
from jiff.run.plan import plan_work
from jiff.run.stage import Stamp, Verdict, read_stamp

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jiff.base.progress import Progress
    from jiff.options.body import BodyConfig

WORKER_GIB = 0.8
"""Most memory of a process."""
_STEP = 10
"""Grows when the same photo comes to give another body."""


@lru_cache(maxsize=1)
def _fitter() -> BodyFitter:
    return BodyFitter(face=face_places())


def run_body(config: BodyConfig, progress: Progress) -> WorkReport:
    """Fit a body to every person of a test folder, or to every subject of a processed set (see ``run_body_set``).

    Writes, per person of a test folder, ``<name>_body.obj``, ``<name>_body.npz``, ``<name>_body.json`` and ``overlays/<name>_body.png``
    (the body in the photo, and from the side).

    Raises:
        InputError: no people.
        AssetError: the body's data cannot be read.
    """
    config = config.located()
    if ProcessedSet(config.input).exists():
        return run_body_set(config, progress)
    people = list_people(config.input, config.names)
    if any(not person.seen.is_file() for person in people):
        # Once, before workers start.
        ensure_networks(progress)
    report = run_items(
        _fit_person,
        [(person.name, (person, config)) for person in people],
        plan=plan_work(config, [person.name for person in people], worker_gib=WORKER_GIB),
        progress=progress,
        title="Fitting bodies",
        is_complete=person_complete,
    )
    if report.results:
        report.outputs.append(str(config.input))
    return report


def _stamp(person: PersonFiles, config: BodyConfig) -> Stamp:
    inputs = {
        "photo": person.image,
        "mask": person.mask,
        "what was seen": person.seen,
        "framing": person.framing,
    }
    there = {role: path for role, path in inputs.items() if path.is_file()}
    networks = None if person.seen.is_file() else find_networks()
    face = _face_of(person) if config.face else None
    # Not the file: alignment moves the face, which a body does not follow.
    shape = (
        None if face is None else hashlib.blake2b(np.concatenate(face).tobytes(), digest_size=8).hexdigest()
    )
    settings: dict[str, Any] = {
        "anny": anny_version(),
        "networks": None if networks is None else VERSION,
        "step": _STEP,
        "fitted_face": shape,
    }
    if networks is not None:
        # Nobody looked at the photo: whether hands are seen is told by the networks of now.
        settings["hands"] = networks.sees_hands
    return Stamp("body", FORMAT, settings, there)


def person_complete(item: tuple[PersonFiles, BodyConfig]) -> Verdict:
    """Tell whether the body of a photo was fitted as it is now."""
    person, config = item
    there = person.body.is_file() and person.body_arrays.is_file() and person.body_mesh.is_file()
    if config.overwrite or not there:
        return Verdict(False)
    stored = read_stamp(person.body) or {}
    return _stamp(person, config).judge(stored.get("stamp", {}), there)


def _face_of(person: PersonFiles) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Return identity and expression that ``jiff data face`` fitted with anny's own face model; None where it did not."""
    if not person.fit.is_file():
        return None
    record = read_record(person.fit)
    if record.model != "anny" or record.refused is not None or record.pose is None:
        return None
    return record.pose.identity, record.pose.expression


def _fit_person(item: tuple[PersonFiles, BodyConfig]) -> dict[str, Any]:
    """Fit one person, write their files; return a plain summary."""
    person, config = item
    pixels = read_person(person)
    stamp = _stamp(person, config).taken(person.image.parent)
    person.forget_body()
    seen = observe(person, pixels, find_networks())
    fitter = _fitter()
    try:
        if seen is None:
            raise FitError("no landmarks fit the person of the mask")
        fit = fitter.fit(seen)
        if fit.refusal is not None:
            raise FitError(fit.refusal)
    except FitError as error:
        write_json(person.body, {"format": FORMAT, "refused": str(error), "stamp": stamp})
        raise FitError(f"{person.image}: {error}; no body was written.") from error
    face = _face_of(person) if config.face else None
    placed = fit.body if face is None else with_face(fit.body, *face)
    height = 1.7 * placed.scale
    residuals = {
        "landmarks_median_of_height": round(float(np.median(fit.landmark_error)), 5),
        "landmarks_mean_of_height": round(float(fit.landmark_error.mean()), 5),
        "skin_outside_mask": round(fit.outside_share, 5),
        "folded_skin": round(fit.folded_share if fit.folded_with_hands is None else fit.folded_with_hands, 5),
        "height_world": round(height, 3),
    }
    record = {
        "residuals": residuals,
        "hands_seen": [bool(seen) for seen in fit.hands_seen],
        "hand_error": [round(float(off), 3) if np.isfinite(off) else None for off in fit.hand_error],
        "notes": list(fit.notes),
        "networks": VERSION,
        "stamp": stamp,
    }
    write_body(person.image.with_name(person.name), placed, fitter.body, fit.joint_sigma, record)
    if config.overlays:
        save_image(person.body_overlay, body_picture(pixels.rgb, placed, fitter.body))
    return {"landmarks": f"{residuals['landmarks_median_of_height']:.1%}", **residuals}
