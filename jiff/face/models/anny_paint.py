"""Plausible colours for the free face model: skin, brows, lips, eyes, and how they vary."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

SKIN = np.array([0.74, 0.56, 0.47])
LIPS = np.array([0.66, 0.38, 0.36])
BROWS = np.array([0.26, 0.19, 0.15])
SCLERA = np.array([0.86, 0.84, 0.82])
IRIS = np.array([0.33, 0.23, 0.15])


def _distance_to_line(points: NDArray[np.float64], line: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return [N] distance of points [N, 2] to a polyline [M, 2]."""
    best = np.full(len(points), np.inf)
    for start, end in itertools.pairwise(line):
        axis = end - start
        t = np.clip((points - start) @ axis / max(float(axis @ axis), 1e-12), 0, 1)
        best = np.minimum(best, np.linalg.norm(points - start - t[:, None] * axis, axis=1))
    return best


def _inside(points: NDArray[np.float64], polygon: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return [N] whether points [N, 2] lie in a polygon [M, 2] (even-odd rule)."""
    x, y = points.T
    inside = np.zeros(len(points), dtype=bool)
    for (x0, y0), (x1, y1) in zip(polygon, np.roll(polygon, -1, axis=0)):
        crosses = (y0 > y) != (y1 > y)
        if y0 != y1:
            inside ^= crosses & (x < (x1 - x0) * (y - y0) / (y1 - y0) + x0)
    return inside


def paint_face(
    vertices: NDArray[np.float64], marks: NDArray[np.float64], eyeball: NDArray[np.bool_]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return texture mean [V, 3] and basis [5, V, 3], RGB in [0, 1].

    The basis: skin tone, skin redness, lip redness, darkness of the brows, colour of the eyes.

    Args:
        vertices: [V, 3] neutral face, world units.
        marks: [68, 3] its landmarks.
        eyeball: [V] which vertices belong to the eyes.
    """
    flat = vertices[:, :2]
    lips = _inside(flat, marks[48:60, :2]) & (vertices[:, 2] > marks[48, 2] - 1.0) & ~eyeball
    brow = np.zeros(len(vertices))
    for part in (slice(17, 22), slice(22, 27)):
        near = _distance_to_line(flat, marks[part, :2])
        brow = np.maximum(brow, np.clip(1.5 - near / 0.32, 0, 1) * (vertices[:, 2] > 0))
    colors = np.repeat(SKIN[None], len(vertices), axis=0)
    cheeks = np.zeros(len(vertices))
    for side in (marks[[36, 48]].mean(0), marks[[45, 54]].mean(0)):
        cheeks = np.maximum(cheeks, np.exp(-(((flat - side[:2]) / 1.8) ** 2).sum(1)))
    colors += cheeks[:, None] * np.array([0.03, -0.02, -0.02])
    colors += lips[:, None] * (LIPS - colors)
    colors += (0.85 * brow)[:, None] * (BROWS - colors)
    iris = np.zeros(len(vertices))
    for part in (slice(36, 42), slice(42, 48)):
        center = marks[part].mean(0)
        ball = eyeball & (np.abs(vertices[:, 0] - center[0]) < 2.5)
        radius = np.linalg.norm(flat[ball] - center[:2], axis=1)
        iris[ball] = np.clip((0.72 - radius) / 0.12, 0, 1)
    colors[eyeball] = SCLERA
    colors += iris[:, None] * (IRIS - colors)
    skin = (~eyeball)[:, None] * (1 - brow)[:, None]
    basis = np.stack(
        [
            skin * np.array([0.16, 0.16, 0.15]),
            skin * np.array([0.04, -0.02, -0.03]),
            lips[:, None] * np.array([0.05, -0.06, -0.05]),
            brow[:, None] * np.array([-0.12, -0.1, -0.08]),
            iris[:, None] * np.array([-0.06, 0.1, 0.2]),
        ]
    )
    return np.clip(colors, 0, 1).astype(np.float32), basis.astype(np.float32)
