"""``jiff data body`` on a processed set: each subject's own body, and the fit to a photo of its training views."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jiff.base.errors import AssetError, FitError, InputError
from jiff.base.files import read_json, remove_leftovers, write_json
from jiff.body.anny_body import load_anny_body
from jiff.body.anny_files import anny_version
from jiff.body.files import body_mesh, body_values, read_body
from jiff.body.fit.energy import FitWeights
from jiff.body.fit.in_scan import ScanSurface, skin_in_scan
from jiff.body.fit.surface import SurfaceFitter, SurfaceWeights, fit_surface
from jiff.body.fit.views import OneView
from jiff.body.skeleton import JOINTS
from jiff.data.dataset_file import read_dataset_file, record_stage
from jiff.data.layout import ProcessedSet, parse_view_name
from jiff.data.mesh_cache import cached_mesh
from jiff.data.true_body import find_truth, true_body
from jiff.data.view_bodies import ViewBody, read_view_bodies
from jiff.geometry.io.mesh_io import save_mesh
from jiff.perception.files import VERSION, ensure_networks
from jiff.pipelines.body_views import fit_views, training_views, view_errors, views_around
from jiff.run.parallel import WorkReport, run_items
from jiff.run.plan import plan_work
from jiff.run.stage import Stamp, Verdict, begin, finish, read_stamp

if TYPE_CHECKING:
    from jiff.base.progress import Progress
    from jiff.body.placed import PlacedBody
    from jiff.options.body import BodyConfig

WORKER_GIB = 1.1
"""Most memory of a process, measured on a scan of 350,000 triangles."""
FORMAT = 1
_STEP = 4
"""Grows when the same pictures come to give other bodies."""
_TRUTH, _FIT = "truth", "views and surface"


@lru_cache(maxsize=1)
def _surface_fitter() -> SurfaceFitter:
    return SurfaceFitter()


def run_body_set(config: BodyConfig, progress: Progress) -> WorkReport:
    """Fit the bodies of a processed set.

    Writes, per subject, ``BODY/<subject>/body.json`` and ``body.obj`` (the body in the set's world: the truth of synthetic
    scans, else a fit to views and surface) and ``views.npz`` (the fit to a photo of every training view).

    Raises:
        DatasetError: the set holds no subjects.
        AssetError: the networks that see people are not there.
    """
    dataset = ProcessedSet(config.input)
    names = dataset.subjects(may_lack=config.shard is not None)
    if config.views and ensure_networks(progress) is None:
        raise AssetError(
            "perception: the networks that see people are needed to fit bodies to views; "
            "run `jiff assets fetch perception`, or give --views 0 for synthetic scans."
        )
    load_anny_body()
    plan = plan_work(config, names, worker_gib=WORKER_GIB)
    report = run_items(
        _fit_subject,
        [(name, (name, config)) for name in names],
        plan=plan,
        progress=progress,
        title="Fitting bodies",
        is_complete=subject_complete,
    )
    for name, result in report.results.items():
        if "note" in result:
            progress.warn(f"{name}: its body was fitted to views and surface, because {result['note']}.")
    record_stage(
        dataset,
        "body",
        settings={"views": config.views},
        subjects={
            **_remembered(dataset, report.skipped),
            **report.results,
            **{name: {"refused": why} for name, why in report.failures.items()},
        },
        shared=plan.shard is not None,
    )
    if report.results:
        report.outputs.append(str(config.input / "BODY"))
    return report


def _remembered(dataset: ProcessedSet, names: list[str]) -> dict[str, Any]:
    """Return the summaries of complete subjects that a killed run could not record."""
    known = (read_dataset_file(dataset).get("stages", {}).get("body") or {}).get("subjects") or {}
    return {name: read_json(dataset.body(name)).get("summary", {}) for name in names if name not in known}


def _digest(value: Any) -> str:
    return hashlib.blake2b(repr(value).encode("utf-8"), digest_size=6).hexdigest()


def _stamp(dataset: ProcessedSet, subject: str, truth: Path | None) -> Stamp:
    rendered = read_stamp(dataset.render_stamp(subject)) or {}
    drawn = {key: value for key, value in (rendered.get("settings") or {}).items() if key != "high_size"}
    views = dataset.views(subject)
    large = bool(views) and dataset.render_hi(subject, views[0]).is_file()
    settings = {
        "anny": anny_version(),
        "networks": VERSION,
        "step": _STEP,
        "fit": _digest([asdict(FitWeights()), asdict(SurfaceWeights())]),
        "pictures": _digest([sorted(drawn.items()), large]),
    }
    learnt = Path(str(resources.files("jiff.body.fit")))
    inputs = {
        "scan": dataset.geometry(subject),
        "body regressor": learnt / "regressor.safetensors",
        "table of landmarks": learnt / "marks.json",
    }
    if truth is not None:
        inputs["truth"] = truth
    return Stamp("body", FORMAT, settings, inputs)


def _stored(dataset: ProcessedSet, subject: str, truth: Path | None) -> dict[str, Any] | None:
    """Return the stamp of a subject; a truth that is out of reach now, as of sets that were moved, is not missed."""
    stored = read_stamp(dataset.body_stamp(subject))
    if truth is None and stored and isinstance(stored.get("inputs"), dict):
        stored["inputs"] = {role: entry for role, entry in stored["inputs"].items() if role != "truth"}
    return stored


def subject_complete(item: tuple[str, BodyConfig]) -> Verdict:
    """Tell whether the bodies of a subject were fitted as they would be now, and all views that are asked for."""
    name, config = item
    dataset = ProcessedSet(config.input)
    there = dataset.body(name).is_file() and dataset.body_mesh(name).is_file()
    if config.overwrite or not there:
        return Verdict(False)
    truth = find_truth(dataset, name, config.scans)
    stored = _stored(dataset, name, truth)
    verdict = _stamp(dataset, name, truth).judge(stored or {}, there)
    if not verdict or not config.views:
        return verdict
    fitted = {view.view for view in read_view_bodies(dataset.body_views(name))}
    return Verdict(fitted.issuperset(training_views(dataset, name, config.views)))


def _known_truth(
    dataset: ProcessedSet, subject: str, truth: Path | None, surface: ScanSurface
) -> tuple[PlacedBody | None, str]:
    """Return the true body where there is one that lies in the scan, and else in words why not."""
    body = load_anny_body()
    placed = None
    if truth is not None:
        try:
            placed = true_body(dataset, subject, truth, body)
        except InputError as error:
            return None, str(error).rstrip(".")
    elif dataset.body(subject).is_file():
        # The set was moved away from its scans: what was the truth still is, of the same scan.
        stored = read_json(dataset.body(subject))
        noted = (read_stamp(dataset.body_stamp(subject)) or {}).get("inputs") or {}
        if stored.get("source") == _TRUTH and "scan" in noted:
            entry = _stamp(dataset, subject, None).taken(dataset.root)["inputs"]["scan"]
            same = entry["blake2b"] == noted["scan"].get("blake2b")
            placed = read_body(dataset.body(subject)) if same else None
    if placed is None:
        return None, "no truth of the scan is known"
    wrong = skin_in_scan(placed, body, surface).refusal
    if wrong is not None:
        return None, f"{truth or dataset.body(subject)} is not of this scan: {wrong}"
    return placed, ""


def _fit_subject(item: tuple[str, BodyConfig]) -> dict[str, Any]:
    """Fit one subject and write its files; return a plain summary."""
    name, config = item
    dataset, body = ProcessedSet(config.input), load_anny_body()
    truth = find_truth(dataset, name, config.scans)
    taken = _stamp(dataset, name, truth).taken(dataset.root)
    surface = ScanSurface(cached_mesh(dataset, name))
    placed, why = _known_truth(dataset, name, truth, surface)
    for path in (dataset.body(name), dataset.body_stamp(name)):
        remove_leftovers(path.parent)
    kept: list[ViewBody] = []
    # The truth is nothing to the views.
    stored = _stored(dataset, name, None)
    if stored and not _stamp(dataset, name, None).change(stored) and not config.overwrite:
        kept = read_view_bodies(dataset.body_views(name))
    else:
        dataset.body_views(name).unlink(missing_ok=True)
    if placed is None:
        # Killed from here on, the next run must not take the body of an earlier scan for the truth of this one.
        dataset.body(name).unlink(missing_ok=True)
    begin(dataset.body_stamp(name), taken)
    wanted = training_views(dataset, name, config.views)
    around = [] if placed is not None else views_around(dataset, name)
    views = fit_views(dataset, name, sorted({*wanted, *around}, key=parse_view_name), kept)
    source, sigma, notes = (_TRUTH, np.zeros((len(JOINTS), 3)), [])
    if placed is None:
        try:
            placed, sigma = _from_views([view for view in views if view.view in around], surface)
        except FitError as error:
            dataset.body_mesh(name).unlink(missing_ok=True)
            write_json(dataset.body(name), {"format": FORMAT, "refused": str(error), "notes": [why]})
            # The fits of the views hold.
            finish(dataset.body_stamp(name), taken)
            raise FitError(f"{dataset.geometry(name)}: {error}; it has no body.") from error
        source, notes = _FIT, [why]
    lies = skin_in_scan(placed, body, surface)
    summary = {
        "source": source,
        "outside_scan": round(lies.outside_share, 4),
        "bare_skin_off_scan": round(lies.bare_distance, 3),
        **view_errors(views, placed.joints_world(body)),
    }
    if truth is not None and source == _FIT:
        summary["note"] = why
    save_mesh(body_mesh(placed, body), dataset.body_mesh(name))
    joints = placed.joints_world(body)
    content = {
        "format": FORMAT,
        "source": source,
        "body": body_values(placed),
        "joints_world": {joint: np.round(place, 3).tolist() for joint, place in zip(JOINTS, joints)},
        "joint_sigma_world": {joint: np.round(s, 3).tolist() for joint, s in zip(JOINTS, sigma)},
        "notes": notes,
        "summary": summary,
    }
    write_json(dataset.body(name), content)
    finish(dataset.body_stamp(name), taken)
    return summary


def _from_views(views: list[ViewBody], surface: ScanSurface) -> tuple[PlacedBody, Any]:
    """Return the body of a scan without truth, and standard deviations [21, 3] of its joints, world units.

    Raises:
        FitError: no view shows a person, or the body does not lie in the scan.
    """
    good = [
        OneView(view.body, view.rotation, view.joint_sigma, view.turns_sigma)
        for view in views
        if view.accepted and view.body is not None
    ]
    if not good:
        raise FitError("no view of it shows a person")
    fit, told = fit_surface(good, surface, _surface_fitter())
    if fit.refusal is not None:
        raise FitError(fit.refusal)
    return fit.body, told.joint_sigma
