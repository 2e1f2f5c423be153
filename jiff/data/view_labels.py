"""Labelled and coloured points of one posed person, carried with the fitted body."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from jiff.data.carried import DepthCarrier
from jiff.geometry.closest import MeshBvh
from jiff.geometry.inside import inside_mesh
from jiff.geometry.raycast import RayScene
from jiff.geometry.surface_points import points_on_surface
from jiff.render.gbuffer import GBuffer

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jiff.body.placed import PlacedBody
    from jiff.body.prior import BodyPrior
    from jiff.geometry.camera import Camera
    from jiff.geometry.mesh import Mesh
    from jiff.render.shading import ShadedScan

BODY_NEAR, BODY_FINE, BODY_VOLUME = 4500, 4000, 2500
HEAD_NEAR, HEAD_FINE, HEAD_VOLUME = 1500, 2500, 500
BODY_COLORS, HEAD_COLORS = 5000, 2500
_SIGMAS = {"near": 4.0, "fine": 1.0, "head near": 2.0, "head fine": 0.5}
_MARGIN = 12.0
_OUTER = 0.3
"""A surface is outer when this far above it, world units, is air."""
_DEEP = 1.5
"""Air that a fitted limb was carried onto, deeper inside of it than this, is no label."""


@dataclass(frozen=True, eq=False)
class ViewLabels:
    """Points of one view; see ``PersonView``."""

    points: NDArray[np.float32]
    distance: NDArray[np.float16]
    prior: NDArray[np.float16]
    in_head: NDArray[np.bool_]
    surface: NDArray[np.float32]
    color: NDArray[np.uint8]
    surface_prior: NDArray[np.float16]
    surface_in_head: NDArray[np.bool_]


class _Surface:
    """Outer points of a person's surface."""

    def __init__(self, mesh: Mesh, scene: RayScene, rng: np.random.Generator, count: int) -> None:
        points, face, weights = points_on_surface(mesh, rng.random(count), rng)
        normal = mesh.face_cross()[face]
        normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
        outer = ~inside_mesh(scene, points + _OUTER * normal)
        self.points, self.face, self.weights = points[outer], face[outer], weights[outer]

    def picked(self, which: NDArray[np.int64]) -> GBuffer:
        """Return points as seen samples, which shading takes."""
        count = len(which)
        return GBuffer(
            1, 1, np.zeros(count, np.int64), self.face[which], self.weights[which].astype(np.float32),
            np.ones(count, bool), np.zeros(count, np.float32),
        )  # fmt: skip


def _in_window(
    points: NDArray[np.float64], window: NDArray[np.floating], depth: float = 1.0
) -> NDArray[np.bool_]:
    gap = np.abs(points - np.asarray(window[:3]))
    return np.asarray((gap[:, :2] < 0.95 * window[3]).all(axis=1) & (gap[:, 2] < depth * window[3]))


def label_view(
    shaded: ShadedScan,
    camera: Camera,
    env_sh: NDArray[np.float64],
    true: PlacedBody,
    fitted: PlacedBody,
    prior: BodyPrior,
    head_window: NDArray[np.floating],
    rng: np.random.Generator,
    *,
    carried: bool = True,
) -> ViewLabels:
    """Draw and label points.

    Args:
        shaded: the posed person, world units.
        camera: of the photo.
        env_sh: the light.
        true: the body below the clothes.
        fitted: the body fitted to the photo.
        prior: of the fitted body.
        head_window: x, y, z of the close-up's middle and half its width, world units.
        rng: of the points.
        carried: whether limbs and head follow the fitted body in depth; False moves the person as a whole (ablation).
    """
    mesh = shaded.mesh
    scene, bvh, carry = (
        RayScene(mesh.vertices, mesh.faces),
        MeshBvh(mesh.vertices, mesh.faces),
        DepthCarrier(true, fitted, whole=not carried),
    )
    surface = _Surface(mesh, scene, rng, 60_000)
    at = carry(surface.points)
    at_head = np.flatnonzero(_in_window(at, head_window))
    everywhere = np.arange(len(at))

    def near(pool: NDArray[np.int64], count: int, sigma: float) -> NDArray[np.float64]:
        if len(pool) == 0:
            return np.zeros((0, 3))
        return np.asarray(surface.points[rng.choice(pool, count)] + rng.normal(0, sigma, (count, 3)))

    low, high = mesh.vertices.min(axis=0) - _MARGIN, mesh.vertices.max(axis=0) + _MARGIN
    # The head's place in depth before it was carried.
    back = surface.points[at_head].mean(axis=0)[2] if len(at_head) else float(head_window[2])
    middle = np.array([head_window[0], head_window[1], back])
    parts = [
        near(everywhere, BODY_NEAR, _SIGMAS["near"]),
        near(everywhere, BODY_FINE, _SIGMAS["fine"]),
        rng.uniform(low, high, (BODY_VOLUME, 3)),
        near(at_head, HEAD_NEAR, _SIGMAS["head near"]),
        near(at_head, HEAD_FINE, _SIGMAS["head fine"]),
        middle + head_window[3] * 0.9 * rng.uniform(-1, 1, (HEAD_VOLUME, 3)),
    ]
    of_head = np.concatenate([np.full(len(part), number > 2) for number, part in enumerate(parts)])
    points = np.concatenate(parts)
    inside = inside_mesh(scene, points)
    distance = bvh.closest(points).distance
    moved = carry(points)
    says = prior.at(moved)
    usable = inside | (says.distance < _DEEP)
    of_head &= _in_window(moved, head_window, 1.3)
    signed = np.where(inside, distance, -distance)

    picks = [rng.choice(everywhere, BODY_COLORS)]
    picks += [rng.choice(at_head, HEAD_COLORS)] if len(at_head) else []
    which = np.concatenate(picks)
    seen = surface.picked(which)
    color = np.rint(shaded.colors(seen, camera, env_sh) * 255).astype(np.uint8)
    moved_surface = at[which]
    return ViewLabels(
        moved[usable].astype(np.float32), signed[usable].astype(np.float16),
        says.stacked()[usable].astype(np.float16), of_head[usable],
        moved_surface.astype(np.float32), color, prior.at(moved_surface).stacked().astype(np.float16),
        np.arange(len(which)) >= BODY_COLORS,
    )  # fmt: skip
