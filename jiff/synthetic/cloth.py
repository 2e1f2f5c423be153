"""How cloth lies over a body: clear of it, bridging hollows, with folds."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from jiff.geometry.normals import area_weighted_normals


def smoothed_normals(
    vertices: np.ndarray, faces: np.ndarray, mean: sparse.csr_matrix, steps: int, share: float
) -> np.ndarray:
    """Return (V, 3) unit normals that do not follow every wrinkle.

    Args:
        vertices: (V, 3).
        faces: (F, 3).
        mean: see ``averaging``.
        steps: how often they are averaged.
        share: of the neighbours in each average.
    """
    normals = area_weighted_normals(vertices, faces)
    for _ in range(steps):
        normals = (1 - share) * normals + share * (mean @ normals)
    return np.asarray(normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9))


def drape(
    under: np.ndarray,
    normals: np.ndarray,
    offset: np.ndarray,
    clearance: float,
    mean: sparse.csr_matrix,
    free: np.ndarray,
    smoothing: int,
) -> np.ndarray:
    """Lay cloth over ``under``.

    Args:
        under: (V, 3) what lies below, metres.
        normals: (V, 3) its unit normals.
        offset: (V,) metres the cloth hangs off before smoothing.
        clearance: least distance kept along the normals, metres.
        mean: see ``averaging``.
        free: (V,) bool, vertices that smoothing may move.
        smoothing: number of averaging steps; more of them bridge wider hollows.
    """
    cloth = under + normals * offset[:, None]
    rows = np.flatnonzero(free)
    part = mean[rows]
    for step in range(smoothing):
        # Only along the normals: sliding along the surface would fray hem lines.
        change = np.einsum("ij,ij->i", part @ cloth - cloth[rows], normals[rows])
        cloth[rows] += normals[rows] * (0.8 * change)[:, None]
        if step % 4 == 3 or step == smoothing - 1:
            short = clearance - np.einsum("ij,ij->i", cloth[rows] - under[rows], normals[rows])
            cloth[rows] += normals[rows] * np.maximum(short, 0)[:, None]
    return cloth


def waves(
    points: np.ndarray,
    directions: np.ndarray,
    wavelengths: np.ndarray,
    rng: np.random.Generator,
    sharpness: float = 2.0,
    warp: float = 0.6,
) -> np.ndarray:
    """Return (N,) a sum of crests in [-1, 1] roughly, one family of parallel folds per direction.

    Args:
        points: (N, 3) metres.
        directions: (K, 3) across the folds.
        wavelengths: (K,) metres between folds.
        rng: phases.
        sharpness: above 1 gives narrow ridges and wide valleys.
        warp: radians by which one family bends the next.
    """
    total = np.zeros(len(points))
    bend = np.zeros(len(points))
    unit = directions / np.linalg.norm(directions, axis=1, keepdims=True)
    for direction, wavelength in zip(unit, wavelengths):
        phase = points @ (direction * (2 * np.pi / wavelength)) + rng.uniform(0, 2 * np.pi) + warp * bend
        bend = np.sin(phase)
        total += (0.5 + 0.5 * bend) ** sharpness - 0.35
    return total / np.sqrt(len(unit))
