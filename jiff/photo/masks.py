"""Masks as people have them: of any picture format, faint, as class numbers, with a palette; white is the person."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from jiff.base.errors import ImageError
from jiff.geometry.io.texture_file import DECODER_ERRORS
from jiff.photo.images import IMAGE_SUFFIXES, gray_of, read_image

if TYPE_CHECKING:
    from numpy.typing import NDArray

MASK_TAG = "_mask"
MASK_THRESHOLD = 128
_MOST_LABELS = 16
"""More values than this are soft edges, not class numbers."""
_INVERTED_BORDER = 0.9
"""Part of the border that is white in a mask whose person is black; a person touches less of it."""
_FAINTEST = 8


def border_distance_px(inside: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return [H, W] how far each pixel of a mask lies from its border, positive inside, pixels."""
    import cv2

    within = cv2.distanceTransform(inside.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
    without = cv2.distanceTransform((~inside).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
    return np.asarray(within - without, np.float32)


def is_mask_of(path: Path, photo: Path) -> bool:
    """Tell whether a file is named as the mask of a photo, in any letter case and picture format."""
    return path.suffix.lower() in IMAGE_SUFFIXES and path.stem.lower() == f"{photo.stem}{MASK_TAG}".lower()


def mask_file(photo: Path) -> Path | None:
    """Return the mask beside a photo: ``<name>_mask.png``, else of another format or letter case; None without one."""
    exact = photo.with_name(f"{photo.stem}{MASK_TAG}.png")
    if exact.is_file():
        return exact
    if not photo.parent.is_dir():
        return None
    return next(
        (path for path in sorted(photo.parent.iterdir()) if path.is_file() and is_mask_of(path, photo)), None
    )


def stretched(mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a faint soft mask [H, W] stretched so that its greatest value is 255; one without background as it is."""
    most = int(mask.max(initial=0))
    if most in (0, 255) or 2 * int(mask.min(initial=255)) > most:
        return mask
    return np.rint(mask.astype(np.float32) * (255.0 / most)).astype(np.uint8)


def _labels(path: Path) -> NDArray[np.uint8] | None:
    """Return the [H, W] indices of a picture with a coloured palette, None of others."""
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path) as image:
                palette = image.getpalette() if image.mode == "P" else None
                if palette is None:
                    return None
                colors = np.array(palette[: len(palette) // 3 * 3]).reshape(-1, 3)
                if (colors == colors[:, :1]).all():
                    return None
                return np.array(image, dtype=np.uint8)
    except DECODER_ERRORS:
        # ``read_image`` says what is wrong.
        return None


def _person_of(path: Path, labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the mask of the only class there is besides 0.

    Raises:
        ImageError: there are several.
    """
    classes = [int(value) for value in np.unique(labels) if value]
    if len(classes) > 1:
        listed = ", ".join(map(str, classes[:8]))
        raise ImageError(
            f"{path}: holds class numbers ({listed}), of which any may be the person; save the person alone, white on black."
        )
    return np.where(labels > 0, 255, 0).astype(np.uint8)


def read_mask(path: Path | str, size: tuple[int, int] | None = None) -> NDArray[np.uint8]:
    """Read a person mask.

    Args:
        path: image file; white (or opaque) is the person. Masks of 0 and 1, of a single class number, with a palette, and faint
            ones are understood.
        size: (height, width) of the image it belongs to, None to accept any.

    Returns:
        [H, W] uint8, 0 outside, 255 inside, soft edges kept.

    Raises:
        ImageError: unreadable, of another size than its image, empty, inverted, or of several classes.
    """
    path = Path(path)
    image = read_image(path)
    labels = _labels(path)
    if labels is not None and labels.shape == image.shape[:2]:
        mask = _person_of(path, labels)
    else:
        mask = gray_of(image)
        if 0 < mask.max() < MASK_THRESHOLD and len(np.unique(mask)) <= _MOST_LABELS:
            mask = _person_of(path, mask)
        elif _FAINTEST <= mask.max() < MASK_THRESHOLD:
            mask = stretched(mask)
    if size is not None and mask.shape != tuple(size):
        raise ImageError(
            f"{path}: the mask is {mask.shape[1]} x {mask.shape[0]} pixels but its image is {size[1]} x {size[0]};"
            " make them the same size."
        )
    inside = mask >= MASK_THRESHOLD
    if not inside.any():
        raise ImageError(f"{path}: the mask is empty; paint the person white on black.")
    border = np.concatenate([inside[0], inside[-1], inside[:, 0], inside[:, -1]])
    if border.mean() > _INVERTED_BORDER and not inside.all():
        raise ImageError(f"{path}: the mask is inverted, white outside the person; turn it over.")
    return mask


def nearest_pixels(wanted: NDArray[np.bool_]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return [S, S] distances to the nearest wanted pixel, and row * S + column of it."""
    import cv2

    away, label = cv2.distanceTransformWithLabels(
        (~wanted).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    # Labels number the wanted pixels from 1 in some order of OpenCV's own.
    owner = np.zeros(int(label.max()) + 1, np.int64)
    owner[label[wanted]] = np.flatnonzero(wanted)
    return np.asarray(away, np.float32), owner[label]
