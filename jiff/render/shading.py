"""Deferred shading: the colours of a G-buffer under an environment, by precomputed radiance transfer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from jiff.geometry.raycast import RayScene
from jiff.render.gbuffer import GBuffer, render_gbuffer
from jiff.render.sh import GAMMA, environment_in_model_frame
from jiff.render.texture import pyramid_level, texels_per_world, texture_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike, NDArray

    from jiff.geometry.camera import Camera
    from jiff.geometry.mesh import Mesh
    from jiff.render.prt_io import Prt

    Caster = Callable[[Camera, int], GBuffer]


@dataclass(frozen=True)
class Frame:
    """One rendered view.

    Attributes:
        image: [H, W, 3] uint8 RGB on black.
        mask: [H, W] uint8, 255 where at least half the pixel is covered, else 0.
    """

    image: NDArray[np.uint8]
    mask: NDArray[np.uint8]


def outline_points(vertices_world: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return [K, 3] few points whose hull holds all vertices: hull vertices, else (flat meshes) all of them."""
    from scipy.spatial import ConvexHull, QhullError

    try:
        return vertices_world[ConvexHull(vertices_world).vertices]
    except (QhullError, ValueError):
        return vertices_world


def image_value(albedo: NDArray[np.float32], radiance: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return clip(albedo * max(0, radiance) ^ (1 / 2.2), 0, 1), the published pixel; all [N, 3] float32."""
    import cv2

    if len(radiance) == 0:
        return np.zeros((0, 3), np.float32)
    factor = cv2.pow(np.maximum(radiance, 0), 1.0 / GAMMA)
    value: NDArray[np.float32] = np.minimum(albedo * factor, 1)
    return value


class ShadedScan:
    """A scan ready to be drawn from many views under many lights: tree, texture pyramid and transfer built once.

    Attributes:
        mesh: the scan, world units.
        prt: its radiance transfer.
        texture: its pyramid, or None when colours are per vertex.
    """

    def __init__(
        self, mesh: Mesh, prt: Prt, *, caster: Caster | None = None, scene: RayScene | None = None
    ) -> None:
        """Prepare ``mesh``, coloured by texture or vertex colours (white without), for drawing.

        Args:
            mesh: the scan.
            prt: transfer of the scan's triangles.
            caster: another maker of G-buffers (the GL one); rays without it.
            scene: the mesh's ray scene where one exists already.
        """
        self.mesh = mesh
        self.prt = prt
        self._outline = outline_points(mesh.vertices)
        self._scene = scene if scene or caster else RayScene(mesh.vertices, mesh.faces)
        self._caster = caster
        self.texture = texture_of(mesh)
        self._density = self._uv = np.zeros(0, np.float32)
        if self.texture is not None and mesh.uv is not None and mesh.faces_uv is not None:
            self._uv = np.ascontiguousarray(mesh.uv, np.float32)
            self._density = texels_per_world(
                mesh.vertices[mesh.faces], mesh.uv[mesh.faces_uv], self.texture.levels[0].shape[:2]
            )

    def cast(self, camera: Camera, samples: int = 1) -> GBuffer:
        """Return what each sample of a view sees."""
        if self._caster is not None:
            return self._caster(camera, samples)
        return render_gbuffer(self.mesh, camera, samples, scene=self._scene, outline_world=self._outline)

    def albedo(self, gbuffer: GBuffer, camera: Camera) -> NDArray[np.float32]:
        """Return [S, 3] filtered colours of the seen points, in [0, 1]."""
        mesh = self.mesh
        if self.texture is not None and mesh.faces_uv is not None:
            pixel_world = 2 * camera.half_width_world / camera.zoom / camera.size / gbuffer.samples**0.5
            level = pyramid_level(self._density.take(gbuffer.face), pixel_world)
            return self.texture.sample(gbuffer.interpolate(self._uv, mesh.faces_uv), level)
        if mesh.colors is not None:
            return gbuffer.interpolate(mesh.colors, mesh.faces)
        return np.ones((len(gbuffer.face), 3), np.float32)

    def colors(self, gbuffer: GBuffer, camera: Camera, env_sh: ArrayLike) -> NDArray[np.float32]:
        """Return [S, 3] RGB in [0, 1] of the seen points under an environment [9, 3], which is fixed to the camera."""
        env_model = environment_in_model_frame(env_sh, camera.rotation).astype(np.float32)
        # Transfer times light is linear, so that three channels are interpolated instead of nine.
        radiance = gbuffer.interpolate(self.prt.coefficients @ env_model, self.prt.faces)
        return image_value(self.albedo(gbuffer, camera), radiance)

    def render(self, camera: Camera, env_sh: ArrayLike, samples: int = 1) -> Frame:
        """Draw one view.

        Args:
            camera: the view.
            env_sh: [9, 3] environment, fixed to the camera.
            samples: rays per pixel.
        """
        gbuffer = self.cast(camera, samples)
        image = np.rint(gbuffer.resolve(self.colors(gbuffer, camera, env_sh)) * 255).astype(np.uint8)
        return Frame(image, gbuffer.mask())
