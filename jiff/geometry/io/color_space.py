"""Display values and light: the curve of sRGB (IEC 61966-2-1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def srgb_to_linear(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return light intensities of display values, both in [0, 1]."""
    v = np.clip(np.asarray(values, np.float64), 0, 1)
    return np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)


def linear_to_srgb(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return display values of light intensities, the inverse of ``srgb_to_linear``."""
    v = np.clip(np.asarray(values, np.float64), 0, 1)
    return np.where(v <= 0.0031308, v * 12.92, 1.055 * v ** (1 / 2.4) - 0.055)
