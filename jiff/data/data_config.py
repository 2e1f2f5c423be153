"""What a training item holds, and of which views items are made."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from jiff.base.errors import DatasetError
from jiff.data.augment import AugmentConfig
from jiff.data.color_samples import ColorPoolConfig
from jiff.data.labels import LabelPoolConfig
from jiff.data.layout import ProcessedSet, parse_view_name

Stage = Literal["shape", "color_coarse", "color_fine"]


@dataclass(frozen=True)
class DataConfig:
    """What an item holds.

    Attributes:
        stage: which network the items are for.
        load_size: side of the image in pixels.
        load_size_fine: side of the high-resolution image, for ``color_fine``.
        num_sample_inout: labelled points of the whole scan (shape).
        num_sample_color: coloured points of the whole scan (colour).
        num_sample_face: further points in the face box, 700 as published.
        num_face_vertices: vertices of the face prior that a training item keeps, drawn at random; 0 keeps all.
        prior_jitter_cm: random misplacement of the face prior of a training item, see ``jittered``.
        sigma: offset of coloured points along their normal, world units.
        inside_part, fine_part, volume_part: see ``LabelPool.sample``; 0.5, 0 and 0 as published.
        num_views: images of an item, evenly spread over the usable yaws.
        random_multiview: draw the further images at random.
        augment: random changes.
        labels: what the pool of labelled points holds.
        colors: what the pool of coloured points holds.
        cache: keep decoded images and colours on disk as memory-mapped arrays.
        seed: of the draws.
        face: whether items carry the face prior.
    """

    stage: Stage = "shape"
    load_size: int = 512
    load_size_fine: int = 1024
    num_sample_inout: int = 5000
    num_sample_color: int = 10_000
    num_sample_face: int = 700
    num_face_vertices: int = 0
    prior_jitter_cm: float = 0.0
    sigma: float = 0.1
    inside_part: float = 0.5
    fine_part: float = 0.0
    volume_part: float = 0.0
    num_views: int = 1
    random_multiview: bool = False
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    labels: LabelPoolConfig = field(default_factory=LabelPoolConfig)
    colors: ColorPoolConfig = field(default_factory=ColorPoolConfig)
    cache: bool = True
    seed: int = 0
    face: bool = True


def usable_views(dataset: ProcessedSet, subject: str) -> list[str]:
    """Return the views whose yaw FILE_NUMBER lists (all views where the set has no FILE_NUMBER at all).

    Raises:
        DatasetError: the list is missing for this subject, damaged, or none of its yaws was rendered.
    """
    views = dataset.views(subject)
    path = dataset.file_number(subject)
    if not (dataset.root / "FILE_NUMBER").is_dir():
        return views
    try:
        words = path.read_text(encoding="utf-8").split()
        yaws = {int(word) for word in words}
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise DatasetError(
            f"{path}: is missing or damaged ({error}); run `jiff data face` for this subject."
        ) from error
    chosen = [view for view in views if parse_view_name(view)[0] in yaws]
    if not chosen:
        raise DatasetError(
            f"{path}: lists no yaw that was rendered; run `jiff data face` again or remove the subject."
        )
    return chosen
