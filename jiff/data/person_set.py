"""Training items of ``jiff data photos``: pictures, maps, labelled and coloured points of one photo each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from jiff.data.people_set import PHOTOS, PeopleSet
from jiff.data.person_augment import Print, Tones, coarser
from jiff.data.person_view import PersonView, read_view
from jiff.geometry.camera import Camera
from jiff.models.person.network import network_picture
from jiff.photo.view_inputs import mask_distance

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray


@dataclass(frozen=True)
class PersonSetConfig:
    """What an item holds.

    Attributes:
        num_points, num_head_points: labelled points, of everything and around the head.
        num_colors, num_head_colors: coloured points likewise.
        random_flip: mirror half of the items.
        tones: strength of changes of colours.
        prints: part of the items with a pattern laid over.
        cuts: part of the items of which the photo shows the upper part only.
        seed: of the draws.
    """

    num_points: int = 2500
    num_head_points: int = 1200
    num_colors: int = 800
    num_head_colors: int = 400
    random_flip: bool = True
    tones: float = 1.0
    prints: float = 0.5
    cuts: float = 0.08
    seed: int = 0


class PersonSet(PeopleSet):
    """Items (one per photo) with labelled and coloured points."""

    def __init__(
        self, root: Path, subjects: Sequence[str], config: PersonSetConfig, *, train: bool = True
    ) -> None:
        """Open the photos of ``subjects``; ``train=False`` switches changes off and makes draws the same in every epoch."""
        super().__init__(root, subjects, PHOTOS, config.seed, train=train)
        self.config = config

    def _read(self, path: Path, rng: np.random.Generator) -> dict[str, Tensor]:
        return self._tensors(read_view(path), rng)

    def _tensors(self, view: PersonView, rng: np.random.Generator) -> dict[str, Tensor]:
        config = self.config
        points = self._picked(rng, view.in_head, config.num_points, config.num_head_points)
        colored = self._picked(rng, view.surface_in_head, config.num_colors, config.num_head_colors)
        place, prior = view.points[points], view.prior[points].astype(np.float32)
        surface, surface_prior = view.surface[colored], view.surface_prior[colored].astype(np.float32)
        color = _unit(view.color[colored])
        rgb, head_rgb = _unit(view.rgb), _unit(view.head_rgb)
        mask, head_mask = view.mask, view.head_mask
        if self.train:
            rgb, head_rgb, color = self._changed(view, rng, rgb, head_rgb, surface, color)
            if rng.random() < config.cuts:
                mask, head_mask = cut_off(mask, head_mask, view.head_window, rng)
        parts: dict[str, Any] = {
            "images": _picture(rgb, mask, view.maps),
            "head_images": _picture(head_rgb, head_mask, view.head_maps),
            "head_window": torch.from_numpy(view.head_window.astype(np.float32)),
            "points_world": torch.from_numpy(place),
            "prior": torch.from_numpy(prior),
            "targets": torch.from_numpy(view.distance[points].astype(np.float32)),
            "of_head": torch.from_numpy(view.in_head[points].astype(np.float32)),
            "surface_world": torch.from_numpy(surface),
            "surface_prior": torch.from_numpy(surface_prior),
            "colors": torch.from_numpy(color),
        }
        if self.train and config.random_flip and rng.random() < 0.5:
            parts = mirrored(parts)
        return parts

    @staticmethod
    def _picked(
        rng: np.random.Generator, of_head: NDArray[np.bool_], count: int, head_count: int
    ) -> NDArray[np.int64]:
        body, head = np.flatnonzero(~of_head), np.flatnonzero(of_head)
        pool = body if len(body) else head
        # A person whose head is not in the close-up's window has other points in their place.
        return np.concatenate([rng.choice(pool, count), rng.choice(head if len(head) else pool, head_count)])

    def _changed(
        self,
        view: PersonView,
        rng: np.random.Generator,
        rgb: NDArray[np.float32],
        head_rgb: NDArray[np.float32],
        surface: NDArray[np.float32],
        color: NDArray[np.float32],
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        """Return pictures and true colours after the random changes."""
        if rng.random() < self.config.prints:
            pattern = Print.draw(rng)
            rgb = rgb + pattern.field
            middle_x, middle_y, _, half = view.head_window
            side = (np.arange(head_rgb.shape[0]) + 0.5) / head_rgb.shape[0] * 2 - 1
            x, y = np.meshgrid(middle_x + half * side, middle_y - half * side)
            head_rgb = head_rgb + pattern.at(x, y)
            color = color + pattern.at(surface[:, 0], surface[:, 1])
        tones, strength = Tones.draw(rng, self.config.tones), self.config.tones
        return coarser(tones(rgb), rng, strength), coarser(tones(head_rgb), rng, strength), tones(color)


def cut_off(
    mask: NDArray[np.uint8],
    head_mask: NDArray[np.uint8],
    head_window: NDArray[np.floating],
    rng: np.random.Generator,
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return the masks of a photo that ends somewhere between the chest and the feet."""
    rows = np.flatnonzero((mask >= 128).any(axis=1))
    if len(rows) == 0:
        return mask, head_mask
    size = mask.shape[0]
    row = rows[0] + (rows[-1] - rows[0]) * rng.uniform(0.35, 1.0)
    mask, head_mask = mask.copy(), head_mask.copy()
    mask[int(row) :] = 0
    y_world = Camera(size=size).pixel_to_world(np.array([0.0, row]))[1]
    head_row = (1 - (y_world - float(head_window[1])) / float(head_window[3])) / 2 * head_mask.shape[0]
    head_mask[int(np.clip(head_row, 0, head_mask.shape[0])) :] = 0
    return mask, head_mask


def _unit(values: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.asarray(values, dtype=np.float32) / np.float32(255)


def _picture(rgb: NDArray[np.float32], mask: NDArray[np.uint8], maps: NDArray[np.uint8]) -> Tensor:
    return network_picture(
        torch.from_numpy(np.ascontiguousarray(rgb.transpose(2, 0, 1), dtype=np.float32))[None],
        torch.from_numpy(mask.astype(np.float32) / 255)[None, None],
        torch.from_numpy(mask_distance(mask))[None, None],
        torch.from_numpy(np.ascontiguousarray(maps.transpose(2, 0, 1)))[None],
    )[0]


def mirrored(parts: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors of an item of the mirrored person: left and right, and the x axis, changed over."""
    result = dict(parts)
    for name in ("images", "head_images"):
        picture = parts[name].flip(-1)
        # x of the body's normals.
        picture[5] = -picture[5]
        result[name] = picture
    for name in ("points_world", "surface_world", "head_window"):
        result[name] = torch.cat([-parts[name][..., :1], parts[name][..., 1:]], dim=-1)
    for name in ("prior", "surface_prior"):
        changed = parts[name].clone()
        # x of the normal and of the canonical place.
        changed[:, [1, 4]] *= -1
        result[name] = changed
    return result
