"""Jackets and coats worn open: where the gap between their front edges runs, how the edges hang, their lapels and shadow."""

from __future__ import annotations

import numpy as np

from jiff.synthetic.ramps import smoothstep
from jiff.synthetic.slices import Shell, rings_to_shell
from jiff.synthetic.spec import Garment, Opening

TAILS_Y = 0.33
"""Canonical height at which the tails of a coat begin, under its belt."""
_CHEST_Y, _NECK_Y = 0.58, 0.69
_NECK_M = 0.1
"""Least width of the gap where it meets the neckline."""
_FAR = 1.0
_EDGE_M = 0.05
_SHADOW_M = 0.012
_OVER_M = 0.003
"""By which the tails of a coat reach over its front edges."""
_CLOTH_M = 0.004
_LAPEL_M = 0.004
_BACK_M = 0.025


def _descent(garment: Garment, y: np.ndarray) -> np.ndarray:
    """Return (N,) 0 at the chest and above, 1 at the lower end of jacket or tails."""
    low = TAILS_Y - garment.length_m if garment.length_m > 0 else garment.hem_y
    return np.clip((_CHEST_Y - y) / (_CHEST_Y - low), 0, 1)


def _gap(garment: Garment, front: Opening, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (N,) the middle and half the width of the gap at canonical heights."""
    down = _descent(garment, y)
    up = smoothstep((y - _CHEST_Y) / (_NECK_Y - _CHEST_Y))
    width = front.chest_m + (front.hem_m - front.chest_m) * down
    width = width + max(_NECK_M - front.chest_m, 0.0) * up
    # A slow bend: free edges hang in no straight line.
    middle = front.shift_m * down + 0.004 * np.sin(9 * y + 200 * front.shift_m) * down
    return middle, 0.5 * width


def gap_field(garment: Garment, front: Opening, points: np.ndarray) -> np.ndarray:
    """Return (N,) how far canonical points lie beside the gap, negative inside it, about metres; large behind.

    Args:
        garment: the jacket.
        front: how it is open.
        points: (N, 3) canonical positions of trunk and legs.
    """
    middle, half = _gap(garment, front, points[:, 1])
    return np.where(points[:, 2] > 0, np.abs(points[:, 0] - middle) - half, _FAR)


def cut_field(garment: Garment, front: Opening, points: np.ndarray) -> np.ndarray:
    """Return (N,) where a jacket's shell ends, as ``gap_field``: under the tails of a coat it draws back behind their edges."""
    beside = gap_field(garment, front, points)
    if garment.length_m <= 0:
        return beside
    return beside - _BACK_M * smoothstep((TAILS_Y - 0.005 - points[:, 1]) / 0.04)


def _lapel(garment: Garment, front: Opening, points: np.ndarray) -> np.ndarray:
    """Return (N,) metres from the outer edge of the lapel inward: a band beside the gap, pointed below, with a notch above."""
    y = points[:, 1]
    notch = 1 - 0.5 * np.exp(-(((y - 0.635) / 0.008) ** 2))
    width = front.lapel_m * smoothstep((y - 0.37) / 0.2) * notch
    return np.asarray(width - gap_field(garment, front, points))


def edge_lift(garment: Garment, front: Opening, points: np.ndarray) -> np.ndarray:
    """Return (N,) metres by which a jacket stands off further: near its free edges, more so downward, and at lapels."""
    beside = np.clip(gap_field(garment, front, points), 0, None)
    hangs = np.clip((_NECK_Y - points[:, 1]) / 0.15, 0, 1) * (0.4 + 0.6 * _descent(garment, points[:, 1]))
    if garment.length_m > 0:
        # Where tails lie on it, it keeps below them.
        hangs = hangs * smoothstep((points[:, 1] - TAILS_Y) / 0.08)
    lift = front.lift_m * np.exp(-((beside / _EDGE_M) ** 2)) * hangs
    if front.lapel_m > 0:
        lift = lift + _LAPEL_M * np.clip(_lapel(garment, front, points) / 0.004, 0, 1)
    return np.asarray(lift)


def lapel_shade(garment: Garment, front: Opening, points: np.ndarray) -> np.ndarray:
    """Return (N,) factors of a jacket's colour: lapels and the dark line beside them."""
    if front.lapel_m <= 0:
        return np.ones(len(points))
    lapel = _lapel(garment, front, points)
    # Passages as wide as a texel of coarse textures, else edges come out dotted.
    line = 0.3 * np.exp(-(((lapel + 0.002) / 0.004) ** 2))
    return np.asarray(1 + (front.lapel_shade - 1) * smoothstep(lapel / 0.006 + 0.5) - line)


def gap_shadow(garment: Garment, front: Opening, points: np.ndarray) -> np.ndarray:
    """Return (N,) factors of the colour of what is worn below a jacket: its edges shade what lies beside them."""
    beside = gap_field(garment, front, points)
    reach = _SHADOW_M + 0.5 * front.lift_m
    # Legs move under tails: what is painted on them would show where no edge is.
    strength = 0.4 * smoothstep((points[:, 1] - garment.hem_y) / 0.06)
    return np.asarray(1 - strength * np.exp(-((beside / reach) ** 2)))


def _edges_x(
    coat: Garment, front: Opening, canonical: np.ndarray, dressed: np.ndarray
) -> tuple[float, float]:
    """Return x of the person's left and right front edge at the height where the tails begin."""
    beside = gap_field(coat, front, canonical)
    near = (np.abs(beside) < 0.015) & (np.abs(canonical[:, 1] - TAILS_Y) < 0.02)
    side = np.sign(canonical[near, 0])
    x = dressed[near, 0] - side * beside[near]
    return float(x[side > 0].mean()), float(x[side < 0].mean())


def _cut_ring(ring: np.ndarray, low: float, high: float, count: int) -> np.ndarray:
    """Return (count, 3) a closed ring without what lies in front between two x, from one edge round the back to the other."""
    columns = len(ring)
    ring = np.roll(ring, -int(np.argmin(ring[:, 2])), axis=0)
    x, front = ring[:, 0], ring[:, 2] > ring[:, 2].mean()
    inside = np.flatnonzero(front & (x > low) & (x < high))
    if len(inside) == 0:
        inside = np.flatnonzero(front)[[np.argmin(np.abs(x[front] - 0.5 * (low + high)))]]
    first, last = int(inside[0]), int(inside[-1])

    def crossing(out: int, within: int) -> float:
        wall = low if abs(x[out] - low) < abs(x[out] - high) else high
        step = x[within] - x[out]
        share = 0.0 if abs(step) < 1e-9 else float(np.clip((wall - x[out]) / step, 0, 1))
        return out + (within - out) * share

    start, end = crossing((last + 1), last), crossing(first - 1, first) + columns
    at = np.linspace(start, end, count)
    below = np.floor(at).astype(int)
    share = (at - below)[:, None]
    return np.asarray(ring[below % columns] * (1 - share) + ring[(below + 1) % columns] * share)


def tails_sides(first: int, last: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the vertices of the outer side of ``opened_tails``, and of the inner side in the same order.

    Args:
        first, last: the first of its vertices, and the last + 1.
        columns: vertices along a row of one side.
    """
    rows = np.arange(first, last).reshape(-1, 2, columns)
    return rows[:, 0].ravel(), rows[:, 1, ::-1].ravel()


def opened_tails(
    coat: Garment,
    front: Opening,
    shell: Shell,
    dressed: tuple[np.ndarray, np.ndarray],
    columns: int,
    scale: float,
) -> Shell:
    """Return the tails of a coat as a sheet that is open in front.

    Args:
        coat: as worn.
        front: how it is open.
        shell: the closed tails, as ``skirt_shell`` and ``tucked`` give them.
        dressed: (V, 3) canonical positions, and (V, 3) where what is worn lies there, coat without tails included.
        columns: vertices round a ring of it.
        scale: metres per canonical metre.
    """
    rings = shell.vertices[:-2].reshape(-1, columns, 3)
    low = int(rings[:, :, 1].mean(axis=1).argmin())
    rings = rings[1 : low + 1]
    top = rings[0, :, 1].mean()
    depth = (top - rings[:, :, 1].mean(axis=1)) / scale
    middle, half = _gap(coat, front, TAILS_Y - depth)
    # They begin where the coat's own edges are on this body, which is wider or slimmer than the canonical one.
    left, right = _edges_x(coat, front, *dressed)
    middle = 0.5 * (left + right) + (middle - middle[0]) * scale
    half = 0.5 * (left - right) + (half - half[0] - _OVER_M) * scale
    # Never so wide that they come round to the sides.
    half = np.minimum(half, 0.31 * np.ptp(rings[:, :, 0], axis=1))
    flat = []
    for row, ring in enumerate(rings):
        outer = _cut_ring(ring, middle[row] - half[row], middle[row] + half[row], columns)
        out = outer - ring.mean(axis=0)
        out[:, 1] = 0
        out /= np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-9)
        arc = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(outer, axis=0), axis=1))])
        edge = np.exp(-((np.minimum(arc, arc[-1] - arc) / _EDGE_M) ** 2))
        share = float(np.clip(depth[row] / 0.2, 0, 1))
        outer = outer + out * (front.lift_m * scale * share * edge)[:, None]
        inner = outer - out * (_CLOTH_M * scale * (0.5 + 0.5 * share))
        flat.append(np.concatenate([outer, inner[::-1]]))
    return rings_to_shell(np.stack(flat), flat_ends=True)
