"""Colours of an OBJ's vertices: some missing or no numbers, 0 to 255, ZBrush's polypaint."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BRIGHTEST = 1.5


def polypaint(lines: list[tuple[int, str]], vertices: int) -> NDArray[np.float64] | None:
    """Return [V, 3] in 0-255 of ``#MRGB`` lines (MMRRGGBB in hexadecimal, up to 64 vertices a line), None without.

    Vertices beyond the last word are nan, as is a word that is not hexadecimal.
    """
    if not lines:
        return None
    colors = np.full((vertices, 3), np.nan)
    text = "".join(words.replace(" ", "") for _, words in lines)
    for k in range(min(vertices, len(text) // 8)):
        try:
            value = int(text[8 * k + 2 : 8 * k + 8], 16)
        except ValueError:
            continue
        colors[k] = value >> 16, value >> 8 & 255, value & 255
    # Marks the scale even where all is dark.
    return np.asarray(colors / 255.0)


def complete_colors(
    values: NDArray[np.float64], corners: NDArray[np.int64]
) -> tuple[NDArray[np.float64] | None, int]:
    """Return [V, 3] in [0, 1] and how many vertices had none; these take the mean of their neighbours, spreading.

    Args:
        values: [V, 3], nan where there is none; 0-255 is understood.
        corners: [F, 3] triangles along which colours spread; pieces without any colour become white.
    """
    bad = np.asarray(~np.isfinite(values).all(axis=1))
    used = np.zeros(len(values), bool)
    used[corners.ravel()] = True
    count = int((bad & used).sum())
    if not bad.any():
        known = values
    elif bad.all():
        return None, 0
    else:
        known = np.where(bad[:, None], 0.0, values)
    # Some exporters write 0-255 where the convention is 0-1.
    scale = 255.0 if known.max(initial=0.0) > _BRIGHTEST else 1.0
    colors = np.clip(known / scale, 0.0, 1.0)
    if bad.any():
        colors = _spread(colors, ~bad, corners)
    return colors, count


def _spread(
    colors: NDArray[np.float64], known: NDArray[np.bool_], corners: NDArray[np.int64]
) -> NDArray[np.float64]:
    edges = np.concatenate([corners[:, [0, 1]], corners[:, [1, 2]], corners[:, [2, 0]]])
    edges = np.concatenate([edges, edges[:, ::-1]])
    known = known.copy()
    while True:
        reach = edges[known[edges[:, 0]] & ~known[edges[:, 1]]]
        if len(reach) == 0:
            break
        total = np.stack(
            [np.bincount(reach[:, 1], colors[reach[:, 0], k], minlength=len(colors)) for k in range(3)],
            axis=1,
        )
        times = np.bincount(reach[:, 1], minlength=len(colors))
        new = times > 0
        colors[new] = total[new] / times[new, None]
        known |= new
    colors[~known] = 1.0
    return colors
