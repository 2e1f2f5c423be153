"""The surface a face is fitted to: what can be seen of a scan or reconstruction around the face."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from jiff.geometry.camera import Camera
from jiff.geometry.raycast import RayScene

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray
    from scipy.spatial import cKDTree

    from jiff.geometry.mesh import Mesh

VIEWS_DEG = ((0.0, 0.0), (50.0, 0.0), (-50.0, 0.0), (0.0, -40.0), (0.0, 30.0))
"""(yaw, pitch) from which the face is looked at: ahead, both sides, from below, from above."""


@dataclass(frozen=True, eq=False)
class FaceSurface:
    """Oriented points of the visible surface.

    Attributes:
        points_world: [N, 3].
        normals_world: [N, 3] unit, outward.
        tree: search tree of the points.
    """

    points_world: NDArray[np.float64]
    normals_world: NDArray[np.float64]
    tree: cKDTree


class FaceScene:
    """A mesh ready for the questions that a fit asks it."""

    def __init__(self, mesh: Mesh) -> None:
        self.mesh = mesh
        self.normals = mesh.vertex_normals()
        self.rays = RayScene(mesh.vertices, mesh.faces)

    def _hit_points(
        self, origins: NDArray[np.float64], direction: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
        """Return first hits [N, 3], their unit normals [N, 3], and [N] which rays hit the outer side."""
        hits = self.rays.intersect(origins, direction)
        corner = self.mesh.faces[np.maximum(hits.face, 0)]
        u, v = hits.barycentric[:, 0].astype(np.float64), hits.barycentric[:, 1].astype(np.float64)
        weights = np.stack([1 - u - v, u, v], axis=1)
        points = np.einsum("ni,nij->nj", weights, self.mesh.vertices[corner])
        normals = np.einsum("ni,nij->nj", weights, self.normals[corner])
        normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
        return points, normals, hits.hit & hits.front

    def lift(self, camera: Camera, pixels: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Return the surface points [N, 3] seen at continuous ``pixels`` [N, 2], and [N] whether there is one."""
        origins, direction = camera.pixel_rays(pixels)
        points, _, hit = self._hit_points(origins, direction)
        return points, hit

    def around(
        self,
        center_world: ArrayLike,
        rotation: NDArray[np.float64],
        radius: float = 14.0,
        spacing: float = 0.16,
    ) -> FaceSurface:
        """Return what is seen of the surface within ``radius`` of a face, world units.

        Args:
            center_world: [3] middle of the face.
            rotation: [3, 3] model axes to world axes: its third column is where the face looks.
            radius: of the sphere that is kept.
            spacing: between rays.
        """
        from scipy.spatial import cKDTree

        center = np.asarray(center_world, dtype=np.float64)
        count = max(8, int(2 * radius / spacing))
        clouds, orientations = [], []
        for yaw, pitch in VIEWS_DEG:
            turn = Camera.at_yaw(yaw, pitch).rotation @ rotation.T
            camera = Camera(rotation=turn, center_world=center, half_width_world=radius, size=count)
            grid = np.stack(np.meshgrid(np.arange(count) + 0.5, np.arange(count) + 0.5), axis=-1).reshape(
                -1, 2
            )
            # Rays start just before the face, so that a raised hand does not hide it.
            origins, direction = camera.pixel_rays(grid, start_world=radius)
            points, normals, hit = self._hit_points(origins, direction)
            # Grazing hits have poor normals and are seen better from another side.
            keep = hit & (-(normals @ direction) > 0.25) & (((points - center) ** 2).sum(1) < radius**2)
            clouds.append(points[keep])
            orientations.append(normals[keep])
        cloud = np.concatenate(clouds)
        return FaceSurface(cloud, np.concatenate(orientations), cKDTree(cloud))

    def visible(
        self, points_world: NDArray[np.float64], toward: NDArray[np.float64], tolerance: float = 0.6
    ) -> NDArray[np.bool_]:
        """Return [N] whether nothing hides points [N, 3] from a viewer in direction ``toward`` [3].

        Surface within ``tolerance`` of the point itself does not hide it: a fitted face lies in the scan's skin.
        """
        hidden = self.rays.occluded(points_world + tolerance * toward, toward)
        return ~hidden
