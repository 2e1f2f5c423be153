"""Coloured surface points of a scan, from its UV maps; colours take the lighting of the very view that is shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jiff.base.errors import DatasetError, ImageError
from jiff.base.files import atomic_path
from jiff.data.cache_clean import drop_superseded
from jiff.data.face_data import face_box_corners
from jiff.data.labels import subject_seed
from jiff.data.mapped import MappedArray
from jiff.data.mesh_cache import cached_maps, fingerprint
from jiff.data.set_images import decode_image, read_uv_positions

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jiff.data.layout import ProcessedSet

_VERSION = 1


@dataclass(frozen=True)
class ColorPoolConfig:
    """What a pool of surface points holds.

    Attributes:
        points: surface points (texels), at most.
        face: further points in the face box, at most.
        seed: together with the subject's name it decides the choice.
    """

    points: int = 60_000
    face: int = 20_000
    seed: int = 0


@dataclass(frozen=True)
class Texels:
    """Points of the surface, usually memory-mapped; the first ``face`` lie in the face box (all depths), the rest is drawn from everywhere.

    Attributes:
        index: [M] row-major index into the UV maps.
        points_world: [M, 3] float32.
        normals_world: [M, 3] float32, unit length.
        face: how many face points come first.
    """

    index: NDArray[np.int64] | MappedArray
    points_world: NDArray[np.float32] | MappedArray
    normals_world: NDArray[np.float32] | MappedArray
    face: int


class ColorPool:
    """Surface points of a subject and their colours in every view."""

    def __init__(
        self, dataset: ProcessedSet, subject: str, views: Sequence[str], config: ColorPoolConfig, cache: bool
    ) -> None:
        """Open the pool; gathers the colours of all views first when ``cache`` is set and they are missing.

        Raises:
            DatasetError: the set has no UV maps of the subject.
            ImageError: a UV map is damaged.
        """
        self._dataset, self._subject = dataset, subject
        self._index = {view: i for i, view in enumerate(views)}
        self.texels = _texels(dataset, subject, config)
        self._colors: MappedArray | None = None
        if cache:
            files = [dataset.uv_render(subject, view) for view in views]
            key = fingerprint([*files, *_map_files(dataset, subject)], _VERSION, config)
            path = dataset.cache(subject) / f"colors_{key}.npy"
            if not path.is_file():
                self._build(path)
            self._colors = MappedArray(path)

    def _build(self, path: Path) -> None:
        shape = (len(self._index), len(self.texels.index) + 1, 3)
        with atomic_path(path) as temporary:
            array = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.uint8, shape=shape)
            for view, row in self._index.items():
                try:
                    array[row, :-1] = self._decode_colors(view)
                    # The last entry tells a damaged view from a black one.
                    array[row, -1] = 1
                except ImageError:
                    continue
            array.flush()
        drop_superseded(self._dataset, path)

    @property
    def cache_entries(self) -> list[Path]:
        """Its files and folders in CACHE."""
        maps = [array for array in (self.texels.index, self._colors) if isinstance(array, MappedArray)]
        return [array.path if array is self._colors else array.path.parent for array in maps]

    def _decode_colors(self, view: str) -> NDArray[np.uint8]:
        import cv2

        path = self._dataset.uv_render(self._subject, view)
        rgb = decode_image(path, cv2.IMREAD_COLOR)[..., ::-1].reshape(-1, 3)
        index = self.texels.index[...]
        if index.max(initial=0) >= len(rgb):
            raise ImageError(f"{path}: is of another size than the UV maps; run `jiff data render` again.")
        return rgb[index]

    def colors(self, view: str) -> NDArray[np.uint8]:
        """Return the [M, 3] RGB of all points under the lighting of a view.

        Raises:
            ImageError: the view's UV_RENDER is missing or damaged.
        """
        if self._colors is not None:
            row = self._colors[self._index[view]]
            if row[-1, 0]:
                return row[:-1]
        return self._decode_colors(view)

    def sample(
        self, rng: np.random.Generator, view: str, count: int, face_count: int, sigma: float
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Draw surface points, each moved along its normal by N(0, sigma), and their colours in ``view``.

        Args:
            rng: where the draw comes from.
            view: name of the view.
            count: points from the whole surface.
            face_count: further points from the face box (none where there is no face).
            sigma: world units.

        Returns:
            points_world [N, 3] and colours [N, 3] in [-1, 1].
        """
        face = self.texels.face
        index = rng.integers(face, len(self.texels.index), size=count)
        if face and face_count:
            index = np.concatenate([index, rng.integers(0, face, size=face_count)])
        offset = rng.normal(scale=sigma, size=(len(index), 1)).astype(np.float32)
        points = self.texels.points_world[index] + offset * self.texels.normals_world[index]
        return points, self.colors(view)[index].astype(np.float32) * np.float32(2 / 255) - 1


