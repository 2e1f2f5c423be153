"""The outline of a person in a photo, by which a surface is bounded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from jiff.geometry.camera import Camera
from jiff.photo.masks import border_distance_px
from jiff.render.photo_projection import sample_pixels

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SIDE = 1024
_SPECK = 0.002
"""Holes of the mask smaller than this part of the person are of the mask, not of the person."""


class Outline:
    """Signed distances to the border of a mask in the picture's plane.

    Args:
        mask: [S, S] uint8 of the canonical camera, 128 at the border.
    """

    def __init__(self, mask: NDArray[np.uint8]) -> None:
        size = mask.shape[0]
        if size < _SIDE:
            mask = np.asarray(cv2.resize(mask, (_SIDE, _SIDE), interpolation=cv2.INTER_CUBIC), np.uint8)
        self.camera = Camera(size=mask.shape[0])
        inside = _without_specks(mask >= 128)
        unit = 2 * self.camera.half_width_world / self.camera.size
        self._signed = (border_distance_px(inside) * unit).astype(np.float32)

    def inside(self, size: int) -> NDArray[np.bool_]:
        """Return [size, size] whether pixels of the canonical view are the person's."""
        small = cv2.resize(self._signed, (size, size), interpolation=cv2.INTER_AREA)
        return np.asarray(small > 0)

    def distance(self, points_world: NDArray[np.floating]) -> NDArray[np.float32]:
        """Return [N] distances of points [N, 3] to the border as seen, positive inside, world units."""
        return sample_pixels(self._signed, self.camera.world_to_pixel(points_world))[:, 0]


def _without_specks(inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return a mask whose small holes are filled."""
    least = _SPECK * float(inside.sum())
    count, labels, stats, _ = cv2.connectedComponentsWithStats((~inside).astype(np.uint8), connectivity=4)
    small = stats[:, cv2.CC_STAT_AREA] < least
    small[0] = False
    return np.asarray(inside | small[labels] if count > 1 else inside)
