"""Bring a reconstruction into the frame of its scan before measuring, where a protocol asks for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from jiff.geometry.closest import MeshBvh
from jiff.geometry.raycast import RayScene
from jiff.metrics.measure import sample_surface

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jiff.geometry.mesh import Mesh

ALIGNMENTS = ("none", "depth", "scale", "icp")
_DEPTH_RAYS = 20_000


def scaled_to(mesh: Mesh, target: Mesh) -> Mesh:
    """Return the mesh with the target's height and bounding-box centre."""
    low, high = mesh.bounds
    target_low, target_high = target.bounds
    factor = (target_high[1] - target_low[1]) / max(high[1] - low[1], 1e-12)
    return mesh.transformed(np.eye(3) * factor, (target_low + target_high) / 2 - factor * (low + high) / 2)


def rigid_fit(
    source: NDArray[np.float64], target: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return rotation [3, 3] and offset [3] of the least-squares motion of points [N, 3] (Kabsch, 1976)."""
    middle_source, middle_target = source.mean(0), target.mean(0)
    u, _, vt = np.linalg.svd((source - middle_source).T @ (target - middle_target))
    sign = np.sign(np.linalg.det(u @ vt))
    rotation = vt.T @ np.diag([1.0, 1.0, sign]) @ u.T
    return rotation, middle_target - rotation @ middle_source


def icp_aligned(mesh: Mesh, target: Mesh, *, seed: int = 0, samples: int = 5000, rounds: int = 60) -> Mesh:
    """Return the mesh moved rigidly onto the target by iterated closest points (both directions, no scaling)."""
    rng = np.random.default_rng(seed)
    own, other = sample_surface(mesh, samples, rng).points, sample_surface(target, samples, rng).points
    own_bvh, target_bvh = MeshBvh(mesh.vertices, mesh.faces), MeshBvh(target.vertices, target.faces)
    rotation, offset = np.eye(3), np.zeros(3)
    for _ in range(rounds):
        moved = own @ rotation.T + offset
        back = own_bvh.closest((other - offset) @ rotation)
        source = np.concatenate([own, back.point])
        goal = np.concatenate([target_bvh.closest(moved).point, other])
        new_rotation, new_offset = rigid_fit(source, goal)
        change = np.abs(new_rotation - rotation).max() + np.abs(new_offset - offset).max() / 100.0
        rotation, offset = new_rotation, new_offset
        if change < 1e-6:
            break
    return mesh.transformed(rotation, offset)


def depth_aligned(mesh: Mesh, target: Mesh, *, seed: int = 0) -> Mesh:
    """Return the mesh moved along z so that the fronts of both lie equally far away, by their median.

    One photo does not tell how far away somebody stands; everything else it does.
    """
    rng = np.random.default_rng(seed)
    low, high = target.bounds
    places = np.column_stack([rng.uniform(low[:2], high[:2], (_DEPTH_RAYS, 2)), np.zeros(_DEPTH_RAYS)])
    away = max(float(mesh.bounds[1, 2]), float(high[2])) + 1.0
    places[:, 2] = away
    hits = [
        RayScene(side.vertices, side.faces).intersect(places, np.array([0.0, 0.0, -1.0]))
        for side in (mesh, target)
    ]
    both = hits[0].hit & hits[1].hit
    if not both.any():
        return mesh
    gap = float(np.median((hits[0].distance - hits[1].distance)[both]))
    return mesh.transformed(np.eye(3), np.array([0.0, 0.0, gap]))


def aligned(mesh: Mesh, target: Mesh, method: str, *, seed: int = 0) -> Mesh:
    """Return the mesh aligned by ``method``: none, depth (along z), scale (height and centre), or icp (scale, then rigid)."""
    if method == "none":
        return mesh
    if method == "depth":
        return depth_aligned(mesh, target, seed=seed)
    scaled = scaled_to(mesh, target)
    return scaled if method == "scale" else icp_aligned(scaled, target, seed=seed)
