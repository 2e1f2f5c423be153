"""Colours of glasses, hats, bags and the tails of coats."""

from __future__ import annotations

import numpy as np

from jiff.synthetic import atlas
from jiff.synthetic.paint_cloth import cloth_color
from jiff.synthetic.spec import Bag, Garment, Hat, Worn

_FRONT = 0.75
"""Where the front middle of a skirt lies round its chart."""


def _grid(chart: atlas.Chart, size: int) -> tuple[slice, slice, np.ndarray, np.ndarray]:
    """Return the pixels of a chart, and how far across and down it they lie, in [0, 1]."""
    rows, columns = chart.pixels(size)
    height, width = rows.stop - rows.start, columns.stop - columns.start
    across, down = np.meshgrid((np.arange(width) + 0.5) / width, (np.arange(height) + 0.5) / height)
    return rows, columns, across, down


def _line(distance: np.ndarray, width: float) -> np.ndarray:
    return np.asarray(np.exp(-((distance / width) ** 2)))


def _hat(hat: Hat, across: np.ndarray, down: np.ndarray) -> np.ndarray:
    """Return (H, W, 3): down the chart from the edge of a hat to its top, across it round the head."""
    shape = across.shape
    round_m, up_m = across.ravel() * 0.58, down.ravel() * 0.2
    color = cloth_color(hat.cloth, round_m, up_m).reshape(*shape, 3)
    second = np.array(hat.cloth.colors[1], dtype=np.float32)
    shade = np.ones(shape)
    if hat.kind == "beanie":
        shade -= 0.2 * (0.5 - 0.5 * np.cos(across * 2 * np.pi * 40))
        if hat.cloth.print_seed % 2:
            color = np.where((down < 0.3)[..., None], second, color)
        shade -= 0.35 * _line(down - 0.3, 0.012)
    elif hat.kind == "cap":
        panel = np.abs(np.mod(across * 6 + 0.5, 1) - 0.5) / 6
        shade -= 0.3 * _line(panel, 0.004) * (down > 0.1)
        shade -= 0.25 * _line(down - 0.16, 0.01)
    else:
        # Inside and brim first, then the crown with its band.
        band = (down > 0.43) & (down < 0.53)
        color = np.where(band[..., None], second, color)
    return np.asarray(color * shade[..., None])


def _bag(bag: Bag, across: np.ndarray, down: np.ndarray) -> np.ndarray:
    """Return (H, W, 3): down the bag, across it round; the side away from the body lies at one quarter."""
    color = np.broadcast_to(np.array(bag.color, dtype=np.float32), (*across.shape, 3)).copy()
    shade = np.ones(across.shape)
    away = 4 * (across - 0.25)
    if bag.kind == "backpack":
        box = np.maximum(np.abs(away) / 0.36, np.abs(down - 0.68) / 0.17)
        shade -= 0.5 * _line(box - 1, 0.05) + 0.06 * (box < 1)
        zip_line = np.maximum(np.abs(away) / 0.5, (0.5 - down) / 0.3)
        shade -= 0.45 * _line(zip_line - 1, 0.04) * (down < 0.6)
    else:
        flap = np.maximum(np.abs(away) / 0.47, (down - 0.35) / 0.27)
        shade -= 0.45 * _line(flap - 1, 0.06)
        clasp = (np.abs(away) < 0.05) & (np.abs(down - 0.56) < 0.06)
        color = np.where(clasp[..., None], np.array([0.72, 0.66, 0.5], dtype=np.float32), color)
    return np.asarray(color * shade[..., None])


def _put(picture: np.ndarray, chart: atlas.Chart, color: tuple[float, float, float]) -> None:
    rows, columns = chart.pixels(picture.shape[0])
    picture[rows, columns] = np.array(color, dtype=np.float32)


def paint_worn(worn: Worn, picture: np.ndarray) -> None:
    """Paint what is worn on top of clothes into a (S, S, 3) texture in [0, 1]."""
    size = picture.shape[0]
    if worn.glasses is not None:
        _put(picture, atlas.FRAME, worn.glasses.frame)
        _put(picture, atlas.LENS, worn.glasses.lens or worn.glasses.frame)
    if worn.hat is not None:
        rows, columns, across, down = _grid(atlas.HAT, size)
        picture[rows, columns] = _hat(worn.hat, across, down)
        visor = worn.hat.cloth.colors[worn.hat.cloth.print_seed % 2]
        _put(picture, atlas.VISOR, visor)
    if worn.bag is not None:
        rows, columns, across, down = _grid(atlas.BAG, size)
        picture[rows, columns] = _bag(worn.bag, across, down)
        _put(picture, atlas.STRAP, worn.bag.strap)


def paint_tails(coat: Garment, picture: np.ndarray) -> None:
    """Paint the tails of a coat, its belt, buttons and the edge of its front."""
    rows, columns, across, down = _grid(atlas.SKIRT, picture.shape[0])
    if coat.front is not None:
        # The outer side, then back along the inner one.
        inner = across > 0.5
        round_m, down_m = np.where(inner, 1 - across, across) * 2.1, down * coat.length_m
        color = cloth_color(coat.cloth, round_m.ravel(), down_m.ravel()).reshape(*across.shape, 3)
        edge_m = np.minimum(round_m, 1.05 - round_m)
        shade = np.where(
            inner, 0.62, 1 - 0.22 * _line(edge_m - 0.018, 0.002) - 0.22 * _line(down - 0.96, 0.004)
        )
        picture[rows, columns] = color * shade[..., None]
        return
    round_m, down_m = across * 1.05, (1.15 * down - 0.03) * coat.length_m
    color = cloth_color(coat.cloth, round_m.ravel(), down_m.ravel()).reshape(*across.shape, 3)
    front_m = (across - _FRONT) * 1.05
    shade = 1 - 0.6 * _line(front_m + 0.035, 0.003) - 0.25 * (down > 0.92)
    button = (front_m**2 + (np.mod(down_m, 0.11) - 0.06) ** 2 < 0.009**2) & (down < 0.6)
    belt = down_m < 0.042
    color = np.where(
        belt[..., None], np.array(coat.cloth.colors[1 if coat.cloth.print_seed % 2 else 0]), color
    )
    shade = np.where(belt, 0.6, shade * np.where(button, 0.35, 1.0))
    picture[rows, columns] = color * shade[..., None]
