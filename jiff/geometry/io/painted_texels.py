"""Colours of vertices multiplied into the texture beneath them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_EVEN = 4 / 255
"""Triangles whose corners differ by less are painted in one colour."""
_HALVINGS = 6
_SHIFT = 4
_DISAGREE = 0.1


def paint_factor(
    corners_uv: NDArray[np.float64], corner_colors: NDArray[np.float64], size: tuple[int, int]
) -> tuple[NDArray[np.float32], float]:
    """Return the factor [H, W, 3] of every texel, and the share of faces that share texels with others of another colour.

    Args:
        corners_uv: [F, 3, 2], v up; moved to the unit square by whole repeats.
        corner_colors: [F, 3, 3] linear factors in [0, 1].
        size: height and width of the texture.
    """
    from scipy.ndimage import distance_transform_edt

    height, width = size
    uv = corners_uv - np.floor(corners_uv.min(axis=1, keepdims=True) + 1e-9)
    xy = np.stack([uv[..., 0] * width, (1.0 - uv[..., 1]) * height], axis=-1) - 0.5
    colors = corner_colors
    done: list[tuple[NDArray[np.float64], NDArray[np.float64]]] = []
    for step in range(_HALVINGS + 1):
        even = np.ptp(colors, axis=1).max(axis=1) < _EVEN
        even |= np.ptp(xy, axis=1).max(axis=1) < 1.5
        if step == _HALVINGS:
            even[:] = True
        done.append((xy[even], colors[even].mean(axis=1)))
        xy, colors = _quartered(xy[~even]), _quartered(colors[~even])
    factor = np.ones((height, width, 3), np.float32)
    drawn = np.zeros((height, width), np.uint8)
    for triangles, values in done:
        points = np.rint(triangles * (1 << _SHIFT)).astype(np.int32)
        for triangle, value in zip(points, values.tolist()):
            cv2.fillConvexPoly(factor, triangle, value, cv2.LINE_8, _SHIFT)
            cv2.fillConvexPoly(drawn, triangle, (1,), cv2.LINE_8, _SHIFT)
    if drawn.any():
        row, column = distance_transform_edt(drawn == 0, return_distances=False, return_indices=True)
        factor = factor[row, column]
    middle = uv.mean(axis=1)
    x = np.clip((middle[:, 0] * width).astype(np.int64), 0, width - 1)
    y = np.clip(((1.0 - middle[:, 1]) * height).astype(np.int64), 0, height - 1)
    apart = np.abs(factor[y, x] - corner_colors.mean(axis=1)).max(axis=1)
    return factor, float((apart > _DISAGREE).mean())


def _quartered(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return [4 F, 3, K] the four quarters of triangles [F, 3, K]."""
    half = (values + np.roll(values, -1, axis=1)) / 2
    a, b, c = values[:, 0], values[:, 1], values[:, 2]
    ab, bc, ca = half[:, 0], half[:, 1], half[:, 2]
    return np.concatenate(
        [np.stack(corners, axis=1) for corners in ((a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca))]
    )
