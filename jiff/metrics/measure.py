"""How far a reconstruction is from its scan: Chamfer, point-to-surface, normals, volume; of the body and of the face.

Distances are exact point-to-triangle distances of area-uniform, seeded samples of the outer surfaces, in world units,
which are centimetres for a person of 180 cm. The same inputs and seed give bit-equal numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from jiff.geometry.closest import MeshBvh
from jiff.geometry.components import submesh
from jiff.geometry.inside import inside_mesh
from jiff.geometry.mesh import Mesh
from jiff.geometry.raycast import RayScene
from jiff.geometry.surface_points import points_on_surface
from jiff.metrics.aligned_face import Side, align_face
from jiff.metrics.registry import Directed, Region, compute_all
from jiff.render.normal_maps import normal_map_error, normal_maps

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

_OUTWARD_RAYS = 48
_VOLUME_POINTS_AT_ONCE = 1_000_000
_FACE_REACH = 20.0
"""Predicted surface this far (world units) around the face box may still be meant as the face."""


@dataclass(frozen=True)
class MetricOptions:
    """How to measure.

    Attributes:
        samples: points on each whole surface.
        face_samples: points on each surface near the face box.
        volume_spacing_cm: edge of the cells that hold one volume sample each.
        face_volume_spacing_cm: the same inside the face box.
        outer_only: leave out surface that no straight line from outside reaches (skin under clothes, inner walls).
        seed: of all samples.
    """

    samples: int = 50_000
    face_samples: int = 20_000
    volume_spacing_cm: float = 1.5
    face_volume_spacing_cm: float = 0.5
    outer_only: bool = True
    seed: int = 0


@dataclass(frozen=True)
class SurfaceSamples:
    """Points [N, 3] on a surface and the unit normals [N, 3] of their triangles."""

    points: NDArray[np.float64]
    normals: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.points)

    def where(self, chosen: NDArray[np.bool_]) -> SurfaceSamples:
        """Return the chosen samples."""
        return SurfaceSamples(self.points[chosen], self.normals[chosen])


def sample_surface(mesh: Mesh, count: int, rng: np.random.Generator) -> SurfaceSamples:
    """Return ``count`` points distributed uniformly over the area.

    Raises:
        MeshError: the surface has no area.
    """
    cross = mesh.face_cross()
    # One random number per equal slice of the area: as uniform as independent draws, with less noise.
    points, face, _ = points_on_surface(mesh, (np.arange(count) + rng.random(count)) / count, rng)
    return SurfaceSamples(points, cross[face] / np.linalg.norm(cross[face], axis=1, keepdims=True))


def reached_from_outside(
    scene: RayScene, samples: SurfaceSamples, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """[N] whether some straight line leaves each sample for infinity without meeting the mesh."""
    open_ = np.zeros(len(samples), dtype=bool)
    scale = float(np.abs(samples.points).max(initial=1.0))
    origins = samples.points + samples.normals * scale * 2e-5
    todo = np.arange(len(samples))
    for _ in range(_OUTWARD_RAYS):
        if len(todo) == 0:
            break
        direction = rng.normal(size=(len(todo), 3))
        direction /= np.linalg.norm(direction, axis=1, keepdims=True)
        normal = samples.normals[todo]
        direction += 1.001 * normal
        blocked = scene.occluded(origins[todo], direction)
        open_[todo[~blocked]] = True
        todo = todo[blocked]
    return open_


@dataclass(frozen=True)
class _Surface:
    """A mesh with what the measurements need of it."""

    mesh: Mesh
    scene: RayScene
    bvh: MeshBvh
    normals: NDArray[np.float64]

    @classmethod
    def of(cls, mesh: Mesh) -> _Surface:
        cross = mesh.face_cross()
        length = np.linalg.norm(cross, axis=1, keepdims=True)
        return cls(
            mesh,
            RayScene(mesh.vertices, mesh.faces),
            MeshBvh(mesh.vertices, mesh.faces),
            cross / np.where(length > 0, length, 1.0),
        )

    def samples(
        self, count: int, rng: np.random.Generator, outer_only: bool, near: NDArray[np.float64] | None = None
    ) -> SurfaceSamples:
        """Sample the surface, or its part around the box ``near`` [2, 3] (empty where there is none)."""
        part = self.mesh
        if near is not None:
            corners = part.triangles
            touching = ((corners.max(1) >= near[0]) & (corners.min(1) <= near[1])).all(axis=1)
            if not touching.any():
                return SurfaceSamples(np.zeros((0, 3)), np.zeros((0, 3)))
            part = submesh(Mesh(part.vertices, part.faces), np.flatnonzero(touching))
        drawn = sample_surface(part, count, rng)
        return drawn.where(reached_from_outside(self.scene, drawn, rng)) if outer_only else drawn


def _directed(samples: SurfaceSamples, target: _Surface) -> Directed:
    """Measure samples of one surface against the other."""
    found = target.bvh.closest(samples.points)
    cosine = np.einsum("ij,ij->i", samples.normals, target.normals[found.face])
    return Directed(found.distance, np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0))), found.point)


def volume_iou(
    first: RayScene, second: RayScene, box: ArrayLike, spacing: float, rng: np.random.Generator
) -> float:
    """Return the intersection over the union of two volumes inside a box.

    Args:
        first: outward-facing mesh.
        second: outward-facing mesh.
        box: [2, 3] low and high corner.
        spacing: edge of the cells of the box that hold one random point each.
        rng: of the points.

    Returns:
        The ratio; nan when neither volume meets the box.
    """
    low, high = np.asarray(box, dtype=np.float64)
    counts = np.maximum(np.ceil((high - low) / spacing), 1).astype(int)
    layer = np.stack(np.meshgrid(np.arange(counts[0]), np.arange(counts[1]), indexing="ij"), axis=-1).reshape(
        -1, 2
    )
    together = either = 0
    # Layer by layer, so that a fine spacing costs time but no memory.
    depths = max(1, _VOLUME_POINTS_AT_ONCE // len(layer))
    for start in range(0, counts[2], depths):
        z = np.arange(start, min(start + depths, counts[2]))
        cells = np.concatenate([np.repeat(layer, len(z), axis=0), np.tile(z, len(layer))[:, None]], axis=1)
        points = low + (cells + rng.random(cells.shape)) / counts * (high - low)
        inside_first, inside_second = inside_mesh(first, points), inside_mesh(second, points)
        either += int((inside_first | inside_second).sum())
        together += int((inside_first & inside_second).sum())
    return together / either if either else float("nan")


def _in_box(points: NDArray[np.float64], box: NDArray[np.float64]) -> NDArray[np.bool_]:
    return np.asarray(((points >= box[0]) & (points <= box[1])).all(axis=1))


def measure(
    pred: Mesh, truth: Mesh, face_box: ArrayLike | None = None, options: MetricOptions | None = None
) -> dict[str, dict[str, float]]:
    """Measure a reconstruction against its scan.

    The face is the scan's surface inside the box; a sample of the reconstruction belongs to the face when its closest
    point on the scan does, so that a face in the wrong place counts as a bad face rather than as none.

    Args:
        pred: the reconstruction, world units, triangles facing outward.
        truth: the scan, in the same frame and unit.
        face_box: [2, 3] low and high corner of the face, world units.
        options: counts and seed.

    Returns:
        Region ("body", "face") -> key of ``METRICS`` -> number; the face only with a box. Distances are nan when nothing
        predicted lies near it.

    Raises:
        MeshError: a surface has no area.
    """
    options = options or MetricOptions()
    rng = np.random.default_rng(options.seed)
    first, second = _Surface.of(pred), _Surface.of(truth)
    own, other = (side.samples(options.samples, rng, options.outer_only) for side in (first, second))
    forward, backward = _directed(own, second), _directed(other, first)
    joint = np.stack(
        [np.minimum(pred.bounds[0], truth.bounds[0]), np.maximum(pred.bounds[1], truth.bounds[1])]
    )
    iou = volume_iou(first.scene, second.scene, joint, options.volume_spacing_cm, rng)
    maps = normal_maps(pred, scene=first.scene), normal_maps(truth, scene=second.scene)
    body = Region(pred, truth, None, forward, backward, iou, normal_map_error(*maps))
    result = {"body": compute_all(body)}
    if face_box is None:
        return result
    box = np.asarray(face_box, dtype=np.float64)
    reach = box + [[-_FACE_REACH], [_FACE_REACH]]
    near = first.samples(options.face_samples, rng, options.outer_only, reach)
    forward = _directed(near, second)
    forward = forward.where(_in_box(forward.closest, box))
    samples = second.samples(options.face_samples, rng, options.outer_only, box)
    samples = samples.where(_in_box(samples.points, box))
    iou = volume_iou(first.scene, second.scene, box, options.face_volume_spacing_cm, rng)
    # What was drawn above serves here too: a further draw would change the numbers of earlier versions.
    moving = Side(near.points, near.normals, own.points, first.bvh, first.normals)
    fixed = Side(samples.points, samples.normals, other.points, second.bvh, second.normals)
    aligned = align_face(moving, fixed, box) if len(forward.distance) else None
    maps_error = normal_map_error(*maps, box)
    face = Region(pred, truth, box, forward, _directed(samples, first), iou, maps_error, aligned)
    result["face"] = compute_all(face)
    return result
