"""Bags: a box with round edges, and straps stretched over the clothes of the trunk."""

from __future__ import annotations

import numpy as np

from jiff.synthetic.slices import Shell, hull_radius, smooth_ring
from jiff.synthetic.spec import Bag
from jiff.synthetic.tubes import hoop, round_box

_STRAP_M = 0.004
_SHOULDER = (0.085, 0.715, 0.0)
_HIP = (0.165, 0.16, 0.0)
_FLANK = (0.165, 0.36, 0.0)
_BACKWARDS = np.radians(48.0)
"""How far behind the side a shoulder bag hangs: in front or beside, it would be in the way of the hand."""


def bag_shells(
    bag: Bag, trunk: np.ndarray, skin: np.ndarray, canonical: np.ndarray, scale: float, columns: int
) -> list[tuple[str, Shell]]:
    """Return the shells of a bag by name: "strap" once or twice, and "bag.BONE" after the bone that bears it.

    Args:
        bag: the bag.
        trunk: (N, 3) surface of trunk, hips and coat as dressed, scan frame, metres; upright and facing +z.
        skin, canonical: (V, 3) the trunk's skin as dressed, and the same points of the canonical body.
        scale: metres per canonical metre.
        columns: resolution.
    """

    def place(point: tuple[float, float, float], side: int) -> np.ndarray:
        gap = ((canonical - np.array(point) * [side, 1, 1]) ** 2).sum(axis=1)
        return np.asarray(skin[np.argmin(gap)])

    half = (bag.half_m[0] * scale, bag.half_m[1] * scale, bag.half_m[2] * scale)
    width = bag.strap_m * scale
    box = round_box(half, columns)
    if bag.kind == "backpack":
        flanks = {s: place(_FLANK, s) for s in (1, -1)}
        chest = trunk[trunk[:, 1] > min(flank[1] for flank in flanks.values()) - 0.02 * scale]
        straps = [_strap(chest, place(_SHOULDER, s), flanks[s], width, scale, columns) for s in (1, -1)]
        shoulders = (place(_SHOULDER, 1) + place(_SHOULDER, -1)) / 2
        top = shoulders[1] - 0.015 * scale
        level = (trunk[:, 1] < top) & (trunk[:, 1] > top - 0.3 * scale)
        back = trunk[level & (np.abs(trunk[:, 0] - shoulders[0]) < half[0])][:, 2].min()
        # round_box is flat at -z: turned by half a turn it lies against the back.
        box.vertices = box.vertices * [-1, 1, -1] + [
            shoulders[0],
            top - half[1],
            back + 0.012 * scale - half[2],
        ]
        return [("bag.spine02", box), *(("strap", strap) for strap in straps)]
    side = bag.side
    hip = place(_HIP, side)
    strap = _strap(trunk, place(_SHOULDER, -side), hip, width, scale, columns)
    middle = np.array([place(_HIP, 1)[0] + place(_HIP, -1)[0], 0.0, 2 * hip[2]]) / 2
    level = trunk[np.abs(trunk[:, 1] - hip[1]) < 0.5 * half[1]][:, [0, 2]] - middle[[0, 2]]
    angle = -_BACKWARDS if side > 0 else np.pi + _BACKWARDS
    out = np.array([np.cos(angle), 0.0, np.sin(angle)])
    reach = hull_radius(level, np.array([angle]))[0]
    across = np.array([out[2], 0.0, -out[0]])
    turn = np.stack([across, [0.0, 1.0, 0.0], out])
    center = middle + out * (reach + half[2] + 0.004 * scale)
    center[1] = hip[1] - 0.25 * half[1]
    box.vertices = box.vertices @ turn + center
    return [("bag.spine05", box), ("strap", strap)]


def _strap(
    trunk: np.ndarray, top: np.ndarray, low: np.ndarray, width: float, scale: float, columns: int
) -> Shell:
    """Return a band round the trunk in the plane through two points that runs from front to back."""
    down = (low - top) / np.linalg.norm(low - top)
    ahead = np.array([0.0, 0.0, 1.0]) - down * down[2]
    ahead /= np.linalg.norm(ahead)
    aside = np.cross(down, ahead)
    middle = (top + low) / 2
    count = 2 * columns
    angles = np.arange(count) / count * 2 * np.pi
    places = trunk - middle
    offset = places @ aside
    flat = np.stack([places @ down, places @ ahead], axis=1)
    edges = []
    for shift in (-0.5 * width, 0.5 * width):
        slab = flat[np.abs(offset - shift) < 0.012 * scale]
        edges.append(smooth_ring(hull_radius(slab, angles)[None], 4)[0])
    mean = (edges[0] + edges[1]) / 2
    direction = np.cos(angles)[:, None] * down + np.sin(angles)[:, None] * ahead

    def line(edge: np.ndarray, shift: float, lift: float) -> np.ndarray:
        # An edge sinks no deeper than cloth gives.
        radius = np.maximum(edge, mean - 0.012 * scale) + lift * scale
        return middle + direction * radius[:, None] + aside * shift

    half = 0.5 * width
    corners = [
        line(edges[0], -half, -0.003), line(edges[0], -half, 0.0025), line(mean, 0.0, _STRAP_M),
        line(edges[1], half, 0.0025), line(edges[1], half, -0.003), line(mean, 0.0, -0.004),
    ]  # fmt: skip
    return hoop(np.stack(corners, axis=1))
