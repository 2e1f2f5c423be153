"""A synthetic person's body before it is posed: rest vertices of the wanted height."""

from __future__ import annotations

import numpy as np

from jiff.body.anny_body import AnnyBody
from jiff.synthetic.spec import PersonSpec

BASE_VERTICES = 13380


def rest_of_height(body: AnnyBody, spec: PersonSpec) -> tuple[np.ndarray, float, float]:
    """Return rest vertices of the wanted height, the factor the last few per cent took, the height phenotype."""

    def evaluate(height: float) -> np.ndarray:
        return body.rest_vertices(
            {**spec.phenotypes, "height": height}, spec.local_changes, spec.facial_actions
        )

    # Vertices are linear in the height phenotype between its two ends.
    low, high = evaluate(0.15), evaluate(0.85)
    tall = [float(np.ptp(v[:BASE_VERTICES, 1])) for v in (low, high)]
    share = float(np.clip((spec.height_m - tall[0]) / (tall[1] - tall[0]), 0, 1))
    rest = low + (high - low) * np.float32(share)
    factor = spec.height_m / float(np.ptp(rest[:BASE_VERTICES, 1]))
    return rest * np.float32(factor), factor, 0.15 + 0.7 * share


def rest_shape(body: AnnyBody, spec: PersonSpec) -> tuple[np.ndarray, float]:
    """Return rest vertices of the wanted height and the factor that the last few per cent took."""
    return rest_of_height(body, spec)[:2]


def similarity(source: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (3, 3) scaled rotation and (3,) offset that best take (N, 3) ``source`` to ``target`` (Umeyama 1991)."""
    a, b = source - source.mean(axis=0), target - target.mean(axis=0)
    u, s, vt = np.linalg.svd(b.T @ a)
    sign = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
    linear = (u * sign) @ vt * ((s * sign).sum() / (a**2).sum())
    return linear, target.mean(axis=0) - linear @ source.mean(axis=0)
