"""One texture for a mesh that has several, or colours and no texture: atlases by packing, without unwrapping."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

MAX_SIDE = 8192
_GUTTER = 8
# A texture repeated more often than this (a woven pattern) is cut to this many repeats: nothing near is that small.
_MAX_REPEATS = 8
# Side of the square that two triangles share in a colour atlas, in texels: a solid half each, with a border of one.
_CELL = 8


def _pack(sizes: NDArray[np.int64]) -> tuple[NDArray[np.int64], tuple[int, int]]:
    """Place [N, 2] (width, height) rectangles on shelves; return their [N, 2] left-top corners and (width, height)."""
    width = max(int(sizes[:, 0].max()), math.ceil(math.sqrt(float(sizes.prod(1).sum())) / 64) * 64)
    corners = np.zeros_like(sizes)
    x = y = shelf = 0
    for k in np.argsort(-sizes[:, 1], kind="stable"):
        if x + sizes[k, 0] > width:
            x, y, shelf = 0, y + shelf, 0
        corners[k] = x, y
        x, shelf = x + int(sizes[k, 0]), max(shelf, int(sizes[k, 1]))
    return corners, (width, y + shelf)


def _unwrapped(
    corners_uv: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return [F, 3, 2] coordinates moved by whole repeats so that each triangle begins in [0, 1), and [2] repeats."""
    low, high = corners_uv.min(axis=1), corners_uv.max(axis=1)
    outside = ((low < -1e-6) | (high > 1 + 1e-6)).any(axis=1)
    shift = np.where(outside[:, None], np.floor(low + 1e-6), 0.0)
    moved = corners_uv - shift[:, None]
    repeats = np.ceil(moved.reshape(-1, 2).max(axis=0) - 1e-6).astype(np.int64)
    return moved, np.clip(repeats, 1, _MAX_REPEATS)


def merge_textures(
    corners_uv: NDArray[np.float64], group: NDArray[np.int64], images: Sequence[NDArray[np.uint8]]
) -> tuple[NDArray[np.uint8], NDArray[np.float64], NDArray[np.int64]]:
    """Put several textures side by side into one.

    Args:
        corners_uv: [F, 3, 2] texture coordinates, those outside [0, 1] repeat their texture.
        group: [F] index of the texture of each face.
        images: [H, W, 3] uint8 RGB each.

    Returns:
        texture: [H, W, 3], sides at most ``MAX_SIDE`` (all are shrunk alike when they do not fit).
        uv: [T, 2].
        faces_uv: [F, 3].
    """
    import cv2

    moved = np.zeros_like(corners_uv)
    repeats = np.ones((len(images), 2), np.int64)
    wraps = np.zeros(len(images), bool)
    for k in range(len(images)):
        chosen = group == k
        if chosen.any():
            moved[chosen], repeats[k] = _unwrapped(corners_uv[chosen])
            wraps[k] = not np.array_equal(moved[chosen], corners_uv[chosen])
    natural = np.array([image.shape[1::-1] for image in images]) * repeats
    scale = 1.0
    while True:
        sizes = np.maximum(4, np.rint(natural * scale)).astype(np.int64)
        places, (width, height) = _pack(sizes + 2 * _GUTTER)
        if max(width, height) <= MAX_SIDE:
            break
        scale *= 0.95 * MAX_SIDE / max(width, height) if max(width, height) > 1.1 * MAX_SIDE else 0.95
    texture = np.zeros((height, width, 3), np.uint8)
    for k, image in enumerate(images):
        tiled = np.tile(image, (repeats[k, 1], repeats[k, 0], 1))
        if tiled.shape[1::-1] != tuple(sizes[k]):
            tiled = np.asarray(
                cv2.resize(tiled, tuple(sizes[k].tolist()), interpolation=cv2.INTER_AREA), dtype=np.uint8
            )
        mode: Literal["wrap", "edge"] = "wrap" if wraps[k] else "edge"
        padded = np.pad(tiled, ((_GUTTER, _GUTTER), (_GUTTER, _GUTTER), (0, 0)), mode=mode)
        x, y = places[k]
        texture[y : y + padded.shape[0], x : x + padded.shape[1]] = padded
    share = moved / repeats[group][:, None]
    # Rows count downward and v upward: measure v from the bottom of each texture's cell.
    left = places[group][:, None] + np.array([_GUTTER, _GUTTER])
    u = (left[..., 0] + np.clip(share[..., 0], 0, 1) * sizes[group][:, None, 0]) / width
    v = 1.0 - (left[..., 1] + (1.0 - np.clip(share[..., 1], 0, 1)) * sizes[group][:, None, 1]) / height
    return texture, *index_rows(np.stack([u, v], axis=-1))


