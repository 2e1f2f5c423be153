"""``jiff reconstruct``: any photo to a coloured mesh; frame, coarse PIFu, face prior, alignment, JIFF."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from jiff.base.errors import UsageError
from jiff.base.files import read_json, write_json
from jiff.geometry.io.mesh_io import save_image
from jiff.inference.networks import find_person_network
from jiff.options.align import AlignConfig
from jiff.options.face import FaceConfig
from jiff.options.mesh_output import MeshOutput
from jiff.options.reconstruct import ReconstructConfig
from jiff.pipelines.align import run_align
from jiff.pipelines.evaluate import SUMMARY_NAME, Evaluation, run_evaluation, write_summary
from jiff.pipelines.face import run_face
from jiff.pipelines.face_photos import person_complete
from jiff.pipelines.frame import frame_all, framing_tools
from jiff.pipelines.frame_photos import Photo, find_photos
from jiff.pipelines.held import HeldEvaluation
from jiff.pipelines.photo_pictures import mesh_in_photo
from jiff.pipelines.photo_views import check_views, parse_views
from jiff.pipelines.rig import Rigging
from jiff.run.parallel import WorkReport

if TYPE_CHECKING:
    from jiff.base.progress import Progress
    from jiff.geometry.mesh import Mesh

_COARSE_RESOLUTION = 256
"""The coarse mesh only serves to place the face."""
_TOGETHER = 8
"""Photos that go through all steps before the next begin: their encoded images stay in memory in between."""


@dataclass
class _Run:
    """State of one run.

    Attributes:
        config: its options.
        evaluation: the last step.
        report: what became of each photo.
        problems: photo -> what went wrong at which step, and what was done instead.
    """

    config: ReconstructConfig
    evaluation: Evaluation
    report: WorkReport
    problems: dict[str, dict[str, str]] = field(default_factory=dict)

    def add_problem(self, name: str, step: str, reason: str, instead: str = "nothing was written") -> None:
        """Record what went wrong with a photo; the first reason stays."""
        self.problems.setdefault(name, {"step": step, "reason": reason, "instead": instead})

    def merge(self, other: WorkReport, step: str) -> None:
        """Add what became of photos in a step that makes or refuses results."""
        self.report.results.update(other.results)
        self.report.skipped += other.skipped
        self.report.failures.update(other.failures)
        self.report.details.update(other.details)
        for name, reason in other.failures.items():
            # What the coarse step said stands if the last one fails as well.
            self.problems.pop(name, None)
            self.add_problem(name, step, reason)


def _prepare_faces(run: _Run, photos: list[Photo], where: str) -> None:
    """Fit and align the faces; those of photos without a problem can be used."""
    config, evaluation, progress = run.config, run.evaluation, run.evaluation.progress
    coarse_config = config.evaluation(
        out=config.out / "coarse",
        resolution=_coarse_resolution(config),
        format=("obj",),
        **MeshOutput().mesh_output(),
    )
    evaluation.networks()
    coarse = Evaluation(coarse_config, progress, "pifu", colors=False, sibling=evaluation)
    coarse.keep_features = True
    report = run_evaluation(coarse, [photo.person for photo in photos], f"Coarse reconstruction{where}")
    steps = {"coarse reconstruction": report}
    names = tuple(photo.name for photo in photos)
    steps["face"] = run_face(_face_config(config, names), progress)
    if any(photo.person.has_face for photo in photos):
        align = AlignConfig(pifu=config.out / "coarse", test=config.out / "crops", jobs=1, names=names)
        steps["alignment"] = run_align(align, progress)
    for step, found in steps.items():
        for name in names:
            if name in found.failures:
                run.add_problem(name, step, found.failures[name], "plain PIFu without the face prior")


def _face_config(config: ReconstructConfig, names: tuple[str, ...]) -> FaceConfig:
    return FaceConfig(
        input=config.out / "crops",
        model=config.model,
        detector_model=config.detector_model,
        jobs=1,
        overwrite=config.overwrite,
        names=names,
    )


def _coarse_resolution(config: ReconstructConfig) -> int:
    return min(_COARSE_RESOLUTION, config.resolution or _COARSE_RESOLUTION)


def _evaluation(config: ReconstructConfig, progress: Progress) -> Evaluation:
    """Return the run of the networks that the options name: prior-held or published ones.

    Raises:
        UsageError: no network, or options that do not go with it.
    """
    published = config.shape_checkpoint is not None
    held = None if published else find_person_network(config.checkpoint)
    if held is None:
        return Evaluation(config.evaluation(), progress, "pifu" if config.no_face else "jiff")
    if config.view:
        raise UsageError(
            "--view: prior-held networks look at one photo; give published networks trained with --num-views."
        )
    return HeldEvaluation(config.evaluation(), progress, held)


def run_reconstruct(config: ReconstructConfig, progress: Progress) -> WorkReport:
    """Reconstruct one photo or a folder of photos; without a checkpoint by the prior-held network that is installed.

    Writes, per photo, ``<name>.obj|glb|ply`` (textured or with vertex colours), ``<name>.png`` (preview), ``in_photo/<name>.jpg`` (the
    mesh in the photo) and ``<name>.json``; ``crops/`` is a test folder on which the single steps can be repeated;
    ``summary.json`` tells what became of each. With ``--rig`` the GLB has bones. A photo in which several bodies
    were found is reported as a failure; so is, with published networks, one whose face is not found or cannot be trusted and
    which is reconstructed without it. Prior-held networks need no face, and say so in the notes.

    Raises:
        InputError: no photos.
        CheckpointError: no usable networks.
        AssetError: a face model, matting or detector file cannot be used.
        UsageError: options that do not fit together, or views for a single-view network.
    """
    found = find_photos(config.input, config.out / "crops", config.person)
    photos = found.photos
    if config.input.is_dir() and config.input.resolve() == (config.out / "crops").resolve():
        raise UsageError(
            f"{config.input}: is the folder that framed photos are written to; choose another --out."
        )
    if config.out.resolve() == photos[0].source.parent.resolve():
        raise UsageError(
            f"{config.out}: holds the photos, which previews would replace; choose another --out."
        )
    if config.view and config.input.is_dir():
        raise UsageError("--view: belongs to one photo, not to a folder; give the photo at yaw 0.")
    views = parse_views(config.view, photos[0])
    evaluation = _evaluation(config, progress)
    evaluation.rigging = Rigging(config) if config.rig else None
    evaluation.views = {photos[0].name: [(view.yaw_deg, view.photo.person) for view in views]}
    tools = framing_tools(config, progress)
    evaluation.prepare([photo.person for photo in photos])
    if views:
        for note in check_views(evaluation.networks(), evaluation.files, 1 + len(views)):
            progress.warn(note)
    framing = frame_all(photos, views, tools, progress, overwrite=config.overwrite)
    run = _Run(config, evaluation, WorkReport(details=dict(framing.details)))
    for name, reason in found.not_taken.items():
        progress.warn(reason)
        run.report.failures[name] = reason
        run.add_problem(name, "finding photos", reason)
    run.merge(
        WorkReport(failures={p.name: framing.failures[p.name] for p in photos if p.name in framing.failures}),
        "framing",
    )
    framed = [photo for photo in photos if photo.name not in framing.failures]
    groups = [framed[low : low + _TOGETHER] for low in range(0, len(framed), _TOGETHER)]
    for number, group in enumerate(groups):
        first = number * _TOGETHER
        where = f" (photos {first + 1} to {first + len(group)} of {len(framed)})" if len(groups) > 1 else ""
        _reconstruct_group(run, group, where)
    _report_several_bodies(run)
    _report_rigs(run)
    write_summary(config.out, config, evaluation.fingerprints, run.report)
    _complete_summary(run, framed)
    run.report.outputs = [str(config.out)]
    return run.report


def _reconstruct_group(run: _Run, group: list[Photo], where: str) -> None:
    """Take framed photos through all steps."""
    by_name = {photo.name: photo for photo in group}

    def finish(name: str, mesh: Mesh) -> dict[str, Any]:
        photo = by_name[name]
        save_image(
            run.config.out / "in_photo" / f"{name}.jpg", mesh_in_photo(photo.source, photo.record, mesh)
        )
        record = read_json(photo.record)
        return {"photo": {key: record[key] for key in ("photo", "photo_size", "mask", "world_to_photo")}}

    evaluation = run.evaluation
    evaluation.finish = finish
    if isinstance(evaluation, HeldEvaluation):
        _held_group(run, evaluation, group, where)
        return
    pending = [
        photo for photo in group if not evaluation.is_complete(photo.person) or _has_old_face(run, photo)
    ]
    if pending and not run.config.no_face:
        _prepare_faces(run, pending, where)
    if evaluation.rigging is not None:
        # After the faces, which bodies carry.
        evaluation.rigging.prepare(tuple(by_name), evaluation.progress)
    with_face = [photo.person for photo in group if photo.name not in run.problems]
    if with_face:
        run.merge(run_evaluation(evaluation, with_face, f"Reconstruction{where}"), "reconstruction")
    people = [photo.person for photo in group if photo.name in run.problems]
    if people:
        fallback = Evaluation(run.config.evaluation(), evaluation.progress, "pifu", sibling=evaluation)
        fallback.finish, fallback.rigging = finish, evaluation.rigging
        run.merge(run_evaluation(fallback, people, f"Reconstruction without face{where}"), "reconstruction")
        for person in people:
            if person.name not in run.report.failures:
                reason = run.problems[person.name]["reason"]
                run.report.failures[person.name] = (
                    f"Reconstructed without the face prior (plain PIFu), because {reason}"
                )
    evaluation.forget_features()


def _held_group(run: _Run, evaluation: HeldEvaluation, group: list[Photo], where: str) -> None:
    """Fit faces and bodies to framed photos, then reconstruct those that have a body."""
    names = tuple(photo.name for photo in group)
    bodies = evaluation.fit(names, None if run.config.no_face else _face_config(run.config, names))
    for name, reason in bodies.failures.items():
        run.report.failures[name] = reason
        run.report.details.update({name: bodies.details[name]} if name in bodies.details else {})
        run.add_problem(name, "body", reason)
    people = [photo.person for photo in group if photo.name not in bodies.failures]
    if people:
        run.merge(run_evaluation(evaluation, people, f"Reconstruction{where}"), "reconstruction")


def _has_old_face(run: _Run, photo: Photo) -> bool:
    """Tell whether the face that made a result would be fitted in another way now."""
    if run.config.no_face or not photo.person.has_face:
        return False
    face = _face_config(run.config, (photo.name,)).located()
    return not person_complete((photo.person, face))


def _report_several_bodies(run: _Run) -> None:
    """Make a failure of results that hold, or lost, further bodies."""
    for name in [*run.report.results, *run.report.skipped]:
        stored = read_json(run.config.out / f"{name}.json")
        count = stored.get("numbers", {}).get("other_bodies", 0)
        if not count or name in run.report.failures:
            continue
        instead = "all were kept" if run.config.raw else "the largest that the silhouette shows was kept"
        reason = f"the surface has {count + 1} large pieces; {instead}, so look at the mask and the result."
        run.report.failures[name] = f"Reconstructed, but {reason}"
        run.add_problem(name, "reconstruction", f"{reason[0].upper()}{reason[1:]}", instead)


def _report_rigs(run: _Run) -> None:
    """Make a failure of results that should have bones and have none."""
    for name in [*run.report.results, *run.report.skipped] if run.config.rig else []:
        problem = read_json(run.config.out / f"{name}.json").get("rig", {}).get("problem")
        if problem is not None and name not in run.report.failures:
            run.report.failures[name] = f"Reconstructed without bones, because {problem}"
            run.add_problem(name, "rig", problem, "the GLB is the plain mesh")


def _complete_summary(run: _Run, photos: list[Photo]) -> None:
    """Put framings and problems into the summary, so that results can be mapped back to the photo and sorted."""
    path = run.config.out / SUMMARY_NAME
    summary = read_json(path)
    for photo in photos:
        if photo.name in summary["people"] and photo.record.is_file():
            record = read_json(photo.record)
            record.pop("stamp", None)
            summary["people"][photo.name]["framing"] = record
    for name, problem in run.problems.items():
        if name in summary["people"]:
            summary["people"][name].update(step=problem["step"], instead=problem["instead"])
    summary["counts"] = dict(sorted(Counter(entry["status"] for entry in summary["people"].values()).items()))
    write_json(path, summary)
