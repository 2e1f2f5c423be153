"""Beards: where they grow on the canonical head, how far they stand off the skin, how they look."""

from __future__ import annotations

import numpy as np

from jiff.synthetic.ramps import smoothstep
from jiff.synthetic.spec import Beard

_CHEEK_X = (0.0, 0.026, 0.036, 0.055, 0.068)
_CHEEK_Y = (0.857, 0.855, 0.845, 0.852, 0.898)
"""Upper border of a full beard: height over distance from the middle, canonical metres; at the ears sideburns."""
_THROAT_Y = 0.768
_LIPS = (0.0285, 0.832, 0.0108)
"""Half width, height, half height of the lips, canonical metres."""


def _ramp(value: np.ndarray, over: float) -> np.ndarray:
    return smoothstep(value / over)


def _from_lips(points: np.ndarray) -> np.ndarray:
    """Return (N,) square distance from the middle of the lips, 1 at their border."""
    x, y = points[:, 0], points[:, 1]
    return np.asarray((x / _LIPS[0]) ** 2 + ((y - _LIPS[1]) / _LIPS[2]) ** 2)


def beard_share(beard: Beard, points: np.ndarray) -> np.ndarray:
    """Return (N,) in [0, 1] how much of a beard grows at canonical points (N, 3)."""
    x, y, z = np.abs(points[:, 0]), points[:, 1], points[:, 2]
    share = _ramp(np.interp(x, _CHEEK_X, _CHEEK_Y) - y, 0.009)
    share = share * _ramp(y - _THROAT_Y, 0.02) * _ramp(z - 0.05 - 0.3 * (0.84 - y), 0.02)
    share = share * _ramp(_from_lips(points) - 0.85, 0.5)
    moustache = _ramp(y - 0.833, 0.005) * _ramp(0.037 - x, 0.006)
    if beard.kind == "moustache":
        return np.asarray(share * moustache)
    if beard.kind == "goatee":
        return np.asarray(share * np.maximum(moustache, _ramp(0.034 - x, 0.01)))
    return share


def beard_offset(beard: Beard, points: np.ndarray) -> np.ndarray:
    """Return (N,) metres by which a beard stands off the skin at canonical points (N, 3): most at the chin."""
    chin = 0.35 + 0.65 * _ramp(0.846 - points[:, 1], 0.03)
    tufts = 1 + 0.22 * np.sin(310 * points[:, 0] + 2.0 * np.sin(150 * points[:, 1])) * np.sin(
        170 * points[:, 1] + beard.tufts
    )
    # Long hairs leave the mouth free.
    free = _ramp(_from_lips(points) - 0.9, 0.4 + 140 * beard.length_m)
    return beard_share(beard, points) * chin * tufts * free * beard.length_m


def bearded(
    beard: Beard, skin: np.ndarray, normals: np.ndarray, canonical: np.ndarray, scale: float
) -> np.ndarray:
    """Return (V, 3) bare skin with the beard grown on it, metres.

    Args:
        beard: whose length is that of a head of canonical size.
        skin: (V, 3) posed, metres.
        normals: (V, 3) smoothed: strands stand in one direction, not away from every wrinkle.
        canonical: (V, 3) canonical positions.
        scale: metres per canonical metre.
    """
    return np.asarray(skin + normals * (beard_offset(beard, canonical) * scale)[:, None])


def paint_beard(beard: Beard, points: np.ndarray, color: np.ndarray) -> np.ndarray:
    """Return (N, 3) colours of skin at canonical points (N, 3) with the beard's hairs over ``color``."""
    x, y = points[:, 0], points[:, 1]
    bend = x + 0.15 * np.abs(x) + 0.004 * np.sin(90 * y + beard.tufts)
    hairs = np.sin(2300 * bend + 3 * np.sin(420 * y)) + 0.7 * np.sin(4100 * bend + beard.tufts)
    share = np.clip(beard_share(beard, points) * beard.density * (1 + 0.12 * hairs), 0, 1)[:, None]
    tone = np.clip(np.array(beard.color) * (1 + 0.16 * hairs)[:, None], 0.01, 1)
    return np.asarray(color + share * (tone - color), dtype=color.dtype)
