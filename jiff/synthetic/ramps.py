"""Passages from nothing to everything."""

from __future__ import annotations

import numpy as np


def smoothstep(x: np.ndarray) -> np.ndarray:
    """Return 0 below 0, 1 above 1, and a passage without kinks between."""
    x = np.clip(x, 0, 1)
    return np.asarray(x * x * (3 - 2 * x))