def cached_color_bytes(views: int, config: ColorPoolConfig) -> int:
    """Return how much disk (and page cache) the colours of that many views take at most."""
    return views * (config.points + config.face + 1) * 3


def _map_files(dataset: ProcessedSet, subject: str) -> list[Path]:
    return [
        dataset.uv_mask(subject),
        dataset.uv_normal(subject),
        dataset.uv_pos(subject),
        dataset.face_region(subject),
    ]


def _texels(dataset: ProcessedSet, subject: str, config: ColorPoolConfig) -> Texels:
    files = _map_files(dataset, subject)
    for path in files[:3]:
        if not path.is_file():
            raise DatasetError(
                f"{path}: no such file; colour stages need UV maps, so the scan needs texture coordinates and "
                "`jiff data render` must have run."
            )

    def read() -> dict[str, NDArray[Any]]:
        texels = _read_texels(dataset, subject, config)
        return {
            "index": texels.index[...],
            "points": texels.points_world[...],
            "normals": texels.normals_world[...],
            "face": np.array(texels.face),
        }

    names = ("index", "points", "normals", "face")
    maps = cached_maps(dataset, subject, "texels", fingerprint(files, _VERSION, config), names, read)
    return Texels(maps["index"], maps["points"], maps["normals"], int(maps["face"][...]))


def _read_texels(dataset: ProcessedSet, subject: str, config: ColorPoolConfig) -> Texels:
    import cv2

    mask = decode_image(dataset.uv_mask(subject), cv2.IMREAD_GRAYSCALE) > 127
    normals = decode_image(dataset.uv_normal(subject), cv2.IMREAD_COLOR)[..., ::-1]
    positions = read_uv_positions(dataset.uv_pos(subject))
    if mask.shape != normals.shape[:2] or mask.shape != positions.shape[:2]:
        raise ImageError(f"{dataset.uv_mask(subject)}: UV maps differ in size; run `jiff data render` again.")
    valid = np.flatnonzero(mask)
    if len(valid) == 0:
        raise ImageError(f"{dataset.uv_mask(subject)}: the UV mask is empty; run `jiff data render` again.")
    flat_positions, flat_normals = positions.reshape(-1, 3), normals.reshape(-1, 3)
    rng = np.random.default_rng(subject_seed(config.seed, subject))
    chosen = rng.permutation(valid)[: config.points]
    face = np.zeros(0, dtype=np.int64)
    corners = face_box_corners(dataset, subject)
    if corners is not None:
        points = flat_positions[valid][:, :2]
        # As in the published code, the face box is unbounded in depth.
        within = ((points >= corners[0, :2]) & (points <= corners[1, :2])).all(axis=1)
        face = rng.permutation(valid[within])[: config.face]
    index = np.concatenate([face, chosen]).astype(np.int64)
    direction = flat_normals[index].astype(np.float32) * np.float32(2 / 255) - 1
    direction /= np.maximum(np.linalg.norm(direction, axis=1, keepdims=True), 1e-6)
    return Texels(index, flat_positions[index], direction, len(face))
