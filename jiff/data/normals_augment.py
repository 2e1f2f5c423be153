"""Random changes of a photo whose normals are known: from drawn people under soft light to whatever users photograph.

What has no part in the shape - lamps, shadows, patterns, tones, worn masks - is drawn anew each time, so that only the shape is
left to learn from. Pictures are [H, W, 3] float32 in [0, 1] here, normals [H, W, 3] of length one, masks [H, W] in [0, 1].
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from jiff.base.errors import DatasetError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Picture = NDArray[np.float32]

_SURE = 0.9
"""Of the mask, where a crop's middle may lie."""
_LOG_SCALE = (-0.25, 0.35)
_HIGHLIGHT = 0.3
"""Part of the lamps with a highlight."""
_VALLEYS = 0.7
"""Part of the lamps that leave valleys in the shade."""
_STEEPEST = 0.25
"""Change of the normals from pixel to pixel beyond which it is an outline, not a valley."""
_PATCH = 0.5
"""Part of a picture's side over which a pattern comes and goes."""


@dataclass(frozen=True, eq=False)
class Shown:
    """A photo, the normals of what it shows (0 where it shows nobody) and where that is."""

    rgb: Picture
    normals: Picture
    mask: Picture


def unit(normals: NDArray[Any]) -> Picture:
    """Return vectors [..., 3] brought to length one; those that are nearly nothing become 0."""
    length = np.linalg.norm(normals, axis=-1, keepdims=True)
    return np.where(length > 1e-3, normals / np.maximum(length, 1e-3), 0).astype(np.float32)


def smooth_noise(size: int, pixels: float, rng: np.random.Generator) -> Picture:
    """Return [size, size] noise of deviation about one that changes over so many pixels."""
    cells = max(2, int(size / pixels))
    coarse = rng.normal(size=(cells, cells)).astype(np.float32)
    return np.asarray(cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC), np.float32)


def cropped(shown: Shown, size: int, rng: np.random.Generator) -> Shown:
    """Return a square of ``size`` pixels somewhere on the person, drawn larger or smaller than in the photo.

    Raises:
        DatasetError: the photo shows nobody.
    """
    scale = float(np.exp(rng.uniform(*_LOG_SCALE)))
    height, width = shown.mask.shape
    shape = max(8, int(width * scale)), max(8, int(height * scale))
    finer = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    around = size // 2
    sides = ((around, around), (around, around))
    rgb = np.pad(cv2.resize(shown.rgb, shape, interpolation=finer), (*sides, (0, 0)), mode="edge")
    normals = np.pad(cv2.resize(shown.normals, shape, interpolation=cv2.INTER_LINEAR), (*sides, (0, 0)))
    mask = np.pad(cv2.resize(shown.mask, shape, interpolation=cv2.INTER_LINEAR), sides)
    rows, columns = np.nonzero(mask > _SURE)
    if len(rows) == 0:
        raise DatasetError("a photo shows nobody")
    at, reach = int(rng.integers(len(rows))), size // 4
    top, left = (
        int(np.clip(middle - around + rng.integers(-reach, reach + 1), 0, side - size))
        for middle, side in zip((rows[at], columns[at]), mask.shape)
    )
    window = slice(top, top + size), slice(left, left + size)
    return Shown(
        np.asarray(rgb[window], np.float32), unit(normals[window]), np.asarray(mask[window], np.float32)
    )


def mirrored(shown: Shown) -> Shown:
    """Return the photo of the mirrored person: left and right, and x of the normals, changed over."""
    flipped = Shown(*(np.ascontiguousarray(item[:, ::-1]) for item in (shown.rgb, shown.normals, shown.mask)))
    flipped.normals[..., 0] *= -1
    return flipped


def lamp_light(normals: Picture, direction: NDArray[np.floating], ambient: float) -> Picture:
    """Return [H, W] the light of a lamp in ``direction`` (length one) and of what is all around, in [ambient, 1]."""
    return np.asarray(ambient + (1 - ambient) * np.maximum(normals @ direction, 0), np.float32)


def valley_shade(shown: Shown, width: float, strength: float) -> Picture:
    """Return [H, W] what less light falls into valleys than onto ridges: below one where normals lean towards each other.

    Args:
        shown: the photo.
        width: over which valleys are looked at, pixels.
        strength: of the shade.
    """
    across = cv2.Sobel(shown.normals[..., 0], cv2.CV_32F, 1, 0, ksize=3) / 8
    down = -cv2.Sobel(shown.normals[..., 1], cv2.CV_32F, 0, 1, ksize=3) / 8
    bulge = np.clip(across + down, -_STEEPEST, _STEEPEST) * (shown.mask > 0.95)
    bulge = cv2.GaussianBlur(bulge, (0, 0), width) * np.sqrt(width)
    return np.asarray(np.exp(strength * np.clip(bulge, -0.15, 0.04)), np.float32)


