"""Training images at network size: decoded once into memory-mapped arrays, or on demand where these grow too large."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from jiff.base.errors import ImageError
from jiff.base.files import atomic_path
from jiff.data.cache_clean import drop_superseded
from jiff.data.mapped import MappedArray
from jiff.data.mesh_cache import fingerprint
from jiff.data.set_images import decode_image

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jiff.data.layout import ProcessedSet

_VERSION = 1


def view_sources(dataset: ProcessedSet, subject: str, view: str, size: int) -> tuple[Path, Path]:
    """Return the files that image and mask of a view are read from at a size."""
    if size > 512 and dataset.render_hi(subject, view).is_file():
        return dataset.render_hi(subject, view), dataset.mask_hi(subject, view)
    return dataset.render(subject, view), dataset.mask(subject, view)


def decode_view(dataset: ProcessedSet, subject: str, view: str, size: int) -> NDArray[np.uint8]:
    """Return [size, size, 4] RGB and mask of a view.

    Sizes above 512 are read from RENDER_1024 and MASK_1024 where the set has them.

    Raises:
        ImageError: missing, damaged, not square, of different sizes, or an empty mask.
    """
    import cv2

    image_path, mask_path = view_sources(dataset, subject, view, size)
    bgr, mask = decode_image(image_path, cv2.IMREAD_COLOR), decode_image(mask_path, cv2.IMREAD_GRAYSCALE)
    if bgr.shape[:2] != mask.shape or mask.shape[0] != mask.shape[1]:
        raise ImageError(
            f"{mask_path}: is {mask.shape[1]} x {mask.shape[0]} pixels where its image is {bgr.shape[1]} x "
            f"{bgr.shape[0]}, and both must be square; run `jiff data render` again."
        )
    if not mask.any():
        raise ImageError(f"{mask_path}: the mask is empty; run `jiff data render` again for this view.")
    rgba = np.dstack([bgr[..., ::-1], mask])
    if rgba.shape[0] != size:
        # As evaluation does (jiff.photo.images.resize_image): area averaging when shrinking, cubic when growing.
        method = cv2.INTER_AREA if rgba.shape[0] > size else cv2.INTER_CUBIC
        rgba = cv2.resize(rgba, (size, size), interpolation=method)  # type: ignore[assignment]
    return np.ascontiguousarray(rgba)


class ImageStore:
    """The views of one subject at one size.

    Attributes:
        views: names, in the order of the array.
    """

    def __init__(
        self, dataset: ProcessedSet, subject: str, views: Sequence[str], size: int, cache: bool
    ) -> None:
        """Open the store; decodes everything first when ``cache`` is set and the arrays are missing or outdated."""
        self._dataset, self._subject, self._size = dataset, subject, size
        self.views = tuple(views)
        self._index = {view: i for i, view in enumerate(self.views)}
        self._array: MappedArray | None = None
        if cache:
            path = self._path()
            if not path.is_file():
                self._build(path)
            self._array = MappedArray(path)

    def _path(self) -> Path:
        files = [p for v in self.views for p in view_sources(self._dataset, self._subject, v, self._size)]
        key = fingerprint(files, _VERSION, self._size)
        return self._dataset.cache(self._subject) / f"images_{self._size}_{key}.npy"

    def _build(self, path: Path) -> None:
        shape = (len(self.views), self._size, self._size, 4)
        with atomic_path(path) as temporary:
            array = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.uint8, shape=shape)
            for index, view in enumerate(self.views):
                try:
                    array[index] = decode_view(self._dataset, self._subject, view, self._size)
                except ImageError:
                    # Left black: ``get`` decodes it again and raises when the view is asked for.
                    continue
            array.flush()
        drop_superseded(self._dataset, path)

    @property
    def cache_entry(self) -> Path | None:
        """Its file in CACHE, None where images are decoded on demand."""
        return None if self._array is None else self._array.path

    def get(self, view: str) -> NDArray[np.uint8]:
        """Return [size, size, 4] RGB and mask of a view.

        Raises:
            ImageError: the view's files are damaged.
        """
        if self._array is not None:
            image = self._array[self._index[view]]
            if image[..., 3].any():
                return image
        return decode_view(self._dataset, self._subject, view, self._size)


def cached_bytes(num_views: int, size: int) -> int:
    """Return how much disk (and page cache) the decoded views take."""
    return num_views * size * size * 4
