"""Inside test by the signed number of surfaces that a ray leaves through, majority of three directions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from jiff.geometry.raycast import RayScene

# Mostly along z, where a standing body is thinnest; skewed so that no axis-aligned wall or hole decides all three.
_DIRECTIONS = np.array([[0.0713, 0.1231, 0.9898], [-0.1381, 0.0917, -0.9862], [0.6113, 0.5127, 0.6029]])
# A person in layered clothes has under a dozen crossings; more means a tangle that no count can settle.
_MAX_CROSSINGS = 32


def _depth(scene: RayScene, points: NDArray[np.float32], direction: NDArray[np.float64]) -> NDArray[np.int32]:
    """Return [N] exits minus entries along ``direction``: how many closed shells contain each point."""
    depth = np.zeros(len(points), dtype=np.int32)
    active = np.arange(len(points))
    origins = points
    scale = float(np.abs(points).max()) if len(points) else 0.0
    step = max(scale, 1e-6) * 2e-6
    for _ in range(_MAX_CROSSINGS):
        hits = scene.intersect(origins, direction)
        met = hits.hit
        active, front = active[met], hits.front[met]
        if len(active) == 0:
            break
        depth[active] += np.where(front, -1, 1).astype(np.int32)
        origins = origins[met] + (hits.distance[met, None] + step) * direction.astype(np.float32)
    return depth


def inside_mesh(scene: RayScene, points: ArrayLike) -> NDArray[np.bool_]:
    """Tell which points lie inside an outward-facing mesh.

    Exits minus entries along a ray is the number of closed shells around a point, so that unions of overlapping
    shells (body, clothes, hair) are right where crossing parity is not; a majority of directions tolerates holes.

    Args:
        scene: the mesh, triangles facing outward.
        points: [N, 3].

    Returns:
        [N] bool, True inside.
    """
    points = np.ascontiguousarray(points, dtype=np.float32).reshape(-1, 3)
    first, second = (_depth(scene, points, direction) > 0 for direction in _DIRECTIONS[:2])
    inside = first & second
    undecided = np.flatnonzero(first != second)
    inside[undecided] = _depth(scene, points[undecided], _DIRECTIONS[2]) > 0
    return inside
