"""Read photos and masks of any common kind into plain RGB arrays, or say in one sentence why not."""

from __future__ import annotations

import importlib.util
import io
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jiff.base.errors import ImageError
from jiff.base.opencv import silent_opencv
from jiff.geometry.io.texture_file import DECODER_ERRORS

if TYPE_CHECKING:
    from numpy.typing import NDArray

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp")
_HEIF_SUFFIXES = (".heic", ".heif")
MAX_PIXELS = 89_478_485
"""Pillow's own limit (a quarter of a gigabyte at three bytes): above it a small file can fill the memory."""


def photo_suffixes() -> tuple[str, ...]:
    """Return the suffixes of photos that can be read here: AVIF where Pillow was built with it, HEIC with pillow-heif."""
    from PIL import features

    avif = (".avif",) if features.check("avif") else ()
    heif = _HEIF_SUFFIXES if importlib.util.find_spec("pillow_heif") is not None else ()
    return (*IMAGE_SUFFIXES, *avif, *heif)


def _know_heif(path: Path) -> None:
    """Teach Pillow to open HEIC where the optional reader is installed."""
    if path.suffix.lower() in _HEIF_SUFFIXES and importlib.util.find_spec("pillow_heif") is not None:
        import pillow_heif

        pillow_heif.register_heif_opener()


