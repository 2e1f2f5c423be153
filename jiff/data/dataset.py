"""Training items of a processed set: image, camera, labelled or coloured points, face prior, all aligned."""

from __future__ import annotations

import copy
import hashlib
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.utils.data import Dataset

from jiff.base.errors import DatasetError, ImageError, InputError, JiffError, TrainingError, os_sentence
from jiff.data.augment import draw_camera, jitter_colors, network_image, warp_image
from jiff.data.color_samples import ColorPool
from jiff.data.data_config import DataConfig, usable_views
from jiff.data.face_data import FaceData, StoredFace, stored_face
from jiff.data.image_store import ImageStore
from jiff.data.labels import LabelPool, label_pool
from jiff.data.layout import ProcessedSet, parse_view_name
from jiff.data.mapped import MappedArray
from jiff.data.param_io import read_param
from jiff.data.prior_jitter import jittered
from jiff.data.sample import Sample, collate
from jiff.geometry.camera import Camera

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

_ATTEMPTS = 20


class TrainingSet(Dataset[Sample]):
    """Items (subject x usable view); an index is an (epoch, number) pair, so that every draw depends on it alone."""

    collate = staticmethod(collate)

    def __init__(
        self,
        dataset: ProcessedSet,
        subjects: Sequence[str],
        config: DataConfig,
        *,
        train: bool = True,
        skip_damaged: bool = False,
    ) -> None:
        """Open pools and stores of all subjects (built first where missing).

        Args:
            dataset: the processed set.
            subjects: which subjects.
            config: what an item holds.
            train: False switches augmentation off and makes the draws the same in every epoch.
            skip_damaged: leave out subjects that lack a stage or are damaged; ``failures`` says why.

        Raises:
            DatasetError: a subject lacks a stage.
        """
        self.dataset, self.config, self.train = dataset, config, train
        self.subjects: list[str] = []
        self.failures: dict[str, str] = {}
        # Arrays, not lists: worker processes share their pages, which counting references to strings would copy.
        self.views: dict[str, NDArray[np.str_]] = {}
        self.faces: dict[str, StoredFace] = {}
        self.stores: dict[str, ImageStore] = {}
        self.stores_hi: dict[str, ImageStore] = {}
        self.labels: dict[str, LabelPool] = {}
        self.colors: dict[str, ColorPool] = {}
        for subject in subjects:
            try:
                self._open(subject)
            except (JiffError, OSError) as error:
                if not skip_damaged:
                    raise
                self.failures[subject] = os_sentence(error) if isinstance(error, OSError) else str(error)
            else:
                self.subjects.append(subject)
        self._ends = np.cumsum([len(self.views[subject]) for subject in self.subjects])
        if len(self) == 0 and not skip_damaged:
            raise DatasetError(
                f"{dataset.root}: no usable view of any subject; run `jiff data face` and check val.txt."
            )

    def _open(self, subject: str) -> None:
        config, views = self.config, usable_views(self.dataset, subject)
        self.views[subject] = np.array(views)
        self.faces[subject] = stored_face(self.dataset, subject)
        self.stores[subject] = ImageStore(self.dataset, subject, views, config.load_size, config.cache)
        if config.stage == "shape":
            self.labels[subject] = label_pool(self.dataset, subject, config.labels)
        else:
            self.colors[subject] = ColorPool(self.dataset, subject, views, config.colors, config.cache)
        if config.stage == "color_fine":
            self.stores_hi[subject] = ImageStore(
                self.dataset, subject, views, config.load_size_fine, config.cache
            )

    def cache_entries(self) -> list[Path]:
        """Return the files and folders in CACHE that the items are read from."""
        entries: list[Path] = []
        for subject in self.subjects:
            entries += [array.path.parent for array in list(self.faces[subject].maps.values())[:1]]
            if subject in self.labels:
                points = self.labels[subject].points_world
                entries += [points.path.parent] if isinstance(points, MappedArray) else []
            if subject in self.colors:
                entries += self.colors[subject].cache_entries
            stores = (self.stores.get(subject), self.stores_hi.get(subject))
            entries += [store.cache_entry for store in stores if store is not None and store.cache_entry]
        return entries

    def without_augmentation(self) -> TrainingSet:
        """Return the same items, unchanged and drawn the same in every epoch."""
        plain = copy.copy(self)
        plain.train = False
        return plain

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def data_fingerprint(self) -> str:
        """Return 16 hex digits that differ when subjects, views, or the sizes of scans or face files do."""
        digest = hashlib.blake2b(digest_size=8)
        for subject in self.subjects:
            digest.update(f"{subject}:{','.join(self.views[subject])};".encode())
            for path in (
                self.dataset.geometry(subject),
                self.dataset.face_mesh(subject),
                self.dataset.face_region(subject),
            ):
                # No times of change: a copied set is the same set.
                digest.update(f"{path.stat().st_size if path.is_file() else -1};".encode())
        return digest.hexdigest()

    def name_of(self, index: int) -> tuple[str, str]:
        """Return subject and view of an item."""
        number = int(np.searchsorted(self._ends, index, side="right"))
        subject = self.subjects[number]
        views = self.views[subject]
        return subject, str(views[index - (int(self._ends[number]) - len(views))])

    def camera(self, subject: str, view: str) -> Camera:
        """Return the plain camera of a view at the network's image size."""
        param = read_param(self.dataset.param(subject, view))
        return Camera.from_param(param).with_size(self.config.load_size)

    def __getitem__(self, pair: tuple[int, int]) -> Sample:
        """Return the item of an (epoch, number) pair.

        An item whose files are damaged is passed over for another one, drawn from the pair; ``Sample.failures`` tells.

        Raises:
            TrainingError: many items in a row are damaged.
        """
        epoch, index = pair
        rng = np.random.default_rng([self.config.seed, epoch if self.train else 0, index, int(self.train)])
        failures: list[str] = []
        while True:
            try:
                return self._item(index, rng, tuple(failures))
            except (ImageError, InputError) as error:
                failures.append(str(error))
            if len(failures) >= _ATTEMPTS:
                raise TrainingError(
                    f"{_ATTEMPTS} items in a row cannot be read, the last because {failures[-1]}"
                )
            # Any item but this one.
            index = (index + 1 + int(rng.integers(max(1, len(self) - 1)))) % len(self)

    def _item(self, index: int, rng: np.random.Generator, failures: tuple[str, ...]) -> Sample:
        subject, view = self.name_of(index)
        images, images_hi, calibs = [], [], []
        for name in self._item_views(subject, view, rng):
            camera = self.camera(subject, name)
            if self.train:
                camera = draw_camera(self.config.augment, camera, rng)
            color_seed = rng.integers(2**63)
            images.append(self._image(self.stores[subject], name, camera, color_seed))
            calibs.append(camera.calib.astype(np.float32))
            if subject in self.stores_hi:
                large = camera.with_size(self.config.load_size_fine)
                images_hi.append(self._image(self.stores_hi[subject], name, large, color_seed))
        points, targets = self._points(subject, view, rng)
        yaw = parse_view_name(view)[0]
        return Sample(
            subject,
            view,
            torch.from_numpy(np.stack(images)),
            torch.from_numpy(np.stack(images_hi)) if images_hi else None,
            torch.from_numpy(np.stack(calibs)),
            torch.from_numpy(points),
            torch.from_numpy(targets),
            self._face(subject, rng),
            float(yaw),
            failures,
        )

    def _face(self, subject: str, rng: np.random.Generator) -> FaceData:
        face, count = self.faces[subject].read(), self.config.num_face_vertices
        if self.train and self.config.prior_jitter_cm:
            face = jittered(face, self.config.prior_jitter_cm, rng)
        if not self.train or not 0 < count < len(face.vertices_world):
            return face
        kept = rng.permutation(len(face.vertices_world))[:count]
        return FaceData(face.vertices_world[kept], face.colors[kept], face.box_world)

    def _item_views(self, subject: str, view: str, rng: np.random.Generator) -> list[str]:
        count = self.config.num_views
        if count == 1:
            return [view]
        views = [str(name) for name in self.views[subject]]
        start = views.index(view)
        if self.config.random_multiview:
            # A subject with a single usable view shows it several times, as an even spread does.
            others = [v for v in views if v != view] or [view]
            picked = rng.choice(len(others), size=count - 1, replace=len(others) < count - 1)
            return [view, *(others[i] for i in picked)]
        return [views[(start + len(views) // count * step) % len(views)] for step in range(count)]

    def _image(
        self, store: ImageStore, view: str, camera: Camera, color_seed: np.integer | int
    ) -> NDArray[np.float32]:
        rgba = warp_image(store.get(view), camera)
        rgb = rgba[..., :3]
        if self.train and self.config.augment.changes_colors:
            # The small and the large image of a view take the same change.
            draw = np.random.default_rng(int(color_seed))
            scale = camera.size / self.config.load_size
            rgb = jitter_colors(np.ascontiguousarray(rgb), self.config.augment, draw, scale)
        return network_image(rgb, rgba[..., 3])

    def _points(
        self, subject: str, view: str, rng: np.random.Generator
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        config = self.config
        face_count = config.num_sample_face if config.face else 0
        if config.stage != "shape":
            return self.colors[subject].sample(rng, view, config.num_sample_color, face_count, config.sigma)
        pool = self.labels[subject]
        points, labels = pool.sample(
            rng,
            config.num_sample_inout,
            inside=config.inside_part,
            fine=config.fine_part,
            volume=config.volume_part,
        )
        if face_count:
            face_points, face_labels = pool.sample_face(rng, face_count)
            points, labels = np.concatenate([points, face_points]), np.concatenate([labels, face_labels])
        return points, labels
