"""Training images at network size: decoded once into memory-mapped arrays, or on demand where these grow too large."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from jiff.base.errors import ImageError
from jiff.base.files import atomic_path
from jiff.data.mapped import MappedArray
from jiff.data.mesh_cache import fingerprint, remove_stale

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jiff.data.layout import ProcessedSet

_VERSION = 1


def decode_image(path: Path, flags: int) -> NDArray[np.uint8]:
    import cv2

    try:
        blob = np.fromfile(path, dtype=np.uint8)
    except FileNotFoundError as error:
        raise ImageError(f"{path}: no such file; run `jiff data render` again for this subject.") from error
    except OSError as error:
        raise ImageError(f"{path}: cannot be read ({error.strerror}); check the disk.") from error
    image = cv2.imdecode(blob, flags) if blob.size else None
    if image is None:
        raise ImageError(f"{path}: is damaged; delete it and run `jiff data render` again.")
    return image  # type: ignore[return-value]


def decode_view(dataset: ProcessedSet, subject: str, view: str, size: int) -> NDArray[np.uint8]:
    """Return [size, size, 4] RGB and mask of a view.

    Sizes above 512 are read from RENDER_1024 and MASK_1024 where the set has them.

    Raises:
        ImageError: missing, damaged, not square, of different sizes, or an empty mask.
    """
    import cv2

    image_path, mask_path = dataset.render(subject, view), dataset.mask(subject, view)
    if size > 512 and dataset.render_hi(subject, view).is_file():
        image_path, mask_path = dataset.render_hi(subject, view), dataset.mask_hi(subject, view)
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
        files = [
            p
            for v in self.views
            for p in (self._dataset.render(self._subject, v), self._dataset.mask(self._subject, v))
        ]
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
        remove_stale(path.parent, f"images_{self._size}_", path)

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