def index_rows(corners_uv: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the distinct rows of [F, 3, 2] to six decimals (what an OBJ holds), and [F, 3] their numbers."""
    key = np.rint(corners_uv.reshape(-1, 2) * 1e6).astype(np.int64)
    _, first, inverse = np.unique(key[:, 0] * 4_000_000 + key[:, 1], return_index=True, return_inverse=True)
    return corners_uv.reshape(-1, 2)[first], inverse.reshape(-1, 3).astype(np.int64)


def color_atlas(
    corner_colors: NDArray[np.float64],
) -> tuple[NDArray[np.uint8], NDArray[np.float64], NDArray[np.int64]]:
    """Make a texture and coordinates for a mesh that has colours but no texture: two triangles to a square cell.

    A cell's half holds the colours of its triangle, interpolated over the corners and continued one texel beyond, so
    that bilinear look-ups inside the triangle are exact. Larger meshes get smaller cells to stay within ``MAX_SIDE``.

    Args:
        corner_colors: [F, 3, 3] RGB in [0, 1].

    Returns:
        As ``merge_textures``; the coordinates are three per face.
    """
    count = len(corner_colors)
    columns = max(1, math.ceil(math.sqrt(math.ceil(count / 2))))
    cell = int(np.clip(MAX_SIDE // columns, 6, _CELL))
    cell_rows = -(-count // (2 * columns))
    # Corner positions in texel centres; the second triangle is the first turned by half a turn. The leg is so short
    # that no bilinear look-up of one half reaches a texel of the other.
    leg = cell - 5
    first = np.array([[1.0, 1.0], [1.0 + leg, 1.0], [1.0, 1.0 + leg]])
    halves = np.stack([first, (cell - 1) - first])
    row, column = np.mgrid[:cell, :cell]
    upper = (row + column <= cell - 1).astype(np.int64)
    texels = np.stack([column, row], axis=-1).astype(np.float64)
    weights = np.empty((cell, cell, 3))
    for half, inside in ((0, upper == 1), (1, upper == 0)):
        local = (texels[inside] - 1.0) / leg if half == 0 else ((cell - 1) - texels[inside] - 1.0) / leg
        weights[inside] = np.stack([1.0 - local.sum(1), local[:, 0], local[:, 1]], axis=1)
    padded = np.zeros((2 * columns * cell_rows, 3, 3))
    padded[:count] = corner_colors
    pairs = padded.reshape(cell_rows, columns, 2, 3, 3)
    texture = np.empty((cell_rows * cell, columns * cell, 3), np.uint8)
    view = texture.reshape(cell_rows, cell, columns, cell, 3)
    for i in range(cell):
        for j in range(cell):
            value = np.einsum("k,rckd->rcd", weights[i, j], pairs[:, :, 1 - upper[i, j]])
            view[:, i, :, j] = np.rint(np.clip(value, 0, 1) * 255).astype(np.uint8)
    index = np.arange(count)
    origin = np.stack([(index // 2) % columns, index // (2 * columns)], axis=-1) * cell
    pixel = origin[:, None] + halves[index % 2] + 0.5
    uv = np.stack([pixel[..., 0] / texture.shape[1], 1.0 - pixel[..., 1] / texture.shape[0]], axis=-1)
    return texture, uv.reshape(-1, 2), np.arange(3 * count).reshape(-1, 3)
