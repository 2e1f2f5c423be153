"""Texture sampling: bilinear within a level, linear between levels of a box-filtered pyramid, repeating edges."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


def bilinear(image: NDArray[np.uint8], uv: ArrayLike) -> NDArray[np.float32]:
    """Sample ``image`` at texture coordinates, bilinear, repeating outside [0, 1].

    Args:
        image: [H, W, C] uint8, row 0 is v = 1.
        uv: [N, 2] (u right, v up); the first texel's centre is u = 0.5 / W.

    Returns:
        [N, C] float32 in [0, 1].
    """
    height, width = image.shape[:2]
    uv = np.asarray(uv)
    x = uv[:, 0] * width - 0.5
    y = (1.0 - uv[:, 1]) * height - 0.5
    x_low, y_low = np.floor(x), np.floor(y)
    fx = (x - x_low).astype(np.float32)[:, None]
    fy = (y - y_low).astype(np.float32)[:, None]
    x0 = x_low.astype(np.int64) % width
    y0 = y_low.astype(np.int64) % height
    x1 = np.where(x0 + 1 == width, 0, x0 + 1)
    y1 = np.where(y0 + 1 == height, 0, y0 + 1)
    flat = image.reshape(height * width, -1)
    top = flat[y0 * width + x0] * (1 - fx) + flat[y0 * width + x1] * fx
    bottom = flat[y1 * width + x0] * (1 - fx) + flat[y1 * width + x1] * fx
    mixed: NDArray[np.float32] = (top * (1 - fy) + bottom * fy) / np.float32(255)
    return mixed


class MipTexture:
    """A texture with its pyramid, so that an 8192-px texture does not shimmer in a 512-px image.

    Attributes:
        levels: images [H, W, C] uint8, each half the size of the one before.
    """

    def __init__(self, image: NDArray[np.uint8]) -> None:
        """Build the pyramid of ``image`` [H, W, C] uint8 by area averages."""
        import cv2

        self.levels: list[NDArray[np.uint8]] = [image]
        while min(self.levels[-1].shape[:2]) > 1:
            height, width = self.levels[-1].shape[:2]
            half = cv2.resize(
                self.levels[-1], (max(1, width // 2), max(1, height // 2)), interpolation=cv2.INTER_AREA
            )
            self.levels.append(np.asarray(half, np.uint8).reshape(half.shape[0], half.shape[1], -1))

    def sample(self, uv: ArrayLike, level: ArrayLike) -> NDArray[np.float32]:
        """Sample at [N, 2] ``uv`` and [N] (or one) fractional ``level`` (0 = full size); [N, C] in [0, 1]."""
        uv = np.asarray(uv)
        wanted = np.clip(np.broadcast_to(np.asarray(level, np.float32), len(uv)), 0, len(self.levels) - 1)
        lower = np.minimum(wanted.astype(np.int64), len(self.levels) - 1)
        upper_weight = wanted - lower
        out = np.empty((len(uv), self.levels[0].shape[2]), np.float32)
        for index in np.unique(lower):
            chosen = np.flatnonzero(lower == index)
            value = bilinear(self.levels[index], uv[chosen])
            weight = upper_weight[chosen, None]
            if index + 1 < len(self.levels) and weight.any():
                value += weight * (bilinear(self.levels[index + 1], uv[chosen]) - value)
            out[chosen] = value
        return out


def texture_levels(
    triangles_world: NDArray[np.float64],
    triangles_uv: NDArray[np.float64],
    texture_size: tuple[int, int],
    pixel_world: float,
) -> NDArray[np.float32]:
    """Return [F] pyramid levels at which a texel is as wide as a pixel on each triangle, seen face on.

    Obliqueness is left out on purpose: it would blur the uncompressed direction; samples deal with the other.

    Args:
        triangles_world: [F, 3, 3] corners.
        triangles_uv: [F, 3, 2] texture coordinates of the corners.
        texture_size: (height, width) of level 0.
        pixel_world: width of a pixel (of a sample's share of it) in world units.
    """
    edge = triangles_world[:, 1:] - triangles_world[:, :1]
    area_world = np.linalg.norm(np.cross(edge[:, 0], edge[:, 1]), axis=1)
    side = (triangles_uv[:, 1:] - triangles_uv[:, :1]) * np.array([texture_size[1], texture_size[0]])
    area_texel = np.abs(side[:, 0, 0] * side[:, 1, 1] - side[:, 0, 1] * side[:, 1, 0])
    ratio = area_texel / np.maximum(area_world, 1e-20) * pixel_world**2
    return (0.5 * np.log2(np.maximum(ratio, 1.0))).astype(np.float32)
