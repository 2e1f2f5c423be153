"""``jiff data body`` on a processed set: each subject's own body, and the fit to a photo of its training views."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jiff.base.errors import AssetError, FitError
from jiff.base.files import read_json, read_text, remove_leftovers, write_json
from jiff.body.anny_body import load_anny_body
from jiff.body.anny_files import anny_version
from jiff.body.files import body_mesh, body_values, read_body
from jiff.body.fit.acceptance import refusal
from jiff.body.fit.energy import FitWeights
from jiff.body.fit.fitting import BodyFitter
from jiff.body.fit.regressor import SHAPES
from jiff.body.fit.surface import NEAR, ScanSurface, SurfaceFitter, SurfaceWeights, skin_in_scan
from jiff.body.fit.views import OneView, combine_views
from jiff.body.placing import moved
from jiff.body.skeleton import JOINTS
from jiff.data.dataset_file import read_dataset_file, record_stage
from jiff.data.layout import ProcessedSet, parse_view_name
from jiff.data.mesh_cache import cached_mesh
from jiff.data.param_io import read_param
from jiff.data.true_body import find_truth, true_body
from jiff.data.view_bodies import ViewBody, read_view_bodies, write_view_bodies
from jiff.face.models.anny_on_body import face_places
from jiff.geometry.camera import Camera
from jiff.geometry.io.mesh_io import save_mesh
from jiff.perception.files import VERSION, ensure_networks, find_networks
from jiff.photo.images import read_image
from jiff.photo.masks import read_mask
from jiff.photo.observed import look_at
from jiff.pipelines.seen_views import view_file
from jiff.run.parallel import WorkReport, run_items
from jiff.run.plan import plan_work
from jiff.run.stage import Stamp, Verdict, begin, finish, read_stamp

if TYPE_CHECKING:
    from jiff.base.progress import Progress
    from jiff.body.placed import PlacedBody
    from jiff.options.body import BodyConfig

WORKER_GIB = 1.0
"""Most memory of a process."""
FORMAT = 1
_STEP = 1
"""Grows when the same pictures come to give other bodies."""
_AROUND_DEG, _WITHIN_DEG = range(0, 360, 45), 15
"""Views that tell the body of a scan without truth, and how far from these the nearest one may be."""
_SAVE_EVERY = 20
"""Views between two writings, so that a run that was killed loses little."""
MOST_OUTSIDE, MOST_BARE = 0.1, 3.0
"""Share of skin outside of the scan, and median distance of bare skin to it, world units, beyond which a body is refused."""
_TRUTH, _FIT = "truth", "views and surface"
_PHENOTYPES = ("age", *SHAPES)


@lru_cache(maxsize=1)
def _fitter() -> BodyFitter:
    return BodyFitter(face=face_places())


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


def training_views(dataset: ProcessedSet, subject: str, step: int) -> list[str]:
    """Return the first view of every ``step``-th yaw of training (of all yaws before `jiff data face` ran); 0 for none."""
    if step == 0:
        return []
    firsts: dict[tuple[int, int], str] = {}
    for view in dataset.views(subject):
        yaw, pitch, _ = parse_view_name(view)
        firsts.setdefault((yaw, pitch), view)
    yaws = sorted({yaw for yaw, _ in firsts})
    if dataset.file_number(subject).is_file():
        told = set(read_text(dataset.file_number(subject)).split())
        yaws = [yaw for yaw in yaws if str(yaw) in told]
    kept = set(yaws[::step])
    return [view for (yaw, _), view in firsts.items() if yaw in kept]


def _around(dataset: ProcessedSet, subject: str) -> list[str]:
    """Return the views that tell the body of a scan without truth."""
    chosen = []
    for wanted in _AROUND_DEG:
        rated = []
        for view in dataset.views(subject):
            yaw, pitch, _ = parse_view_name(view)
            away = abs((yaw - wanted + 180) % 360 - 180) + abs(pitch)
            if away <= _WITHIN_DEG:
                rated.append((away, view))
        if rated:
            chosen.append(min(rated)[1])
    return chosen


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


def _fit_view(dataset: ProcessedSet, subject: str, view: str) -> ViewBody:
    """Return what the fit to a photo makes of a view."""
    path = view_file(dataset, subject, view)
    rgb = np.ascontiguousarray(read_image(path)[..., :3])
    large = dataset.mask_hi(subject, view)
    mask = read_mask(large if large.is_file() else dataset.mask(subject, view), (rgb.shape[0], rgb.shape[1]))
    camera = Camera.from_param(read_param(dataset.param(subject, view)))
    networks = find_networks()
    if networks is None:
        raise AssetError("perception: is not there on this machine; run `jiff assets fetch perception`.")
    seen = look_at(networks, rgb, mask)
    if seen is None:
        return ViewBody(view, "no landmarks fit the person of the mask", None, camera.rotation)
    fitter = _fitter()
    fit = fitter.fit(seen)
    why = refusal(fit)
    # From the canonical camera, in which photos are framed, to this one, in whose NDC the person lies alike.
    canonical = Camera()
    zoom = camera.half_width_world / canonical.half_width_world
    linear = zoom * camera.rotation.T
    body = moved(fit.body, fitter.body, linear, camera.center_world - linear @ canonical.center_world)
    return ViewBody(
        view, why or "", body, camera.rotation, body.joints_world(fitter.body), fit.joint_sigma * zoom,
        fit.told.turns_sigma,
    )  # fmt: skip


def _fit_views(
    dataset: ProcessedSet, subject: str, wanted: list[str], kept: list[ViewBody]
) -> list[ViewBody]:
    """Return the fits of the views that are asked for and of those that are there, and write them."""
    found = {view.view: view for view in kept}
    missing = [view for view in wanted if view not in found]

    def ordered() -> list[ViewBody]:
        return sorted(found.values(), key=lambda view: parse_view_name(view.view))

    for number, view in enumerate(missing, 1):
        found[view] = _fit_view(dataset, subject, view)
        if number % _SAVE_EVERY == 0 or number == len(missing):
            write_view_bodies(dataset.body_views(subject), ordered(), _PHENOTYPES)
    return ordered()


def _known_truth(
    dataset: ProcessedSet, subject: str, truth: Path | None, surface: ScanSurface
) -> tuple[PlacedBody | None, str]:
    """Return the true body where there is one that lies in the scan, and else in words why not."""
    body = load_anny_body()
    placed = None
    if truth is not None:
        placed = true_body(dataset, subject, truth, body)
    elif dataset.body(subject).is_file():
        # The set was moved away from its scans: what was the truth still is, of the same scan.
        stored, entry = read_json(dataset.body(subject)), None
        noted = (read_stamp(dataset.body_stamp(subject)) or {}).get("inputs") or {}
        if stored.get("source") == _TRUTH and "scan" in noted:
            entry = _stamp(dataset, subject, None).taken(dataset.root)["inputs"]["scan"]
            same = entry["blake2b"] == noted["scan"].get("blake2b")
            placed = read_body(dataset.body(subject)) if same else None
    if placed is None:
        return None, "no truth of the scan is known"
    outside, _ = skin_in_scan(placed, body, surface)
    if outside > MOST_OUTSIDE:
        return None, f"{truth} tells of a body of which {outside:.0%} lie outside of the scan"
    return placed, ""


def _fit_subject(item: tuple[str, BodyConfig]) -> dict[str, Any]:
    """Fit one subject and write its files; return a plain summary."""
    name, config = item
    dataset, body = ProcessedSet(config.input), load_anny_body()
    truth = find_truth(dataset, name, config.scans)
    stamp = _stamp(dataset, name, truth)
    stored = _stored(dataset, name, truth)
    surface = ScanSurface(cached_mesh(dataset, name))
    placed, why = _known_truth(dataset, name, truth, surface)
    for path in (dataset.body(name), dataset.body_stamp(name)):
        remove_leftovers(path.parent)
    taken = stamp.taken(dataset.root)
    kept: list[ViewBody] = []
    if stored and not stamp.change(stored) and not config.overwrite:
        kept = read_view_bodies(dataset.body_views(name))
    else:
        dataset.body_views(name).unlink(missing_ok=True)
    begin(dataset.body_stamp(name), taken)
    wanted = training_views(dataset, name, config.views)
    around = [] if placed is not None else _around(dataset, name)
    views = _fit_views(dataset, name, sorted({*wanted, *around}, key=parse_view_name), kept)
    source, sigma, notes = (_TRUTH, np.zeros((len(JOINTS), 3)), [])
    if placed is None:
        try:
            placed, sigma = _from_views([view for view in views if view.view in around], surface)
        except FitError as error:
            dataset.body_mesh(name).unlink(missing_ok=True)
            write_json(dataset.body(name), {"format": FORMAT, "refused": str(error), "notes": [why]})
            raise FitError(f"{dataset.geometry(name)}: {error}; it has no body.") from error
        source, notes = _FIT, [why]
    outside, bare = skin_in_scan(placed, body, surface)
    summary = {
        "source": source,
        "outside_scan": round(outside, 4),
        "bare_skin_off_scan": round(bare, 3),
        **_errors(views, placed.joints_world(body)),
    }
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
    body = load_anny_body()
    good = [
        OneView(view.body, view.rotation, view.joint_sigma, view.turns_sigma)
        for view in views
        if view.accepted and view.body is not None
    ]
    if not good:
        raise FitError("no view of it shows a person")
    told = combine_views(good, body)
    fit = _surface_fitter().fit(surface, told)
    if fit.outside_share > MOST_OUTSIDE or fit.bare_distance > MOST_BARE:
        raise FitError(
            f"{fit.outside_share:.0%} of the fitted body lie more than {NEAR} units outside, face, hands and feet {fit.bare_distance:.1f} off"
        )
    return fit.body, told.joint_sigma


def _errors(views: list[ViewBody], joints: Any) -> dict[str, Any]:
    """Return how far the fits of views are from the subject's own joints [21, 3], from the root, world units."""
    if not views:
        return {"views": 0}
    good = [view for view in views if view.accepted]
    error = [
        np.linalg.norm((view.joints - view.joints[0]) - (joints - joints[0]), axis=1).mean() for view in good
    ]
    told = {"views": len(views), "accepted": len(good)}
    return told | ({"joints_off": round(float(np.median(error)), 3)} if error else {})