def lit(shown: Shown, rng: np.random.Generator) -> Picture:
    """Return the photo under a further lamp, about as bright as before: the light of drawn people is soft."""
    direction = rng.normal(size=3)
    direction[2] = abs(direction[2]) * rng.uniform(0.1, 1.5)
    direction /= np.linalg.norm(direction)
    light = lamp_light(shown.normals, direction, float(rng.uniform(0.1, 0.9)))
    if rng.random() < _VALLEYS:
        width = float(np.exp(rng.uniform(*np.log((0.7, 4.0)))))
        light = light * valley_shade(shown, width, float(rng.uniform(2, 14)))
    there = shown.mask > 0.5
    mean = float(light[there].mean()) if there.any() else 1.0
    rgb = shown.rgb * np.where(there, light / max(mean, 0.05), 1)[..., None]
    if rng.random() < _HIGHLIGHT:
        # Halfway between the lamp and the camera, as Blinn (SIGGRAPH 1977) has it.
        halfway = direction + [0, 0, 1]
        shine = np.maximum(shown.normals @ (halfway / np.linalg.norm(halfway)), 0) ** rng.uniform(8, 40)
        rgb = rgb + rng.uniform(0.05, 0.35) * shine[..., None]
    return np.asarray(rgb, np.float32)


def patterned(rgb: Picture, rng: np.random.Generator) -> Picture:
    """Return the picture with stripes, spots or checks of one colour laid over about half of it."""
    size = rgb.shape[0]
    y, x = np.mgrid[:size, :size]
    kind = int(rng.integers(3))
    if kind == 0:
        angle, period = rng.uniform(0, np.pi), rng.uniform(5, 30)
        along = np.cos(angle) * x + np.sin(angle) * y
        pattern = np.sin(along * 2 * np.pi / period) > rng.uniform(-0.5, 0.8)
    elif kind == 1:
        pattern = smooth_noise(size, rng.uniform(4, 20), rng) > rng.uniform(-0.5, 1)
    else:
        period = rng.uniform(6, 25)
        pattern = (np.sin(x * 2 * np.pi / period) > 0.3) | (np.sin(y * 2 * np.pi / period) > 0.3)
    soft = cv2.GaussianBlur(pattern.astype(np.float32), (0, 0), 0.7)[..., None]
    where = smooth_noise(size, size * _PATCH, rng) > rng.uniform(-1, 0.5)
    return np.asarray(rgb * (1 + soft * where[..., None] * (rng.uniform(0.2, 1.8, 3) - 1)), np.float32)


def shadowed(rgb: Picture, rng: np.random.Generator) -> Picture:
    """Return the picture with shadows cast over it, sharp or soft."""
    noise = smooth_noise(rgb.shape[0], rng.uniform(30, 140), rng)
    softness = rng.uniform(0.05, 0.6)
    shade = 1 / (1 + np.exp(-(noise - rng.uniform(-0.3, 1.2)) / softness))
    return np.asarray(rgb * (1 - rng.uniform(0.2, 0.7) * shade[..., None]), np.float32)


def photographed(rgb: Picture, strength: float, rng: np.random.Generator) -> Picture:
    """Return the picture as another camera takes it: contrast, exposure, hue, blur, noise; 0 leaves it as it is."""
    rgb = np.maximum(rgb, 0) ** np.exp(strength * rng.uniform(-0.5, 0.4))
    rgb = rgb * np.exp(strength * (rng.uniform(-0.5, 0.4) + rng.normal(0, 0.06, 3)))
    rgb = np.clip(rgb, 0, 1)
    if rng.random() < 0.3 * strength:
        rgb = np.asarray(cv2.GaussianBlur(rgb, (0, 0), rng.uniform(0.4, 1.4)), np.float32)
    return np.asarray(rgb + rng.normal(0, strength * rng.uniform(0, 0.015), rgb.shape), np.float32)


def rough_mask(mask: Picture, rng: np.random.Generator) -> Picture:
    """Return the mask as networks find it: its border soft, somewhat inside or outside of the true one."""
    soft = np.asarray(cv2.GaussianBlur(mask, (0, 0), rng.uniform(0.5, 2.5))) - 0.5
    return np.asarray(np.clip(soft * rng.uniform(2, 8) + rng.uniform(0.3, 0.7), 0, 1), np.float32)
