"""Which way is up, and which way do the feet point?"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from jiff.base.errors import UsageError
from jiff.geometry.camera import rotation_y
from jiff.geometry.surface_points import points_on_surface

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jiff.geometry.mesh import Mesh

_UPRIGHT = {
    "y": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "z": ((1, 0, 0), (0, 0, 1), (0, -1, 0)),
    "x": ((0, -1, 0), (1, 0, 0), (0, 0, 1)),
    "y-down": ((-1, 0, 0), (0, -1, 0), (0, 0, 1)),
    "z-down": ((1, 0, 0), (0, 0, -1), (0, 1, 0)),
    "x-down": ((0, 1, 0), (-1, 0, 0), (0, 0, 1)),
}
_LYING = 1.5
"""Arms held out reach about as far as a body is high."""
_POINTS = 20_000
_GAP, _UNEVEN = 0.012, 0.2
"""The least gap between two legs, of the body's height, and how far each may be from one half of the surface there."""
_LEGS, _NO_LEGS = 0.5, 0.2


def up_axis(mesh: Mesh) -> str:
    """Return "y" or "z": the published rule (z only when the scan is clearly longer along it), with arms allowed for."""
    extent = np.ptp(mesh.vertices, axis=0)
    return "z" if extent[2] > 1.2 * extent[1] else "y"


def upright_rotation(up: str) -> NDArray[np.float64]:
    """Return the [3, 3] rotation that turns the axis ``up`` ("x", "y", "z", or one of them with "-down") to +y.

    Raises:
        UsageError: there is no such axis.
    """
    if up not in _UPRIGHT:
        raise UsageError(f"--up is {up}; give auto or one of {', '.join(_UPRIGHT)}.")
    return np.array(_UPRIGHT[up], np.float64)


def lies(vertices_y_up: NDArray[np.float64]) -> bool:
    """Return whether a body is longer sideways than any arms reach: it lies, along x or askew."""
    extent = np.ptp(vertices_y_up, axis=0)
    return bool(max(extent[0], extent[2]) > _LYING * extent[1])


def feet_are_up(mesh: Mesh) -> bool:
    """Return whether a mesh (y up) has two legs at its upper end and none at the lower; False where clothes hide them.

    At the height of shins a body is in two like pieces side by side; at that of face, neck and shoulders it is in one.
    """
    rng = np.random.default_rng(0)
    points, _, _ = points_on_surface(mesh, rng.random(_POINTS), rng)
    return _legs(points * (1.0, -1.0, 1.0)) > _LEGS and _legs(points) < _NO_LEGS


def _legs(points_y_up: NDArray[np.float64]) -> float:
    """Return the share of slices in the lowest quarter of a body that a gap parts in two like halves."""
    height = max(float(np.ptp(points_y_up[:, 1])), 1e-30)
    level = (points_y_up[:, 1] - points_y_up[:, 1].min()) / height
    edges = np.linspace(0.03, 0.25, 12)
    parted = 0
    for low, high in pairwise(edges):
        flat = points_y_up[(level >= low) & (level < high)][:, [0, 2]]
        if len(flat) < 40:
            continue
        centered = flat - flat.mean(axis=0)
        # Legs may stand beside or before each other.
        for axis in np.linalg.eigh(centered.T @ centered)[1].T:
            along = np.sort(centered @ axis)
            steps = np.diff(along)
            cut = int(np.argmax(steps))
            share = (cut + 1) / len(along)
            if steps[cut] > _GAP * height and abs(share - 0.5) < _UNEVEN:
                parted += 1
                break
    return parted / (len(edges) - 1)


def facing_yaw(vertices_y_up: NDArray[np.float64]) -> float | None:
    """Return the direction in which the feet point, degrees from +z towards +x; None when they do not tell.

    Toes reach further forward than ankles: the direction from the ankles' middle to the soles' middle.
    """
    yaw = _boxed_yaw(vertices_y_up)
    if yaw is None:
        return None
    # That goes by boxes along the axes and is exact for feet along one only: turn them until it says so.
    low, height = float(vertices_y_up[:, 1].min()), float(np.ptp(vertices_y_up[:, 1]))
    feet = vertices_y_up[:, 1] < low + 0.1 * height
    feet[int(np.argmax(vertices_y_up[:, 1]))] = True
    lower, best = vertices_y_up[feet], (math.inf, yaw)
    for _ in range(8):
        left = _boxed_yaw(lower @ rotation_y(math.radians(-yaw)).T)
        if left is None or abs(left) > 45.0:
            break
        best = min(best, (abs(left), yaw))
        yaw += left / 2
    return (best[1] + 180.0) % 360.0 - 180.0


def _boxed_yaw(vertices_y_up: NDArray[np.float64]) -> float | None:
    height = float(np.ptp(vertices_y_up[:, 1]))
    level = (vertices_y_up[:, 1] - vertices_y_up[:, 1].min()) / max(height, 1e-30)
    sole, ankle = vertices_y_up[level < 0.025], vertices_y_up[(level > 0.05) & (level < 0.08)]
    if len(sole) < 8 or len(ankle) < 8:
        return None
    middle = [(part[:, [0, 2]].max(0) + part[:, [0, 2]].min(0)) / 2 for part in (sole, ankle)]
    ahead = middle[0] - middle[1]
    if float(np.linalg.norm(ahead)) < 0.008 * height:
        return None
    return math.degrees(math.atan2(ahead[0], ahead[1]))
