"""Which way is up, and which way do the feet point?"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from jiff.geometry.camera import rotation_y

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jiff.geometry.mesh import Mesh


def up_axis(mesh: Mesh) -> str:
    """Return "y" or "z": the published rule (z only when the scan is clearly longer along it), with arms allowed for."""
    extent = np.ptp(mesh.vertices, axis=0)
    return "z" if extent[2] > 1.2 * extent[1] else "y"


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
