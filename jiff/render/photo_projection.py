"""The photo's own colours for the surface points that it shows, with weights that fade before they can go wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from jiff.geometry.raycast import RayScene
from jiff.render.gbuffer import render_gbuffer

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jiff.geometry.camera import Camera
    from jiff.geometry.mesh import Mesh


@dataclass(frozen=True)
class ProjectionOptions:
    """Where the photo is trusted.

    Attributes:
        facing: cosines between normal and viewing direction at which its weight is 0 and 1.
        border_world: distances from the mask's border, and from edges behind which the depth jumps, at which the
            weight is 0 and 1, world units.
        jump_world: step of the depth between neighbouring pixels that counts as such an edge, world units.
        lift_world: distance from the surface at which rays towards the camera begin.
    """

    facing: tuple[float, float] = (0.2, 0.5)
    border_world: tuple[float, float] = (0.5, 1.8)
    jump_world: float = 2.0
    lift_world: float = 0.15


def ramp(value: NDArray[np.floating], ends: tuple[float, float]) -> NDArray[np.float32]:
    """Return 0 below the first end, 1 above the second, smooth between."""
    t = np.clip((np.asarray(value, np.float32) - ends[0]) / (ends[1] - ends[0]), 0, 1)
    smooth: NDArray[np.float32] = t * t * (3 - 2 * t)
    return smooth


def sample_pixels(image: NDArray, pixels: NDArray[np.float64]) -> NDArray[np.float32]:
    """Sample [H, W] or [H, W, C] at continuous pixels [N, 2], bilinearly."""
    import cv2

    row = 16384
    count = len(pixels)
    if count == 0:
        return np.zeros((0, image.shape[2] if image.ndim == 3 else 1), np.float32)
    padded = np.zeros((-(-count // row) * row, 2), np.float32)
    padded[:count] = pixels - 0.5
    out = cv2.remap(
        np.ascontiguousarray(image, np.float32),
        padded.reshape(-1, row, 2),
        np.empty(0, np.float32),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(out.reshape(len(padded), -1)[:count], np.float32)


class PhotoProjection:
    """One photo and the mesh it shows."""

    def __init__(
        self,
        mesh: Mesh,
        camera: Camera,
        rgb: NDArray[np.uint8],
        mask: NDArray[np.uint8],
        options: ProjectionOptions | None = None,
    ) -> None:
        """Find out where the photo can be trusted.

        Args:
            mesh: in the camera's world frame.
            camera: of the photo.
            rgb: [S, S, 3].
            mask: [S, S], 255 on the person.
            options: widths of the fading.
        """
        import cv2

        self.options = options or ProjectionOptions()
        self.camera = camera.with_size(rgb.shape[0])
        self.rgb = rgb
        self.scene = RayScene(mesh.vertices, mesh.faces)
        self.radius = float(np.linalg.norm(mesh.bounds[1] - mesh.bounds[0])) * 2
        view = render_gbuffer(mesh, self.camera, scene=self.scene)
        unit = self.camera.half_width_world / self.camera.zoom
        depth = np.nan_to_num(view.depth_image() * np.float32(unit), nan=-1e4).astype(np.float32)
        neighbours = np.ones((3, 3), np.uint8)
        jump = cv2.dilate(depth, neighbours) - cv2.erode(depth, neighbours) > self.options.jump_world
        # Before resizing and blending, foreign colours sit on both sides of an edge.
        usable = ((mask >= 128) & ~jump).astype(np.uint8)
        usable[[0, -1]] = 0
        usable[:, [0, -1]] = 0
        pixel_world = 2 * unit / self.camera.size
        self.margin_world = cv2.distanceTransform(usable, cv2.DIST_L2, cv2.DIST_MASK_5) * pixel_world

    def __call__(
        self, points: NDArray[np.floating], normals: NDArray[np.floating]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return [N, 3] colours in [0, 1] and [N, 1] weights of surface points with unit normals."""
        towards = -self.camera.forward_world
        weight = ramp(np.asarray(normals, np.float32) @ towards.astype(np.float32), self.options.facing)
        pixels = self.camera.world_to_pixel(points)
        seen = np.flatnonzero(weight > 0)
        weight[seen] *= ramp(sample_pixels(self.margin_world, pixels[seen])[:, 0], self.options.border_world)
        seen = seen[weight[seen] > 0]
        start = points[seen] + self.options.lift_world * np.asarray(normals, np.float32)[seen]
        weight[seen[self.scene.occluded(start, towards, self.radius)]] = 0
        colors = np.zeros((len(points), 3), np.float32)
        colors[seen] = sample_pixels(self.rgb, pixels[seen]) / np.float32(255)
        return colors, weight[:, None]
