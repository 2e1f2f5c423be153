"""Colours of cloth from coordinates along the garment, in metres."""

from __future__ import annotations

import numpy as np

from jiff.synthetic.spec import Cloth

_TILE = 256


def _tile(cloth: Cloth) -> np.ndarray:
    """Return a (256, 256, 3) float32 repeat of the pattern (rows: down the garment)."""
    import cv2

    rng = np.random.default_rng(cloth.print_seed)
    colors = np.array(cloth.colors, dtype=np.float32)
    tile = np.broadcast_to(colors[0], (_TILE, _TILE, 3)).copy()
    share = int(_TILE * rng.uniform(0.25, 0.5))
    if cloth.pattern == "stripes":
        tile[:share] = colors[1]
        if rng.random() < 0.4:
            tile[share + 20 : share + 44] = colors[2]
    elif cloth.pattern == "pinstripes":
        tile[:, : _TILE // 6] = colors[1]
    elif cloth.pattern == "checks":
        for axis in (0, 1):
            band = np.zeros(_TILE, dtype=np.float32)
            band[:share] = 0.55
            band[share + 30 : share + 48] = 0.8
            weight = band[:, None, None] if axis == 0 else band[None, :, None]
            tile = tile * (1 - weight) + colors[1 + axis % 2] * weight
    elif cloth.pattern == "dots":
        y, x = np.mgrid[:_TILE, :_TILE]
        radius = _TILE * rng.uniform(0.16, 0.26)
        for cx, cy in ((0.25, 0.25), (0.75, 0.75)):
            near = np.hypot(x - cx * _TILE, y - cy * _TILE) < radius
            tile[near] = colors[1]
    elif cloth.pattern == "print":
        for k in range(14):
            color = [float(c) for c in colors[1 + k % 2]]
            center = [int(c) for c in rng.integers(40, _TILE - 40, 2)]
            axes = [int(c) for c in rng.integers(8, 34, 2)]
            cv2.ellipse(tile, center, axes, float(rng.uniform(0, 180)), 0, 360, color, -1, cv2.LINE_AA)
    elif cloth.pattern == "denim":
        noise = rng.normal(0, 1, (_TILE, _TILE)).astype(np.float32)
        slanted = np.mean([np.roll(noise, (k, k), (0, 1)) for k in range(5)], axis=0)
        tile = tile * (1 + 0.16 * slanted[..., None])
    if cloth.pattern not in ("denim", "plain"):
        tile = cv2.GaussianBlur(tile, (3, 3), 0.7)
    weave = rng.normal(0, 0.022, (_TILE, _TILE, 1)).astype(np.float32)
    return np.clip(tile * (1 + weave), 0, 1).astype(np.float32)


def cloth_color(cloth: Cloth, across: np.ndarray, down: np.ndarray) -> np.ndarray:
    """Return (N, 3) float32 colours.

    Args:
        cloth: what it is made of.
        across, down: (N,) metres round and along the garment.
    """
    tile = _tile(cloth)
    scale = cloth.scale if cloth.pattern not in ("plain", "denim") else 0.12
    x = np.mod((across * (_TILE / scale)).astype(np.int32), _TILE)
    y = np.mod((down * (_TILE / scale)).astype(np.int32), _TILE)
    return tile[y, x]
