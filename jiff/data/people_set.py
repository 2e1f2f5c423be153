"""Photographed people as training items: what all sets of them share, whatever their files hold."""

from __future__ import annotations

import copy
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from jiff.base.errors import DatasetError, TrainingError
from jiff.base.files import read_text
from jiff.models.person.network import PersonPictures

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

_ATTEMPTS = 20


@dataclass(frozen=True)
class ViewKind:
    """What the files of a set's photos are.

    Attributes:
        pattern: of their names.
        what: they are, for messages.
        command: that makes them.
    """

    pattern: str
    what: str
    command: str


PHOTOS = ViewKind("view_*.npz", "photos of people", "jiff data photos")
NORMALS = ViewKind("normals_*.npz", "photos with normals", "jiff data normals")


@dataclass(frozen=True, eq=False)
class PersonItem:
    """One item; shapes as of ``PersonBatch`` without B."""

    subject: str
    view: str
    tensors: dict[str, Tensor]
    failures: tuple[str, ...] = ()


class PersonBatch:
    """Items stacked; which tensors there are depends on the set.

    Attributes:
        subjects, views: what each item shows.
        images: [B, C, S, S] what the network looks at, see ``network_picture`` and ``normals_picture``.
        head_images: [B, 11, S, S] see ``network_picture``.
        head_window: [B, 4].
        points_world, prior: [B, N, 3] and [B, N, 8]; targets: [B, N] signed distance, positive inside; of_head: [B, N].
        surface_world, surface_prior, colors: [B, M, 3], [B, M, 8], [B, M, 3] in [0, 1].
        normals: [B, 3, S, S] of length one where ``counted``; counted: [B, 1, S, S] 0 or 1.
        failures: one sentence per item that had to be passed over.
    """

    def __init__(
        self, subjects: list[str], views: list[str], failures: tuple[str, ...] = (), **tensors: Tensor
    ) -> None:
        self.subjects, self.views, self.failures = subjects, views, failures
        self.tensors = tensors

    def __getattr__(self, name: str) -> Tensor:
        tensors = self.__dict__.get("tensors", {})
        if name in tensors:
            found: Tensor = tensors[name]
            return found
        raise AttributeError(name)

    @property
    def pictures(self) -> PersonPictures:
        """What the network looks at."""
        return PersonPictures(self.images, self.head_images, self.head_window)

    def _mapped(self, function: Callable[[Tensor], Tensor]) -> PersonBatch:
        tensors = {name: function(tensor) for name, tensor in self.tensors.items()}
        return PersonBatch(self.subjects, self.views, self.failures, **tensors)

    def to(self, device: torch.device) -> PersonBatch:
        """Return the batch on ``device``."""
        return self._mapped(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> PersonBatch:
        """Return the batch in page-locked memory (called by ``DataLoader``)."""
        return self._mapped(lambda tensor: tensor.pin_memory())


def collate_people(items: Sequence[PersonItem]) -> PersonBatch:
    """Stack items."""
    tensors = {name: torch.stack([item.tensors[name] for item in items]) for name in items[0].tensors}
    failures = tuple(text for item in items for text in item.failures)
    return PersonBatch([item.subject for item in items], [item.view for item in items], failures, **tensors)


def list_views(root: Path, kind: ViewKind = PHOTOS) -> dict[str, list[Path]]:
    """Return person -> view files of a folder of photos, both sorted.

    Raises:
        DatasetError: there are none.
    """
    found = {
        folder.name: sorted(folder.glob(kind.pattern))
        for folder in sorted(root.iterdir() if root.is_dir() else [])
        if (folder / "person.json").is_file()
    }
    found = {name: files for name, files in found.items() if files}
    if not found:
        raise DatasetError(f"{root}: holds no {kind.what}; make some with `{kind.command} -o {root}`.")
    return found


def held_out_people(root: Path) -> list[str]:
    """Return the names that ``val.txt`` holds out; none without the file."""
    path = root / "val.txt"
    return read_text(path).split() if path.is_file() else []


class PeopleSet(Dataset[PersonItem]):
    """Items (one per photo); an index is an (epoch, number) pair, so that every draw depends on it alone."""

    collate = staticmethod(collate_people)

    def __init__(
        self, root: Path, subjects: Sequence[str], kind: ViewKind, seed: int, *, train: bool = True
    ) -> None:
        """Open the photos of ``subjects``; ``train=False`` switches changes off and makes draws the same in every epoch."""
        self.root, self.seed, self.train = root, seed, train
        everything = list_views(root, kind)
        self.subjects = [name for name in subjects if name in everything]
        self.files = [path for name in self.subjects for path in everything[name]]
        if not self.files:
            raise DatasetError(f"{root}: holds no photos of {', '.join(subjects[:3]) or 'anybody'}.")

    def __len__(self) -> int:
        return len(self.files)

    def cache_entries(self) -> list[Path]:
        """Return nothing: there are no caches."""
        return []

    def without_augmentation(self) -> PeopleSet:
        """Return the same items, unchanged and drawn the same in every epoch."""
        plain = copy.copy(self)
        plain.train = False
        return plain

    def data_fingerprint(self) -> str:
        """Return 16 hex digits that differ when photos or their sizes do."""
        digest = hashlib.blake2b(digest_size=8)
        for path in self.files:
            digest.update(f"{path.parent.name}/{path.name}:{path.stat().st_size};".encode())
        return digest.hexdigest()

    def __getitem__(self, pair: tuple[int, int]) -> PersonItem:
        """Return the item of an (epoch, number) pair; damaged ones are passed over, and ``failures`` tells.

        Raises:
            TrainingError: many items in a row are damaged.
        """
        epoch, index = pair
        rng = np.random.default_rng([self.seed, epoch if self.train else 0, index, int(self.train)])
        failures: list[str] = []
        while True:
            path = self.files[index]
            try:
                return PersonItem(path.parent.name, path.stem, self._read(path, rng), tuple(failures))
            except DatasetError as error:
                failures.append(str(error))
            if len(failures) >= _ATTEMPTS:
                raise TrainingError(
                    f"{_ATTEMPTS} items in a row cannot be read, the last because {failures[-1]}"
                )
            index = (index + 1 + int(rng.integers(max(1, len(self) - 1)))) % len(self)

    def _read(self, path: Path, rng: np.random.Generator) -> dict[str, Tensor]:
        """Return the tensors of an item.

        Raises:
            DatasetError: the file is damaged.
        """
        raise NotImplementedError
