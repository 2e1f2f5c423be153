"""Closed shells made of stacked rings: skirts, coats' tails, shoes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass
class Shell:
    """A closed triangle mesh laid out on a grid.

    Attributes:
        vertices: (N, 3).
        faces: (M, 3), outward.
        uv: (T, 2) in [0, 1] of the shell's own chart, v up.
        faces_uv: (M, 3).
    """

    vertices: np.ndarray
    faces: np.ndarray
    uv: np.ndarray
    faces_uv: np.ndarray


def hull_radius(points: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """Return (A,) the polar radius about the origin of the convex hull of 2D ``points`` (N, 2) that surround it."""
    directions = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    support = np.maximum((points @ directions.T).max(axis=0), 1e-3)
    cosine = np.cos(angles[:, None] - angles[None, :])
    ratio = np.where(cosine > 0.05, support[None, :] / np.maximum(cosine, 0.05), np.inf)
    return ratio.min(axis=1)


def smooth_rows(values: np.ndarray, steps: int) -> np.ndarray:
    """Return (R, ...) values averaged with the rows above and below, ``steps`` times; the ends stay."""
    values = values.copy()
    for _ in range(steps):
        values[1:-1] = 0.25 * values[:-2] + 0.5 * values[1:-1] + 0.25 * values[2:]
    return values


def smooth_ring(values: np.ndarray, steps: int) -> np.ndarray:
    """Return (R, A) values averaged with their neighbours round the ring, ``steps`` times."""
    for _ in range(steps):
        values = 0.25 * np.roll(values, 1, axis=1) + 0.5 * values + 0.25 * np.roll(values, -1, axis=1)
    return values


def _sewn(columns: int) -> np.ndarray:
    """Return triangles between ring corners k and columns - 1 - k, facing like a fan round the ring."""
    k = np.arange(columns // 2 - 1)
    far, far_next = columns - 1 - k, columns - 2 - k
    return np.concatenate([np.stack([k, k + 1, far_next], axis=1), np.stack([k, far_next, far], axis=1)])


def rings_to_shell(rings: np.ndarray, flat_ends: bool = False) -> Shell:
    """Close a stack of rings with a fan at either end, or sew the two halves of the end rings together.

    Args:
        rings: (R, A, 3); each ring runs so that with the next ring after it the surface faces outward: seen from the last
            ring towards the first, counter-clockwise.
        flat_ends: the first half of a ring lies opposite to its second half, run backwards; sew them at both ends.
    """
    rows, columns = rings.shape[:2]
    vertices = np.concatenate(
        [rings.reshape(-1, 3), rings[0].mean(axis=0)[None], rings[-1].mean(axis=0)[None]]
    )
    r, c = np.meshgrid(np.arange(rows - 1), np.arange(columns), indexing="ij")
    n = (c + 1) % columns
    p00, p01 = r * columns + c, r * columns + n
    p10, p11 = p00 + columns, p01 + columns
    quads = np.stack([p00, p10, p11, p01], axis=-1).reshape(-1, 4)
    top, bottom = rows * columns, rows * columns + 1
    k = np.arange(columns)
    after = (k + 1) % columns
    last = (rows - 1) * columns
    cap_top = np.stack([np.full(columns, top), k, after], axis=1)
    cap_bottom = np.stack([np.full(columns, bottom), last + after, last + k], axis=1)
    if flat_ends:
        sewn = _sewn(columns)
        cap_top, cap_bottom = sewn, sewn[:, ::-1] + last
        vertices = vertices[:-2]
    faces = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]], cap_top, cap_bottom])
    u, v = np.meshgrid(np.arange(columns + 1) / columns, 1 - np.arange(rows) / (rows - 1))
    # Each triangle of a fan has a centre of its own in the chart, else it would run across the whole chart.
    middle = np.stack([(np.arange(columns) + 0.5) / columns, np.ones(columns)], axis=1)
    uv = np.concatenate([np.stack([u, v], axis=-1).reshape(-1, 2), middle, middle * [1, 0]])
    wide = columns + 1
    q00, q01 = r * wide + c, r * wide + c + 1
    uv_quads = np.stack([q00, q00 + wide, q01 + wide, q01], axis=-1).reshape(-1, 4)
    top_uv, bottom_uv = rows * wide, rows * wide + columns
    last_uv = (rows - 1) * wide
    uv_top = np.stack([top_uv + k, k, k + 1], axis=1)
    uv_bottom = np.stack([bottom_uv + k, last_uv + k + 1, last_uv + k], axis=1)
    if flat_ends:
        uv_top, uv_bottom = cap_top, cap_bottom - last + last_uv
    faces_uv = np.concatenate([uv_quads[:, [0, 1, 2]], uv_quads[:, [0, 2, 3]], uv_top, uv_bottom])
    return Shell(vertices, faces, uv, faces_uv)
