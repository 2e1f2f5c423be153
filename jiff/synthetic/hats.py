"""Caps, beanies and hats with a brim: solid shells over the head, shaped to its convex hull with the hair under them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import ConvexHull

from jiff.geometry.raycast import RayScene
from jiff.synthetic.ramps import smoothstep
from jiff.synthetic.slices import Shell, rings_to_shell, smooth_ring, smooth_rows
from jiff.synthetic.spec import Hat
from jiff.synthetic.tubes import outward

_EDGES = {"cap": (0.93, 14.0), "beanie": (0.918, 16.0), "brimmed": (0.933, 12.0)}
"""Canonical height of the hat's edge above the ears, and degrees by which it rises towards the forehead."""
_EDGE_Z = 0.035
_CLOTH_M = 0.006
_HAIR_LEFT = 0.3
"""Share of its thickness that hair keeps under a hat."""


@dataclass(frozen=True, eq=False)
class _Frame:
    """Middle of the plane of a hat's edge, and unit vectors to the person's left, forward and up; canonical."""

    middle: np.ndarray
    axes: np.ndarray

    def around(self, angle: np.ndarray) -> np.ndarray:
        """Return (A, 3) unit vectors in the plane, 0 to the left, a quarter forward."""
        return np.cos(angle)[:, None] * self.axes[0] + np.sin(angle)[:, None] * self.axes[1]


def _frame(hat: Hat) -> _Frame:
    height, degrees = _EDGES[hat.kind]
    tilt = np.radians(degrees)
    axes = np.array([[1.0, 0, 0], [0, np.sin(tilt), np.cos(tilt)], [0, np.cos(tilt), -np.sin(tilt)]])
    return _Frame(np.array([0.0, height, _EDGE_Z]), axes)


def above_edge(hat: Hat, points: np.ndarray) -> np.ndarray:
    """Return (N,) height of canonical points above the plane of a hat's edge."""
    frame = _frame(hat)
    return np.asarray((points - frame.middle) @ frame.axes[2])


def hair_share(hat: Hat, points: np.ndarray) -> np.ndarray:
    """Return (N,) share of its thickness that hair keeps at canonical points: it is pressed flat under a hat."""
    under = np.clip((above_edge(hat, points) + 0.016) / 0.018, 0, 1)
    return 1 - (1 - _HAIR_LEFT) * under * under * (3 - 2 * under)


def hat_shells(hat: Hat, skin: np.ndarray, hair: np.ndarray, columns: int) -> list[tuple[str, Shell]]:
    """Return the shells of a hat by the name of their colour, "hat" or "visor", canonical head coordinates.

    Args:
        hat: the hat.
        skin: (N, 3) of the head.
        hair: (M, 3) of all hair, pressed flat.
        columns: vertices round the head.
    """
    frame = _frame(hat)
    inside = np.concatenate([skin[above_edge(hat, skin) > -0.012], hair[above_edge(hat, hair) > 0.005]])
    hull = ConvexHull(inside)
    middle = inside.mean(axis=0)
    a, b, c = inside[hull.simplices].transpose(1, 0, 2)
    turned = np.einsum("ij,ij->i", np.cross(b - a, c - a), a - middle) < 0
    scene = RayScene(inside, np.where(turned[:, None], hull.simplices[:, ::-1], hull.simplices))
    rows = columns // 2
    rise = np.linspace(0, np.pi / 2, rows + 1)[:-1]
    flat = frame.around(np.arange(columns) / columns * 2 * np.pi)
    rays = np.cos(rise)[:, None, None] * flat + np.sin(rise)[:, None, None] * frame.axes[2]
    reach = 0.4
    hits = scene.intersect((frame.middle + reach * rays).reshape(-1, 3), -rays.reshape(-1, 3))
    radius = np.where(hits.hit, reach - hits.distance, 0.08).reshape(rows, columns)
    radius = np.maximum(radius, smooth_ring(smooth_rows(radius, 4), 4))
    radius = smooth_ring(smooth_rows(radius, 2), 2) + _CLOTH_M
    if hat.kind == "brimmed":
        return [("hat", _brimmed(hat, frame, radius, rise, flat))]
    dome = ("hat", _dome(hat, frame, radius, rise, flat))
    return [dome] if hat.kind == "beanie" else [dome, ("visor", _visor(hat, frame, radius[0], columns))]


