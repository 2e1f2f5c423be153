"""Colours of the back that cannot be what the front shows there: what a jacket's opening shows, a face behind a head.

Networks colour the back of a pixel much like its front. What lies open in front - a tie, the shirt in a jacket, a face - is seldom
open behind, where the garment of flanks and sleeves and the hair of the crown go on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from jiff.render.photo_projection import ramp

if TYPE_CHECKING:
    from numpy.typing import NDArray

    _Bands = tuple[NDArray[np.float64], NDArray[np.float64]]

_AWAY = (-0.25, 0.05)
"""Cosines between normal and viewing direction from which a point is hidden wholly, and not at all."""
_OTHER, _DARKEST, _OTHER_SPREADS = (0.08, 0.22), 0.1, 1.2
"""Differences, of the brightness and this, from which a colour is, and wholly is, another one; median deviations of a pattern
that count as nothing."""
_SHADE, _SHADE_KEPT = (0.7, 1.45), (0.8, 1.25)
"""Factors between which light makes no other colour; between which it is left on what is mended."""
_TWO = (0.2, 0.45)
"""Such differences from which two colours are, and wholly are, of two garments."""
_TRUNK_LOW, _TRUNK_HIGH, _TRUNK_WIDE = (0.12, 0.2), (0.7, 0.75), (0.18, 0.22)
"""Canonical heights and distance from the middle at which the trunk begins and ends, metres."""
_BEHIND = (0.03, 0.09)
"""Canonical depths between which a trunk's back ends, metres."""
_FLANK, _BAND, _GAP = 0.72, 0.02, 0.05
"""Part of a trunk's half width from which its flank begins; heights of a band, and across which bands speak for others, metres."""
_SLEEVES, _SLEEVE_LOW = ((0.22, 0.36), (0.42, 0.75)), 0.34
"""Canonical box (distance from the middle, height) of upper arms; height down to which what they wear is worn by the trunk."""
_NARROW = 0.05
"""Least half width of a trunk, metres."""
_SHARE = 0.2
"""Part of a band's back that has the sleeves' colour where back and sleeves are of one garment."""
_HEAD_LOW, _HEAD_BEHIND = (0.845, 0.885), (0.0, 0.04)
"""Canonical heights over which hair begins, depths between which it ends at the sides, metres."""
_CROWN, _HAIR_BEHIND = 0.985, 0.92
"""Canonical heights from which there is hair all around, and behind, metres."""
_FEWEST = 8
"""Points that make a colour known."""


@dataclass(frozen=True, eq=False)
class SurfaceColors:
    """Coloured points of a finished surface.

    Attributes:
        rgb: [N, 3] in [0, 1].
        facing: [N] cosines between normals and the direction to the camera.
        place: [N, 3] where the nearest skin lies on the body at rest, metres; x to the side, y up, z to the front.
    """

    rgb: NDArray[np.float32]
    facing: NDArray[np.float32]
    place: NDArray[np.float32]


