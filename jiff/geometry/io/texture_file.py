"""Read texture images: whole or not at all, within a sane size, 8-bit RGB."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jiff.base.errors import ImageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

DECODER_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    struct.error,
    zlib.error,
    MemoryError,
    IndexError,
)
"""What Pillow's decoders raise on damaged files."""


def rgb_of(image: Any) -> NDArray[np.uint8]:
    """Return [H, W, 3] uint8 of a Pillow image of any mode; alpha is dropped, 16 bits become 8."""
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        values = np.asarray(image).astype(np.float64)
        values = values / 257.0 if values.max(initial=0) > 255 else values
        gray = np.clip(np.rint(values), 0, 255).astype(np.uint8)
        return np.repeat(gray[..., None], 3, axis=2)
    return np.array(image.convert("RGB"))


def alpha_of(source: Any) -> NDArray[np.uint8] | None:
    """Return the [H, W] alpha of an image that ``decode_texture`` can read (path or file object), None without one."""
    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Image.open(source) as image:
            if not image.has_transparency_data:
                return None
            return np.array(image.convert("RGBA"))[..., 3]


def decode_texture(blob: bytes, name: str) -> NDArray[np.uint8]:
    """Return the [H, W, 3] RGB of an encoded image; EXIF turns do not apply to textures.

    Raises:
        ImageError: truncated, unknown, or above the 179 megapixels where Pillow stops; the message starts with ``name``.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(blob)) as image:
                image.load()
                return rgb_of(image)
    except Image.DecompressionBombError as error:
        raise ImageError(f"{name}: claims far too many pixels; scale the texture down to 8192.") from error
    except UnidentifiedImageError as error:
        raise ImageError(f"{name}: is not an image; export the texture again as JPEG or PNG.") from error
    except DECODER_ERRORS as error:
        raise ImageError(
            f"{name}: is not an image that can be decoded ({error}); export the texture again as JPEG or PNG."
        ) from error


def load_texture(path: Path | str) -> NDArray[np.uint8]:
    """Return the [H, W, 3] RGB of an image file.

    Raises:
        ImageError: missing or unreadable.
    """
    try:
        blob = Path(path).read_bytes()
    except OSError as error:
        raise ImageError(
            f"{path}: the texture cannot be read ({error.strerror}); put it back beside its MTL file."
        ) from error
    return decode_texture(blob, str(path))
