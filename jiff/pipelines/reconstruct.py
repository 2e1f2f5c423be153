"""``jiff reconstruct``: any photo to a coloured mesh; frame, coarse PIFu, face prior, alignment, JIFF."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jiff.config import option
from jiff.errors import UsageError
from jiff.files import read_json
from jiff.parallel import BatchReport, run_batch
from jiff.pipelines.evaluate import EvalJiffConfig, Evaluation, run_evaluation, write_summary
from jiff.pipelines.frame_photos import Photo, find_photos, frame_photo, is_framed
from jiff.pipelines.inference_config import FineInferenceConfig

if TYPE_CHECKING:
    from jiff.progress import Progress

_FACE = "Face"
_COARSE_RESOLUTION = 256
"""The coarse mesh only serves to place the face."""
_TOGETHER = 8
"""Photos that go through all steps before the next begin: their encoded images stay in memory in between."""


@dataclass(frozen=True)
class ReconstructConfig(FineInferenceConfig):
    """Options of ``run_reconstruct`` besides the shared ones.

    Attributes:
        input: a photo or a folder of photos.
        out: folder of the results.
        person: which one from the left, where a photo shows several.
        no_face: plain PIFu.
        model: face model.
        detector_model: YuNet file.
    """

    input: Path = option(help="Photo (JPEG, PNG, WebP, TIFF) or folder of photos.", positional=True)
    out: Path = option(Path("reconstructed"), help="Folder for the results.", flags=("-o",))
    person: int | None = option(
        None, help="Which person, counted from the left, where a photo shows several.", min=1
    )
    no_face: bool = option(False, help="Leave the face prior out: plain PIFu.", panel=_FACE)
    model: str = option("anny", help="Face model: anny (free, included), bfm or flame.", panel=_FACE)
    detector_model: Path | None = option(
        None, help="YuNet detector file (.onnx); without it the assets folder's, else Haar.", panel=_FACE
    )

    def evaluation(self, **changes: Any) -> EvalJiffConfig:
        """Return the options of the evaluation steps."""
        folders = {"test_folder_path": self.out / "crops", "results_path": self.out}
        return self.handed_to(EvalJiffConfig, **{**folders, **changes})


def _frame(config: ReconstructConfig, photos: list[Photo], progress: Progress) -> BatchReport:
    from jiff.face.detect import make_detector

    detector = make_detector(config.detector_model)

    def one(photo: Photo) -> dict[str, Any]:
        record = frame_photo(photo, detector, config.person)
        for note in record["notes"]:
            progress.warn(f"{photo.name}: {note}")
        return record

    return run_batch(
        one,
        [(photo.name, photo) for photo in photos],
        jobs=1,
        progress=progress,
        title="Framing",
        is_complete=lambda photo: not config.overwrite and is_framed(photo, config.person),
    )


def _prepare_faces(
    config: ReconstructConfig, photos: list[Photo], evaluation: Evaluation, progress: Progress, where: str
) -> dict[str, str]:
    """Fit and align the faces; return why each photo without one has none."""
    from jiff.pipelines.align import AlignConfig, run_align
    from jiff.pipelines.face import FaceConfig, run_face

    reasons: dict[str, str] = {}
    coarse_config = config.evaluation(
        results_path=config.out / "coarse",
        resolution=_coarse_resolution(config),
        format=("obj",),
    )
    evaluation.networks()
    coarse = Evaluation(coarse_config, progress, "pifu", colors=False, sibling=evaluation)
    coarse.keep_features = True
    report = run_evaluation(coarse, [photo.person for photo in photos], f"Coarse reconstruction{where}")
    reasons.update(report.failures)
    names = tuple(photo.name for photo in photos)
    face = FaceConfig(
        input=config.out / "crops",
        model=config.model,
        detector_model=config.detector_model,
        jobs=1,
        overwrite=config.overwrite,
        names=names,
    )
    reasons.update(run_face(face, progress).failures)
    if any(photo.person.has_face for photo in photos):
        align = AlignConfig(pifu=config.out / "coarse", test=config.out / "crops", jobs=1, names=names)
        reasons.update(run_align(align, progress).failures)
    return {name: reasons[name] for name in names if name in reasons}


def _coarse_resolution(config: ReconstructConfig) -> int:
    return min(_COARSE_RESOLUTION, config.resolution or _COARSE_RESOLUTION)


def run_reconstruct(config: ReconstructConfig, progress: Progress) -> BatchReport:
    """Reconstruct one photo or a folder of photos.

    Writes, per photo, ``<name>.obj|glb|ply`` (vertex colours), ``<name>.png`` (preview) and ``<name>.json``;
    ``crops/`` is a test folder on which the single steps can be repeated; ``summary.json`` tells what became of each.
    A photo whose face is not found or cannot be trusted is reconstructed without it and reported as a failure.

    Raises:
        InputError: no photos.
        CheckpointError: no usable networks.
    """
    photos = find_photos(config.input, config.out / "crops")
    if config.input.is_dir() and config.input.resolve() == (config.out / "crops").resolve():
        raise UsageError(
            f"{config.input}: is the folder that framed photos are written to; choose another --out."
        )
    evaluation = Evaluation(config.evaluation(), progress, "pifu" if config.no_face else "jiff")
    evaluation.prepare([photo.person for photo in photos])
    total = _frame(config, photos, progress)
    framed = [photo for photo in photos if photo.name not in total.failures]
    report = BatchReport(failures=dict(total.failures), details=dict(total.details))
    groups = [framed[low : low + _TOGETHER] for low in range(0, len(framed), _TOGETHER)]
    for number, group in enumerate(groups):
        first = number * _TOGETHER
        where = f" (photos {first + 1} to {first + len(group)} of {len(framed)})" if len(groups) > 1 else ""
        _reconstruct_group(config, group, evaluation, report, where)
    write_summary(config.out, config, evaluation.fingerprints, report)
    _add_framing(config.out, framed)
    report.outputs = [str(config.out)]
    return report


def _reconstruct_group(
    config: ReconstructConfig, group: list[Photo], evaluation: Evaluation, report: BatchReport, where: str
) -> None:
    """Take framed photos through all steps and add what became of them to ``report``."""
    progress = evaluation.progress
    plain: dict[str, str] = {}
    pending = [photo for photo in group if not evaluation.is_complete(photo.person)]
    if pending and not config.no_face:
        plain = _prepare_faces(config, pending, evaluation, progress, where)
    with_face = [photo.person for photo in group if photo.name not in plain]
    if with_face:
        _merge(report, run_evaluation(evaluation, with_face, f"Reconstruction{where}"))
    if plain:
        fallback = Evaluation(config.evaluation(), progress, "pifu", sibling=evaluation)
        people = [photo.person for photo in group if photo.name in plain]
        _merge(report, run_evaluation(fallback, people, f"Reconstruction without face{where}"))
        for name, reason in plain.items():
            if name not in report.failures:
                report.failures[name] = f"Reconstructed without the face prior (plain PIFu), because {reason}"
    evaluation.forget_features()


def _merge(report: BatchReport, other: BatchReport) -> None:
    report.results.update(other.results)
    report.skipped += other.skipped
    report.failures.update(other.failures)
    report.details.update(other.details)


def _add_framing(out: Path, photos: list[Photo]) -> None:
    """Put each photo's framing and its notes into the summary, so that results can be mapped back to the photo."""
    from jiff.files import write_json

    summary = read_json(out / "summary.json")
    for photo in photos:
        if photo.name in summary["people"] and photo.record.is_file():
            record = read_json(photo.record)
            record.pop("settings", None)
            summary["people"][photo.name]["framing"] = record
    write_json(out / "summary.json", summary)
