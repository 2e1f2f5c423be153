"""``jiff data frame``: photos to a test folder, the first step of ``jiff reconstruct`` alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jiff.base.errors import UsageError
from jiff.face.detect.detector import make_detector
from jiff.perception.files import ensure_networks
from jiff.photo.onnx_matting import MattingNetwork
from jiff.pipelines.frame_photos import FramingTools, Photo, find_photos, frame_photo, is_framed
from jiff.run.parallel import WorkReport, run_items
from jiff.run.stage import Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jiff.base.progress import Progress
    from jiff.options.frame import FrameConfig, PhotoOptions
    from jiff.pipelines.photo_views import PhotoView


def framing_tools(config: PhotoOptions, progress: Progress) -> FramingTools:
    """Return what finds people and masks as the options ask for it; networks that are missing are fetched.

    Raises:
        AssetError: a matting or detector file cannot be used.
    """
    matting = None
    if config.matting_model is not None and config.matting_kind is not None:
        matting = MattingNetwork(config.matting_model, config.matting_kind)
    networks = ensure_networks(progress)
    return FramingTools(make_detector(config.detector_model), matting, networks, config.partial)


def frame_all(
    photos: Sequence[Photo],
    views: Sequence[PhotoView],
    tools: FramingTools,
    progress: Progress,
    *,
    overwrite: bool = False,
) -> WorkReport:
    """Frame photos and the further views of the only one; its failure tells those of its views too."""

    def one(photo: Photo) -> dict[str, Any]:
        record = frame_photo(photo, tools)
        for note in record["notes"]:
            progress.warn(f"{photo.name}: {note}")
        return record

    named = [(photo.name, photo) for photo in photos]
    named += [(f"{photos[0].name} at {view.yaw_deg:g} degrees", view.photo) for view in views]
    report = run_items(
        one,
        named,
        jobs=1,
        progress=progress,
        title="Framing",
        is_complete=lambda photo: Verdict(False) if overwrite else is_framed(photo, tools),
    )
    for name, _ in named[len(photos) :]:
        if name in report.failures:
            report.failures.setdefault(photos[0].name, report.failures.pop(name))
    return report


def run_frame(config: FrameConfig, progress: Progress) -> WorkReport:
    """Frame one photo or a folder of photos into a test folder.

    Writes, per photo, ``<name>.png``, ``<name>_mask.png``, ``<name>_framing.json``, where the networks look
    ``<name>_person.json`` and ``heads/<name>.png``, and ``previews/<name>.png`` to be looked at.

    Raises:
        InputError: no photos.
        UsageError: the test folder is the folder of the photos.
        AssetError: a matting or detector file cannot be used.
    """
    found = find_photos(config.input, config.out, config.person)
    if config.out.resolve() == found.photos[0].source.parent.resolve():
        raise UsageError(f"{config.out}: holds the photos, which would be replaced; choose another --out.")
    report = frame_all(
        found.photos, (), framing_tools(config, progress), progress, overwrite=config.overwrite
    )
    for name, reason in found.not_taken.items():
        progress.warn(reason)
        report.failures[name] = reason
    if report.results:
        report.outputs.append(str(config.out))
    return report
