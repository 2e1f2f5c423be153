"""Cut hair and lash cards along their alpha: what is transparent is no surface."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_DEPTH = 7
"""Halvings of a triangle's edges: pieces down to 1/128 of a card."""
_MOST_PIECES = 2_000_000


def surface_area(positions: NDArray[np.float64], corners: NDArray[np.int64]) -> float:
    """Return the area of triangles [F, 3] of vertices [V, 3 or more]."""
    a, b, c = (positions[corners[:, k], :3] for k in range(3))
    return float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2)


def _covered(
    corners_uv: NDArray[np.float64], sums: NDArray[np.int64], size: tuple[int, int]
) -> NDArray[np.float64]:
    """Return [F] the opaque share of the texels in the box round each triangle, and whether the box is one texel."""
    height, width = size
    shifted = corners_uv - np.floor(corners_uv.min(axis=1, keepdims=True) + 1e-9)
    x = np.clip(shifted[..., 0] * width, 0, 2 * width - 1e-6)
    y = np.clip((2.0 - shifted[..., 1]) * height, 0, 2 * height - 1e-6)
    left, right = np.floor(x.min(axis=1)).astype(np.int64), np.floor(x.max(axis=1)).astype(np.int64) + 1
    top, low = np.floor(y.min(axis=1)).astype(np.int64), np.floor(y.max(axis=1)).astype(np.int64) + 1
    inside = sums[low, right] - sums[top, right] - sums[low, left] + sums[top, left]
    return np.asarray(inside / ((right - left) * (low - top)))


def cut_by_alpha(
    positions: NDArray[np.float64],
    corners: NDArray[np.int64],
    corners_uv: NDArray[np.float64],
    alpha: NDArray[np.uint8],
    cutoff: float,
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]:
    """Remove what is transparent: whole triangles where they are, parts of triangles by halving them where they are mixed.

    Args:
        positions: [V, K] attributes of vertices, the position first.
        corners: [F, 3].
        corners_uv: [F, 3, 2], v up; coordinates outside [0, 1] repeat.
        alpha: [H, W].
        cutoff: in [0, 1]; below it is transparent.

    Returns:
        positions [V', K], corners [F', 3], corners_uv [F', 3, 2], and [F'] the face that each comes from. Triangles that
        are opaque all over stay as they are.
    """
    opaque = np.tile(alpha >= max(cutoff * 255.0, 1.0), (2, 2))
    sums = np.zeros((opaque.shape[0] + 1, opaque.shape[1] + 1), np.int64)
    np.cumsum(np.cumsum(opaque, axis=0, dtype=np.int64), axis=1, out=sums[1:, 1:])
    size = (alpha.shape[0], alpha.shape[1])
    origin = np.arange(len(corners))
    kept: list[tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]] = []
    for depth in range(_DEPTH + 1):
        share = _covered(corners_uv, sums, size)
        last = depth == _DEPTH or 4 * len(corners) > _MOST_PIECES
        whole = share >= (0.5 if last else 1.0)
        kept.append((corners[whole], corners_uv[whole], origin[whole]))
        mixed = np.zeros(len(share), bool) if last else (share > 0) & ~whole
        if not mixed.any():
            break
        corners, corners_uv, origin = corners[mixed], corners_uv[mixed], np.repeat(origin[mixed], 4)
        # Neighbours share their middles, so that pieces stay joined.
        edges = np.sort(corners[:, [[0, 1], [1, 2], [2, 0]]], axis=2).reshape(-1, 2)
        unique, inverse = np.unique(edges, axis=0, return_inverse=True)
        middle = (inverse.ravel() + len(positions)).reshape(-1, 3)
        positions = np.concatenate([positions, positions[unique].mean(axis=1)])
        a, b, c = corners.T
        ab, bc, ca = middle.T
        half = (corners_uv + np.roll(corners_uv, -1, axis=1)) / 2
        corners = np.stack(
            [np.stack(t, axis=1) for t in ((a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca))], axis=1
        ).reshape(-1, 3)
        corners_uv = np.stack(
            [
                np.stack([corners_uv[:, 0], half[:, 0], half[:, 2]], axis=1),
                np.stack([half[:, 0], corners_uv[:, 1], half[:, 1]], axis=1),
                np.stack([half[:, 2], half[:, 1], corners_uv[:, 2]], axis=1),
                np.stack([half[:, 0], half[:, 1], half[:, 2]], axis=1),
            ],
            axis=1,
        ).reshape(-1, 3, 2)
    return (
        positions,
        np.concatenate([row[0] for row in kept]),
        np.concatenate([row[1] for row in kept]),
        np.concatenate([row[2] for row in kept]),
    )
