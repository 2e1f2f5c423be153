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

if TYPE_CHECKING:
    from jiff.progress import Progress

_NETWORKS, _OUTPUT, _FACE = "Networks", "Output", "Face"
_COARSE_RESOLUTION = 256
"""The coarse mesh only serves to place the face."""


@dataclass(frozen=True)
class ReconstructConfig:
    """Options of ``run_reconstruct``.

    Attributes:
        input: a photo or a folder of photos.
        out: folder of the results.
        checkpoint: a run's folder.
        load_netG_checkpoint_path: shape network instead of the run's.
        load_netC_coarse_checkpoint_path: coarse colour network instead of the run's.
        load_netC_checkpoint_path: fine colour network instead of the run's.
        person: which one from the left, where a photo shows several.
        no_face: plain PIFu.
        model: face model.
        detector_model: YuNet file.
        resolution: cells along the view.
        format: of the meshes.
        height_cm: of the person, for GLB.
        raw: keep floating pieces.
        memory_budget: gigabytes of working memory.
        device: auto, cpu, cuda or mps.
        overwrite: compute again what is complete.
    """

    input: Path = option(help="Photo (JPEG, PNG, WebP, TIFF) or folder of photos.", positional=True)
    out: Path = option(Path("reconstructed"), help="Folder for the results.", flags=("-o",))
    checkpoint: Path | None = option(None, help="Run's folder that training wrote.", panel=_NETWORKS)
    load_netG_checkpoint_path: Path | None = option(
        None, help="Shape network, own or published, instead of the run's.", panel=_NETWORKS
    )
    load_netC_coarse_checkpoint_path: Path | None = option(
        None, help="Coarse colour network instead of the run's.", panel=_NETWORKS
    )
    load_netC_checkpoint_path: Path | None = option(
        None, help="Fine colour network instead of the run's.", panel=_NETWORKS
    )
    person: int | None = option(
        None, help="Which person, counted from the left, where a photo shows several.", min=1
    )
    no_face: bool = option(False, help="Leave the face prior out: plain PIFu.", panel=_FACE)
    model: str = option("anny", help="Face model: anny (free, included), bfm or flame.", panel=_FACE)
    detector_model: Path | None = option(
        None, help="YuNet detector file (.onnx); without it the assets folder's, else Haar.", panel=_FACE
    )
    resolution: int | None = option(
        None,
        help="Cells along the view: 256 for small networks and 512 for others by default.",
        min=16,
        max=2048,
    )
    format: tuple[str, ...] = option(("obj", "glb"), help="Mesh formats: obj, glb, ply.", panel=_OUTPUT)
    height_cm: float = option(180.0, help="Height of the person in GLB, cm.", min=1, max=300, panel=_OUTPUT)
    raw: bool = option(False, help="Keep floating pieces.", panel=_OUTPUT)
    memory_budget: float = option(4.0, help="Gigabytes of working memory for the networks.", min=0.05)
    device: str = option("auto", help="auto, cpu, cuda or mps.")
    overwrite: bool = option(False, help="Compute again what is complete.")

    def evaluation(self, **changes: Any) -> EvalJiffConfig:
        """Return the options of the evaluation steps."""
        values: dict[str, Any] = {
            "test_folder_path": self.out / "crops",
            "results_path": self.out,
            "checkpoint": self.checkpoint,
            "load_netG_checkpoint_path": self.load_netG_checkpoint_path,
            "load_netC_coarse_checkpoint_path": self.load_netC_coarse_checkpoint_path,
            "load_netC_checkpoint_path": self.load_netC_checkpoint_path,
            "resolution": self.resolution,
            "format": self.format,
            "height_cm": self.height_cm,
            "raw": self.raw,
            "memory_budget": self.memory_budget,
            "device": self.device,
            "overwrite": self.overwrite,
        }
        return EvalJiffConfig(**{**values, **changes})


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
    config: ReconstructConfig, photos: list[Photo], evaluation: Evaluation, progress: Progress
) -> dict[str, str]:
    """Fit and align the faces; return why each photo without one has none."""
    from jiff.pipelines.align import AlignConfig, run_align
    from jiff.pipelines.face import FaceConfig, run_face

    reasons: dict[str, str] = {}
    coarse_config = config.evaluation(
        results_path=config.out / "coarse", resolution=_coarse_resolution(config), format=("obj",)
    )
    coarse = Evaluation(coarse_config, progress, "pifu", networks=evaluation.networks())
    report = run_evaluation(coarse, [photo.person for photo in photos], "Coarse reconstruction")
    reasons.update(report.failures)
    face = FaceConfig(
        input=config.out / "crops",
        model=config.model,
        detector_model=config.detector_model,
        jobs=1,
        overwrite=config.overwrite,
    )
    reasons.update(run_face(face, progress).failures)
    if any(photo.person.has_face for photo in photos):
        align = AlignConfig(pifu=config.out / "coarse", test=config.out / "crops", jobs=1)
        reasons.update(run_align(align, progress).failures)
    return {photo.name: reasons[photo.name] for photo in photos if photo.name in reasons}


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
    plain: dict[str, str] = {}
    if framed and not config.no_face:
        pending = [photo for photo in framed if not evaluation.is_complete(photo.person)]
        if pending:
            plain = _prepare_faces(config, pending, evaluation, progress)
    with_face = [photo.person for photo in framed if photo.name not in plain]
    if with_face:
        _merge(report, run_evaluation(evaluation, with_face, "Reconstruction"))
    if plain:
        fallback = Evaluation(config.evaluation(), progress, "pifu", networks=evaluation.networks())
        people = [photo.person for photo in framed if photo.name in plain]
        _merge(report, run_evaluation(fallback, people, "Reconstruction without face"))
        for name, reason in plain.items():
            if name not in report.failures:
                report.failures[name] = f"Reconstructed without the face prior (plain PIFu), because {reason}"
    write_summary(config.out, config, evaluation.fingerprints, report)
    _add_framing(config.out, framed)
    report.outputs = [str(config.out)]
    return report


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