def _check_pixels(path: Path, width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise ImageError(
            f"{path}: claims {width} x {height} pixels, more than the {MAX_PIXELS // 1_000_000} megapixels"
            " that are read; scale it down first."
        )


def _tiff_size(path: Path) -> tuple[int, int]:
    """Return (width, height) from the first directory of a TIFF file."""
    from PIL.TiffImagePlugin import ImageFileDirectory_v2

    with open(path, "rb") as handle, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        directory = ImageFileDirectory_v2(handle.read(8))
        handle.seek(directory.next)
        directory.load(handle)
    return int(directory[256]), int(directory[257])


def _read_deep_tiff(path: Path) -> NDArray[np.uint8] | None:
    """Return [H, W, 3|4] of a TIFF with 16 bits per channel, a kind that Pillow does not decode; None if it is not."""
    import cv2

    if path.suffix.lower() not in (".tif", ".tiff"):
        return None
    try:
        _check_pixels(path, *_tiff_size(path))
    except (*DECODER_ERRORS, KeyError, TypeError):
        return None
    # It would print what libtiff thinks of a damaged file.
    with silent_opencv():
        array = cv2.imdecode(np.fromfile(path, dtype=np.uint8), cv2.IMREAD_UNCHANGED)
    if array is None or array.dtype not in (np.uint8, np.uint16):
        return None
    if array.dtype == np.uint16:
        array = _narrow(array)
    if array.ndim == 2:
        array = np.repeat(array[..., None], 3, axis=2)
    return np.ascontiguousarray(array[..., [2, 1, 0, 3][: array.shape[2]]])


def _narrow(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Map 0..65535 to 0..255 with rounding."""
    return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)


def _has_alpha(image: Any) -> bool:
    return image.mode in ("RGBA", "LA", "La", "RGBa", "PA") or "transparency" in image.info


def _to_array(image: Any) -> NDArray[np.uint8]:
    """Return [H, W, 3|4] uint8 RGB of a Pillow image of any mode."""
    if image.mode.startswith("I") or image.mode == "F":
        values = np.asarray(image)
        if image.mode == "F" or values.min() < 0 or values.max() > 65535:
            raise ValueError(f"pixels of kind {image.mode}")
        gray = _narrow(values) if image.mode != "I" or values.max() > 255 else values.astype(np.uint8)
        return np.repeat(gray[..., None], 3, axis=2)
    return np.array(image.convert("RGBA" if _has_alpha(image) else "RGB"))


def in_srgb(image: Any) -> Any:
    """Return a Pillow image in sRGB where an embedded ICC profile says that it is in another space.

    Phones write Display P3, cameras Adobe RGB; networks have seen sRGB. A profile that cannot be used counts as none.
    """
    from PIL import ImageCms

    blob = image.info.get("icc_profile")
    if not blob or image.mode not in ("RGB", "RGBA", "CMYK"):
        return image
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(blob))
        if "srgb" in ImageCms.getProfileDescription(profile).lower():
            return image
        colors = image.convert("RGB") if image.mode == "RGBA" else image
        converted = ImageCms.profileToProfile(
            colors,
            profile,
            ImageCms.createProfile("sRGB"),
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            outputMode="RGB",
        )
    except (ImageCms.PyCMSError, OSError, ValueError):
        return image
    if converted is None:
        return image
    if image.mode == "RGBA":
        converted.putalpha(image.getchannel("A"))
    return converted


def _upright(image: Any) -> Any:
    """Return the image turned as its EXIF orientation says; a damaged EXIF block counts as none."""
    from PIL import ImageOps

    try:
        return ImageOps.exif_transpose(image)
    except DECODER_ERRORS:
        return image


def read_image(path: Path | str) -> NDArray[np.uint8]:
    """Read an image upright, whatever its colour model or depth.

    EXIF orientation is applied; gray, palette, CMYK and 16-bit images become 8-bit RGB.

    Args:
        path: JPEG, PNG, WebP, TIFF or BMP file with one frame, HEIC and AVIF where they can be read (``photo_suffixes``).

    Returns:
        [H, W, 3] uint8 RGB, or [H, W, 4] with (unmultiplied) alpha when the file has it.

    Raises:
        ImageError: missing, truncated, unknown, animated or unreasonably large file.
    """
    from PIL import Image, UnidentifiedImageError

    path = Path(path)
    if not path.is_file():
        raise ImageError(f"{path}: no such image; check the path.")
    if path.stat().st_size == 0:
        raise ImageError(f"{path}: is an empty file; copy or export the image again.")
    _know_heif(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path) as image:
                _check_pixels(path, *image.size)
                # MPO: a JPEG whose further pictures (a preview, the other eye's view) depend on the first.
                if getattr(image, "n_frames", 1) > 1 and image.format not in ("MPO", "HEIF"):
                    raise ImageError(
                        f"{path}: holds {getattr(image, 'n_frames', 0)} frames; export the one frame to use as PNG or JPEG."
                    )
                image.load()
                return _to_array(in_srgb(_upright(image)))
    except Image.DecompressionBombError as error:
        raise ImageError(f"{path}: claims far too many pixels ({error}); scale it down first.") from error
    except UnidentifiedImageError as error:
        deep = _read_deep_tiff(path)
        if deep is not None:
            return deep
        raise ImageError(
            f"{path}: is not an image that can be decoded; save it as JPEG, PNG, WebP or TIFF."
        ) from error
    except DECODER_ERRORS as error:
        raise ImageError(
            f"{path}: is damaged or of an unusual kind ({error}); copy it again or save it as 8-bit PNG."
        ) from error


def gray_of(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return [H, W] luminance of [H, W, 3|4] RGB, or the alpha where that is not fully opaque."""
    if image.shape[2] == 4 and image[..., 3].min() < 255:
        return np.ascontiguousarray(image[..., 3])
    weights = np.array([299, 587, 114], dtype=np.uint32)
    return ((image[..., :3].astype(np.uint32) @ weights + 500) // 1000).astype(np.uint8)


def resize_image(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Resize [H, W] or [H, W, C] to (height, width): area averaging when shrinking, cubic when growing."""
    import cv2

    if image.shape[:2] == tuple(size):
        return image
    shrinking = size[0] < image.shape[0]
    resized = cv2.resize(
        image, (size[1], size[0]), interpolation=cv2.INTER_AREA if shrinking else cv2.INTER_CUBIC
    )
    return np.asarray(resized, dtype=np.uint8)
