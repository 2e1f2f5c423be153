"""Folds of garments: where cloth creases round joints and waist."""

from __future__ import annotations

import numpy as np

from jiff.synthetic.cloth import waves
from jiff.synthetic.spec import Garment
from jiff.synthetic.template import Template


def garment_folds(
    garment: Garment, template: Template, points: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Return (V,) metres of folds of a garment, at least 0."""
    part, limb = template.part, template.limb
    arm, leg = (part == 2) | (part == 3), (part == 4) | (part == 5)
    count = 7

    def family(main: np.ndarray, spread: float, low: float, high: float) -> np.ndarray:
        directions = main + rng.normal(0, spread, (count, 3))
        return waves(points, directions, rng.uniform(low, high, count), rng)

    across_leg = family(np.array([0.0, 1.0, 0.0]), 0.45, 0.035, 0.075)
    joint = np.exp(-(((limb - 1.0) / 0.16) ** 2)) + 0.8 * np.exp(
        -(((limb - (garment.leg or garment.sleeve)) / 0.22) ** 2)
    )
    crease = across_leg * (0.3 + 1.1 * joint)
    sleeves = family(np.array([0.6, -0.7, 0.3]), 0.4, 0.03, 0.06) * (0.4 + 1.0 * joint)
    mirrored = points * [-1.0, 1.0, 1.0]
    right_sleeves = waves(
        mirrored,
        np.array([0.6, -0.7, 0.3]) + rng.normal(0, 0.4, (count, 3)),
        rng.uniform(0.03, 0.06, count),
        rng,
    ) * (0.4 + 1.0 * joint)
    diagonal = family(np.array([0.6, 0.8, 0.2]), 0.7, 0.06, 0.13)
    side = np.clip(np.abs(points[:, 0]) / 0.14, 0.2, 1)
    waist = (
        np.exp(-(((points[:, 1] - 0.3) / 0.12) ** 2)) + np.exp(-(((points[:, 1] - 0.6) / 0.08) ** 2)) * side
    )
    trunk = diagonal * (0.35 + 0.75 * waist)
    total = np.where(leg, crease, np.where(part == 2, sleeves, np.where(part == 3, right_sleeves, trunk)))
    near = np.where(arm, np.clip(limb / 0.3, 0, 1), np.where(leg, np.clip((limb + 0.1) / 0.25, 0, 1), 1.0))
    return garment.fold_m * np.maximum(total * (0.4 + 0.6 * near) + 0.25, 0)
