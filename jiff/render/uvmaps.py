"""The texture's own view of a scan: position, normal and transfer of every texel, and its colour under any light.

Nothing is drawn per view: a texel's transfer is fixed, so that a view's UV_RENDER is one [T, 9] x [9, 3] product.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from jiff.base.errors import MeshError
from jiff.geometry.mesh import Mesh
from jiff.render.gbuffer import unwrapped_gbuffer
from jiff.render.shading import image_value
from jiff.render.texture import texture_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jiff.render.prt_io import Prt
    from jiff.render.texture import MipTexture

_GUTTER_TEXELS = 8
"""How far colours, positions and normals are continued across seams: a JPEG block."""


@dataclass(frozen=True)
class UvMaps:
    """Per-texel data of a scan; T texels belong to the surface, G gutter texels repeat their nearest one.

    Attributes:
        size: width and height of the maps.
        texel: [T] row * size + column; row 0 is v = 1.
        points_world: [T, 3] model-frame positions.
        normals: [T, 3] unit model-frame normals.
        albedo: [T, 3] in [0, 1].
        transfer: [T, 9] PRT.
        gutter: [G] texels next to the surface's.
        gutter_source: [G] rows of the T texels they repeat.
    """

    size: int
    texel: NDArray[np.int64]
    points_world: NDArray[np.float32]
    normals: NDArray[np.float32]
    albedo: NDArray[np.float32]
    transfer: NDArray[np.float32]
    gutter: NDArray[np.int64]
    gutter_source: NDArray[np.int64]

    def image(self, values: NDArray) -> NDArray:
        """Return [size, size, C] with ``values`` [T, C] at their texels and in the gutters, 0 elsewhere."""
        image = np.zeros((self.size * self.size, values.shape[1]), values.dtype)
        image[self.texel] = values
        image[self.gutter] = values[self.gutter_source]
        return image.reshape(self.size, self.size, -1)

    def mask(self) -> NDArray[np.uint8]:
        """Return [size, size] 255 on texels of the surface (gutters left out), else 0."""
        image = np.zeros(self.size * self.size, np.uint8)
        image[self.texel] = 255
        return image.reshape(self.size, self.size)

    def positions(self) -> NDArray[np.float32]:
        """Return [size, size, 3] model-frame positions."""
        return self.image(self.points_world)

    def normal_image(self) -> NDArray[np.uint8]:
        """Return [size, size, 3] uint8, (n + 1) / 2."""
        return self.image(np.rint((self.normals + 1) * 127.5).astype(np.uint8))

    def render(self, env_model: NDArray[np.floating]) -> NDArray[np.uint8]:
        """Return [size, size, 3] uint8 RGB under an environment.

        Args:
            env_model: [9, 3] as the unturned subject sees it (``jiff.render.sh.environment_in_model_frame``).
        """
        radiance = self.transfer @ np.asarray(env_model, np.float32)
        return self.image(np.rint(image_value(self.albedo, radiance) * 255).astype(np.uint8))


def published_normals(mesh: Mesh) -> NDArray[np.float64]:
    """Return [V, 3] unit normals: the mesh's own, else as the published renderer makes them up.

    Its in-place sum counts, of all faces whose k-th corner a vertex is, only the last (k = 1, 2, 3). The mean of
    all faces differs by some degrees; recorded UV_NORMAL maps follow this rule, so scans without normals do too.
    """
    if mesh.normals is not None:
        return mesh.normals
    cross = mesh.face_cross()
    cross /= np.maximum(np.linalg.norm(cross, axis=1, keepdims=True), 1e-20)
    total = np.zeros_like(mesh.vertices)
    for corner in mesh.faces.T:
        last = np.full(len(mesh.vertices), -1)
        np.maximum.at(last, corner, np.arange(len(corner)))
        known = last >= 0
        total[known] += cross[last[known]]
    total /= np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-20)
    return total


def _gutters(texel: NDArray[np.int64], size: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    from scipy.ndimage import distance_transform_edt

    row_of = np.full(size * size, -1, np.int64)
    row_of[texel] = np.arange(len(texel))
    outside = (row_of < 0).reshape(size, size)
    distance, (row, column) = distance_transform_edt(outside, return_indices=True)
    gutter = np.flatnonzero((outside & (distance <= _GUTTER_TEXELS)).ravel())
    return gutter, row_of[(row * size + column).ravel()[gutter]]


def build_uv_maps(mesh: Mesh, prt: Prt, size: int, texture: MipTexture | None = None) -> UvMaps:
    """Find the surface point of every texel by casting rays at the unwrapped mesh.

    Args:
        mesh: with texture coordinates; texture, else vertex colours, else white.
        prt: transfer of the mesh's triangles.
        size: width and height of the maps.
        texture: the mesh's pyramid where one exists already.

    Raises:
        MeshError: the mesh has no texture coordinates, or none inside the unit square.
    """
    if mesh.uv is None or mesh.faces_uv is None:
        raise MeshError("The mesh has no texture coordinates; UV maps cannot be made of it.")
    seen = unwrapped_gbuffer(mesh, size)
    if len(seen.pixel) == 0:
        raise MeshError("All texture coordinates lie outside the unit square; UV maps cannot be made of it.")
    normals = seen.interpolate(published_normals(mesh), mesh.faces)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    texture = texture or texture_of(mesh)
    if texture is not None:
        level = np.log2(max(max(texture.levels[0].shape[:2]) / size, 1.0))
        albedo = texture.sample(seen.interpolate(mesh.uv, mesh.faces_uv), level)
    elif mesh.colors is not None:
        albedo = seen.interpolate(mesh.colors, mesh.faces)
    else:
        albedo = np.ones((len(seen.pixel), 3), np.float32)
    gutter, source = _gutters(seen.pixel, size)
    return UvMaps(
        size=size,
        texel=seen.pixel,
        points_world=seen.interpolate(mesh.vertices, mesh.faces),
        normals=normals,
        albedo=albedo,
        transfer=seen.interpolate(prt.coefficients, prt.faces),
        gutter=gutter,
        gutter_source=source,
    )