class HiddenColors:
    """What garments and hair look like behind, by what their sides look like.

    A band of the trunk's back is of the garment that both flanks are of. Where only one is known, or they are of two garments (an
    open jacket's and a shirt's), it is of the sleeves' one if part of it is; else nothing is known.
    """

    def __init__(self, known: SurfaceColors) -> None:
        """Look at coloured points all over a surface."""
        rgb, (x, y, z) = known.rgb, known.place.T
        out = np.abs(x)
        self._bands = np.arange(_TRUNK_LOW[0], _TRUNK_HIGH[1], _BAND)
        trunk = out < _TRUNK_WIDE[0]
        self._half_width = self._by_height(y[trunk], out[trunk, None], 98)[0]
        behind = trunk & (known.facing < _AWAY[1]) & (z < _BEHIND[1])
        flank = behind & (out > _FLANK * self._width(y))
        left, right = (self._by_height(y[rows], rgb[rows]) for rows in (flank & (x < 0), flank & (x > 0)))
        back, spread = (_both(*parts) for parts in zip(left, right))
        two = ramp(np.nan_to_num(_apart(left[0], right[0]), nan=1.0), _TWO)
        (low, high), (least, most) = _SLEEVES
        sleeves = (out > low) & (out < high) & (y > least) & (y < most)
        if sleeves.sum() >= _FEWEST:
            alike = behind & (y > _SLEEVE_LOW)
            alike[alike] = _apart(rgb[alike], np.median(rgb[sleeves], axis=0)) < np.mean(_TWO)
            share = self._by_height(y[behind], alike[behind, None].astype(np.float32), None)[0]
            garment, its_spread = self._by_height(y[alike], rgb[alike])
            worn = (two > 0) & (share[:, 0] > _SHARE) & np.isfinite(garment[:, 0])
            for one, other in zip(back, spread):
                one[worn], other[worn] = garment[worn], its_spread[worn]
            two[worn] = 0
        self._sure = (1 - two) * np.isfinite(back[0][:, 0])
        told = np.flatnonzero(self._sure > 0)
        if len(told):
            # Between bands that tell something and such that do not, the former's colours.
            nearest = told[np.abs(np.arange(len(self._bands))[:, None] - told).argmin(axis=1)]
            back, spread = [one[nearest] for one in back], [one[nearest] for one in spread]
        self._back, self._spread = np.nan_to_num(back), np.nan_to_num(spread).max(axis=2, keepdims=True)
        hair = (y > _CROWN) | ((y > _HAIR_BEHIND) & (z < _HEAD_BEHIND[1]))
        self._hair = np.median(rgb[hair], axis=0) if hair.sum() >= _FEWEST else None

    def __call__(self, at: SurfaceColors) -> NDArray[np.float32]:
        """Return [N, 3] colours of points, those of the back mended."""
        result = np.array(at.rgb, np.float32)
        hidden = 1 - ramp(at.facing, _AWAY)
        x, y, z = at.place.T
        part = (
            hidden * ramp(y, _TRUNK_LOW) * (1 - ramp(y, _TRUNK_HIGH))
            * (1 - ramp(np.abs(x), _TRUNK_WIDE)) * (1 - ramp(z, _BEHIND))
        )  # fmt: skip
        rows = np.flatnonzero(part > 0)
        height = y[rows]
        part = part[rows] * self._at(self._sure[:, None], height)[:, 0]
        right = np.clip(0.5 + 0.5 * x[rows] / self._width(height), 0, 1)[:, None]
        garment, spread = (
            (1 - right) * self._at(one, height) + right * self._at(other, height)
            for one, other in (self._back, self._spread)
        )
        result[rows] = _mended(result[rows], garment, part, spread[:, 0])
        if self._hair is not None:
            part = hidden * ramp(y, _HEAD_LOW) * (1 - ramp(z, _HEAD_BEHIND))
            rows = np.flatnonzero(part > 0)
            result[rows] = _mended(result[rows], self._hair, part[rows], np.zeros(len(rows), np.float32))
        return result

    def _by_height(
        self, height: NDArray[np.floating], values: NDArray[np.floating], percent: float | None = 50
    ) -> _Bands:
        """Return [B, C] percentiles (means without) of values [N, C] in bands, and median deviations; NaN where none is near."""
        order = np.argsort(height)
        height, values = height[order], values[order]
        low, high = (np.searchsorted(height, self._bands + step * _BAND) for step in (-1, 1))
        found = np.flatnonzero(high - low >= _FEWEST)
        middle, spread = (np.full((len(self._bands), values.shape[1]), np.nan) for _ in range(2))
        if len(found) == 0:
            return middle, spread
        for band in found:
            part = values[low[band] : high[band]]
            middle[band] = part.mean(axis=0) if percent is None else np.percentile(part, percent, axis=0)
            spread[band] = np.median(np.abs(part - middle[band]), axis=0)
        near = np.abs(self._bands[:, None] - self._bands[found]).min(axis=1) <= _GAP
        for columns in (middle, spread):
            for column in columns.T:
                column[near] = np.interp(self._bands[near], self._bands[found], column[found])
        return middle, spread

    def _at(self, values: NDArray[np.floating], height: NDArray[np.floating]) -> NDArray[np.float32]:
        columns = [np.interp(height, self._bands, column) for column in values.T]
        return np.stack(columns, axis=1).astype(np.float32)

    def _width(self, height: NDArray[np.floating]) -> NDArray[np.float32]:
        return np.maximum(self._at(np.nan_to_num(self._half_width), height)[:, 0], _NARROW)


def _both(left: NDArray[np.float64], right: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Return the values of both sides, those of the other one where one's are not known."""
    return [np.where(np.isfinite(left), left, right), np.where(np.isfinite(right), right, left)]


def _apart(one: NDArray[np.floating], other: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return [N] how far colours [N, 3] are from each other, for their brightness."""
    brightness = np.maximum(one, other).max(axis=-1)
    return np.asarray(np.abs(one - other).max(axis=-1) / (_DARKEST + brightness), np.float32)


def _mended(
    rgb: NDArray[np.float32],
    wanted: NDArray[np.floating],
    part: NDArray[np.floating],
    spread: NDArray[np.floating],
) -> NDArray[np.float32]:
    """Return [N, 3] colours, those that are others than wanted replaced where ``part`` is 1."""
    brightness = _DARKEST + wanted.max(axis=-1)
    # A back in the shade is no other garment.
    gain = (rgb.sum(axis=1) + _DARKEST) / (wanted.sum(axis=-1) + _DARKEST)
    shaded = np.clip(gain, *_SHADE)[:, None] * wanted
    off = (np.abs(rgb - shaded).max(axis=-1) - _OTHER_SPREADS * spread) / brightness
    share = (part * ramp(off, _OTHER))[:, None]
    return np.asarray(rgb + share * (np.clip(gain, *_SHADE_KEPT)[:, None] * wanted - rgb), np.float32)