def _dome(hat: Hat, frame: _Frame, radius: np.ndarray, rise: np.ndarray, flat: np.ndarray) -> Shell:
    up = frame.axes[2]
    columns = radius.shape[1]
    front = flat @ frame.axes[1]
    share = (rise / (np.pi / 2))[:, None]
    if hat.kind == "beanie":
        turned_up = 1 - smoothstep((share - 0.24) / 0.03)
        ribs = np.cos(np.arange(columns) / columns * 2 * np.pi * (columns // 4))
        # Wool sags backwards where it stands above the head.
        loose = hat.extra_m * smoothstep((share - 0.35) / 0.65) * (1 - 0.5 * np.clip(front, 0, 1))
        radius = radius + 0.0045 * turned_up + 0.0007 * ribs * (1 - share) + loose
    else:
        crown = np.sin(np.pi * np.clip(share * 1.25, 0, 1)) * np.clip(front + 0.15, 0, 1)
        radius = radius + hat.extra_m * (smoothstep(share / 0.6) * 0.5 + crown)
    places = frame.middle + radius[..., None] * (
        np.cos(rise)[:, None, None] * flat + np.sin(rise)[:, None, None] * up
    )
    edge = places[:1] - 0.006 * up
    inner = frame.middle + 0.6 * (edge - frame.middle)
    return outward(rings_to_shell(np.concatenate([inner, edge, places])))


def _brimmed(hat: Hat, frame: _Frame, radius: np.ndarray, rise: np.ndarray, flat: np.ndarray) -> Shell:
    up = frame.axes[2]
    wide = (radius * np.cos(rise)[:, None]).max(axis=0)
    height = (radius * np.sin(rise)[:, None]).max() + hat.extra_m
    side = np.abs(flat @ frame.axes[0])

    def brim(share: float, lift: float) -> np.ndarray:
        rolled = hat.brim_m * share**1.6 * (0.42 * side**2 - 0.18)
        return frame.middle + flat * (wide + hat.brim_m * share)[:, None] + up * (rolled + lift)[:, None]

    shares = np.linspace(0, 1, 7)
    rings = [frame.middle + 0.6 * flat * wide[:, None], *(brim(s, 0.0) for s in shares)]
    rings += [brim(s, 0.004) for s in shares[::-1]]
    for t in np.linspace(0.06, 1, 12):
        rings.append(
            frame.middle + flat * (wide * (1 - 0.13 * t**2))[:, None] + up * (0.004 + (height - 0.012) * t)
        )
    top = frame.middle + up * height
    across, along = flat @ frame.axes[0], flat @ frame.axes[1]
    for t in np.linspace(0.93, 0.08, 9):
        spot = flat * (0.87 * wide * t)[:, None]
        # A crease from front to back.
        crease = (
            0.016
            * np.exp(-((across * t * wide / 0.026) ** 2))
            * np.clip(1.25 - 0.8 * np.abs(along) * t, 0, 1)
        )
        edge = 0.012 * (1 - np.sqrt(np.clip(1 - t**8, 0, 1)))
        rings.append(top + spot - up * (crease + edge)[:, None])
    return outward(rings_to_shell(np.stack(rings)))


def _visor(hat: Hat, frame: _Frame, radius: np.ndarray, columns: int) -> Shell:
    """Return a stiff tongue before the forehead; ``radius`` (A,) is that of the cap's edge."""
    up = frame.axes[2]
    most = np.radians(60)
    turn = np.linspace(-most, most, max(16, columns // 2))
    angle = np.pi / 2 - turn
    all_angles = np.arange(len(radius)) / len(radius) * 2 * np.pi
    start = np.interp(angle, all_angles, radius)
    length = hat.brim_m * np.clip(np.cos(turn * (np.pi / 2) / most), 0, 1) ** 0.55
    out = frame.around(angle)
    sides = (np.sin(turn) / np.sin(most)) ** 2
    rows = []
    for share in np.linspace(0, 1, 10):
        drop = 0.2 * hat.brim_m * share + 0.016 * sides * share**0.7
        # The root lies inside the cap.
        reach = start - 0.012 + (length + 0.012) * share
        middle = frame.middle + out * reach[:, None] + up * (0.001 - drop)[:, None]
        thick = 0.0016 * np.sqrt(max(1 - share**8, 0.05))
        rows.append(np.concatenate([middle + up * thick, (middle - up * thick)[::-1]]))
    return outward(rings_to_shell(np.stack(rows), flat_ends=True))
