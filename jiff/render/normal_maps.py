"""Normal maps of a mesh from four sides by ray casting, and how far those of two meshes are apart.

The definition follows the evaluation of ICON (Xiu et al., CVPR 2022) and PIFuHD (Saito et al., CVPR 2020): 512 x 512
pixels, orthographic, subject turned by 0, 90, 180 and 270 degrees, interpolated vertex normals (means of the triangles
around a vertex weighted by their angle, whatever normals a file brings) in the camera's frame. Here the square is the
training camera's 204.8 x 204.8 units around (0, 90, 0).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from jiff.geometry.camera import Camera
from jiff.geometry.raycast import RayScene
from jiff.render.gbuffer import render_gbuffer

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from jiff.geometry.mesh import Mesh

NORMAL_MAP_YAWS = (0.0, 90.0, 180.0, 270.0)
NORMAL_MAP_SIZE = 512


@dataclass(frozen=True)
class NormalMap:
    """What one view shows.

    Attributes:
        normals_camera: [H, W, 3] unit normals (x right, y up, z towards the camera), 0 where nothing is seen.
        points_world: [H, W, 3] the seen points, NaN where nothing is seen.
    """

    normals_camera: NDArray[np.float32]
    points_world: NDArray[np.float32]

    @property
    def seen(self) -> NDArray[np.bool_]:
        """[H, W] where the mesh is."""
        return ~np.isnan(self.points_world[..., 0])

    def coded(self) -> NDArray[np.float32]:
        """Return [H, W, 3] the normals as colours n / 2 + 1 / 2 on black, the form that is compared."""
        return np.where(self.seen[..., None], self.normals_camera * 0.5 + 0.5, np.float32(0)).astype(
            np.float32
        )

    def inside(self, box_world: NDArray[np.float64]) -> NDArray[np.bool_]:
        """[H, W] where the seen point lies in a box [2, 3]."""
        with np.errstate(invalid="ignore"):
            within = (self.points_world >= box_world[0]) & (self.points_world <= box_world[1])
        return np.asarray(within.all(axis=-1))


def normal_maps(mesh: Mesh, *, scene: RayScene | None = None, size: int = NORMAL_MAP_SIZE) -> list[NormalMap]:
    """Return the maps from front, the subject's right side, back and left side.

    Args:
        mesh: world units, feet near y = 0, facing +z.
        scene: its ray scene where there is one.
        size: width and height of the maps, pixels.
    """
    scene = scene or RayScene(mesh.vertices, mesh.faces)
    vertex_normals = replace(mesh, normals=None).vertex_normals()
    maps = []
    for yaw in NORMAL_MAP_YAWS:
        camera = Camera.at_yaw(yaw, size=size)
        view = render_gbuffer(mesh, camera, 1, scene=scene)
        normals = view.interpolate(vertex_normals, mesh.faces) @ camera.rotation.astype(np.float32).T
        normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
        points = view.interpolate(mesh.vertices, mesh.faces)
        maps.append(NormalMap(view.resolve(normals), view.resolve(points, np.nan)))
    return maps


@dataclass(frozen=True)
class NormalMapError:
    """Difference of two meshes' normal maps.

    Attributes:
        l2: squared distance of the coded normals, averaged over a view's pixels and summed over the four views.
        angle_deg: mean angle over the pixels of all views where both meshes are seen.
    """

    l2: float
    angle_deg: float


def normal_map_error(
    pred: list[NormalMap], truth: list[NormalMap], box_world: ArrayLike | None = None
) -> NormalMapError:
    """Compare the maps of a reconstruction with those of its scan.

    Args:
        pred: of the reconstruction.
        truth: of the scan.
        box_world: [2, 3] compare only pixels that show a point of this box on either mesh; all pixels without it.

    Returns:
        The error; NaN for what no pixel can tell.
    """
    total, counted_views, angle_sum, angle_count = 0.0, 0, 0.0, 0
    for own, other in zip(pred, truth, strict=True):
        chosen = np.ones(own.seen.shape, dtype=bool)
        if box_world is not None:
            box = np.asarray(box_world, dtype=np.float64)
            chosen = own.inside(box) | other.inside(box)
        if chosen.any():
            squared = np.square(own.coded()[chosen].astype(np.float64) - other.coded()[chosen]).sum(axis=1)
            total += float(squared.mean())
            counted_views += 1
        both = chosen & own.seen & other.seen
        dots = np.einsum("ij,ij->i", own.normals_camera[both], other.normals_camera[both], dtype=np.float64)
        angle_sum += float(np.degrees(np.arccos(np.clip(dots, -1.0, 1.0))).sum())
        angle_count += int(both.sum())
    return NormalMapError(
        total if counted_views else float("nan"), angle_sum / angle_count if angle_count else float("nan")
    )
