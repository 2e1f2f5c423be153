"""Images of a processed set: whole or not at all, and within a sane size."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from jiff.base.errors import ImageError
from jiff.geometry.io.texture_file import DECODER_ERRORS

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_PIXELS = 1 << 26
"""Above the largest that `jiff data render` draws (8192 x 8192 at most): a small file may claim more than the memory holds."""


def _check_size(path: Path, width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise ImageError(
            f"{path}: claims {width} x {height} pixels, more than the {MAX_PIXELS // 1_000_000} megapixels that images of a "
            "set may have; delete it and run `jiff data render` again."
        )


def decode_image(path: Path, flags: int) -> NDArray[np.uint8]:
    """Return the pixels of a JPEG or PNG as ``cv2.imdecode`` gives them.

    Args:
        path: the file.
        flags: of ``cv2.imdecode``.

    Raises:
        ImageError: missing, damaged or unreasonably large.
    """
    import cv2
    from PIL import Image

    try:
        blob = np.fromfile(path, dtype=np.uint8)
    except FileNotFoundError as error:
        raise ImageError(f"{path}: no such file; run `jiff data render` again for this subject.") from error
    except OSError as error:
        raise ImageError(f"{path}: cannot be read ({error.strerror}); check the disk.") from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(blob.tobytes())) as header:
                _check_size(path, *header.size)
        image = cv2.imdecode(blob, flags)
    except Image.DecompressionBombError as error:
        raise ImageError(
            f"{path}: claims far too many pixels; delete it and run `jiff data render` again."
        ) from error
    except (*DECODER_ERRORS, cv2.error) as error:
        raise ImageError(f"{path}: is damaged; delete it and run `jiff data render` again.") from error
    if image is None:
        raise ImageError(f"{path}: is damaged; delete it and run `jiff data render` again.")
    return image  # type: ignore[return-value]


def read_uv_positions(path: Path) -> NDArray[np.float32]:
    """Return the [H, W, 3] world positions of texels from ``UV_POS``.

    Raises:
        ImageError: missing, damaged or unreasonably large.
    """
    import pyexr

    if not path.is_file():
        raise ImageError(f"{path}: no such file; run `jiff data render` again for this subject.")
    try:
        with pyexr.open(str(path)) as file:
            _check_size(path, int(file.width), int(file.height))
            values = np.asarray(file.get(), dtype=np.float32)
    except ImageError:
        raise
    except Exception as error:
        # OpenEXR raises plain exceptions of several kinds.
        raise ImageError(f"{path}: is damaged; delete it and run `jiff data render` again.") from error
    if values.ndim != 3 or values.shape[2] < 3:
        raise ImageError(f"{path}: does not hold three channels; delete it and run `jiff data render` again.")
    return values[..., :3]
