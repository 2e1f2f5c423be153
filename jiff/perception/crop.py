"""A turned square of a photo: what a network is shown, and how its answers come back to the photo."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class Crop:
    """A square window of a photo.

    Attributes:
        center_px: (x, y) of its middle, continuous photo pixels.
        side_px: its side, photo pixels.
        angle_rad: turn of its x axis away from the photo's, towards the photo's y axis (clockwise as seen).
    """

    center_px: tuple[float, float]
    side_px: float
    angle_rad: float = 0.0

    @staticmethod
    def around(left: float, top: float, right: float, bottom: float, factor: float = 1.25) -> Crop:
        """Return the upright square around a box, ``factor`` times as large as its longer side."""
        side = factor * max(right - left, bottom - top, 1.0)
        return Crop(((left + right) / 2, (top + bottom) / 2), side)

    def photo_to_crop(self, size: int) -> NDArray[np.float64]:
        """Return the [2, 3] map from continuous photo pixels to those of a picture of ``size`` x ``size``."""
        c, s = math.cos(self.angle_rad), math.sin(self.angle_rad)
        linear = np.array([[c, s], [-s, c]]) * (size / self.side_px)
        return np.concatenate([linear, (size / 2 - linear @ np.array(self.center_px))[:, None]], axis=1)

    def to_photo(self, points: ArrayLike, size: int) -> NDArray[np.float64]:
        """Return points [N, 2] of a picture of ``size`` in continuous photo pixels."""
        points = np.asarray(points, dtype=np.float64)
        matrix = self.photo_to_crop(size)
        return np.asarray((points - matrix[:, 2]) @ np.linalg.inv(matrix[:, :2]).T)

    def take(self, image: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
        """Return the window [size, size, C] of an image [H, W, C]; outside the photo it is black."""
        import cv2

        matrix = self.photo_to_crop(size)
        height, width = image.shape[:2]
        corners = self.to_photo([[0, 0], [size, 0], [0, size], [size, size]], size)
        low = np.clip(np.floor(corners.min(0)).astype(int) - 2, 0, [width, height])
        high = np.clip(np.ceil(corners.max(0)).astype(int) + 2, 0, [width, height])
        if (high - low).min() <= 0:
            return np.zeros((size, size, *image.shape[2:]), np.uint8)
        part = np.ascontiguousarray(image[low[1] : high[1], low[0] : high[0]])
        matrix[:, 2] += matrix[:, :2] @ low
        scale = size / self.side_px
        if scale < 0.8:
            # Averaging first: sampling a large photo sparsely would alias.
            small = np.maximum(np.rint((high - low) * scale), 1).astype(int)
            size_small = (int(small[0]), int(small[1]))
            part = np.asarray(cv2.resize(part, size_small, interpolation=cv2.INTER_AREA), dtype=np.uint8)
            matrix[:, :2] = matrix[:, :2] * ((high - low) / small)
        # OpenCV counts pixels from their centres, continuous pixels from the corner.
        matrix[:, 2] += 0.5 * matrix[:, :2].sum(axis=1) - 0.5
        flags = cv2.INTER_CUBIC if scale > 1.5 else cv2.INTER_LINEAR
        return np.asarray(cv2.warpAffine(part, matrix, (size, size), flags=flags), dtype=np.uint8)

    def paste(self, values: NDArray[Any], shape: tuple[int, int]) -> NDArray[np.float32]:
        """Return values [S, S] of the window at their places in a photo of ``shape`` (height, width), 0 elsewhere."""
        import cv2

        size = values.shape[0]
        matrix = self.photo_to_crop(size)
        matrix[:, 2] += 0.5 * matrix[:, :2].sum(axis=1) - 0.5
        placed = cv2.warpAffine(
            values.astype(np.float32),
            matrix,
            (shape[1], shape[0]),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        )
        return np.asarray(placed, dtype=np.float32)
