"""Training items of ``jiff data normals``: crops of photos, and the normals of what they show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from jiff.base.errors import DatasetError
from jiff.data.normal_view import read_normal_view, read_normals
from jiff.data.normals_augment import (
    Shown,
    cropped,
    lit,
    mirrored,
    patterned,
    photographed,
    rough_mask,
    shadowed,
)
from jiff.data.people_set import NORMALS, PeopleSet
from jiff.models.normals.network import normals_picture

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

_COUNTED = 0.95
"""Of the mask: nearer to the outline, a pixel shows more than one surface."""


@dataclass(frozen=True)
class NormalsSetConfig:
    """What an item holds.

    Attributes:
        crop_size: side of the crops, pixels.
        multiple: what sides of whole photos are filled up to multiples of, pixels.
        random_flip: mirror half of the items.
        lamps, patterns, shadows, rough_masks: parts of the items so changed, see ``normals_augment``.
        tones: strength of changes of colours.
        seed: of the draws.
    """

    crop_size: int = 256
    multiple: int = 32
    random_flip: bool = True
    lamps: float = 0.85
    patterns: float = 0.35
    shadows: float = 0.5
    rough_masks: float = 0.5
    tones: float = 1.0
    seed: int = 0


class NormalsSet(PeopleSet):
    """Items (one per photo): ``images``, ``normals`` and ``counted`` of ``PersonBatch``; unchanged ones show the whole person."""

    def __init__(
        self, root: Path, subjects: Sequence[str], config: NormalsSetConfig, *, train: bool = True
    ) -> None:
        """Open the photos of ``subjects``; ``train=False`` switches crops and changes off."""
        super().__init__(root, subjects, NORMALS, config.seed, train=train)
        self.config = config

    def _read(self, path: Path, rng: np.random.Generator) -> dict[str, Tensor]:
        view = read_normal_view(path)
        shown = Shown(np.asarray(view.rgb, np.float32) / np.float32(255), *read_normals(view.normals))
        if not self.train:
            shown = filled_up(shown, self.config.multiple)
            return item_tensors(shown, shown.mask)
        try:
            return self._changed(shown, rng)
        except DatasetError as error:
            raise DatasetError(f"{path}: {error}; delete it and run `jiff data normals` again.") from error

    def _changed(self, shown: Shown, rng: np.random.Generator) -> dict[str, Tensor]:
        config = self.config
        shown = cropped(shown, config.crop_size, rng)
        if config.random_flip and rng.random() < 0.5:
            shown = mirrored(shown)
        rgb = lit(shown, rng) if rng.random() < config.lamps else shown.rgb
        if rng.random() < config.patterns:
            rgb = patterned(rgb, rng)
        if rng.random() < config.shadows:
            rgb = shadowed(rgb, rng)
        rgb = photographed(rgb, config.tones, rng)
        mask = rough_mask(shown.mask, rng) if rng.random() < config.rough_masks else shown.mask
        return item_tensors(Shown(rgb, shown.normals, shown.mask), mask)


def filled_up(shown: Shown, multiple: int) -> Shown:
    """Return a photo with nobody to its right and below, so that its sides are multiples of ``multiple``."""
    more = [(0, -side % multiple) for side in shown.mask.shape]
    return Shown(
        np.pad(shown.rgb, (*more, (0, 0))), np.pad(shown.normals, (*more, (0, 0))), np.pad(shown.mask, more)
    )


def item_tensors(shown: Shown, mask: NDArray[np.float32]) -> dict[str, Tensor]:
    """Return what a network learns from a photo.

    Args:
        shown: the photo, its true normals and mask.
        mask: that the network sees.
    """
    counted = (shown.mask > _COUNTED) & (shown.normals[..., 2] > 0)
    return {
        "images": normals_picture(_planes(shown.rgb)[None], _planes(mask[..., None])[None])[0],
        "normals": _planes(shown.normals),
        "counted": _planes(counted[..., None].astype(np.float32)),
    }


def _planes(picture: NDArray[np.float32]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1), dtype=np.float32))
