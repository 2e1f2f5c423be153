"""Texture sampling: bilinear within a level, linear between the levels of a box-filtered pyramid."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from jiff.geometry.mesh import Mesh

# cv2.remap takes images of at most 32767 pixels a side; points go through it folded into rows of this length.
_ROW = 16384


def bilinear(image: NDArray[np.uint8], uv: ArrayLike) -> NDArray[np.float32]:
    """Sample ``image`` at texture coordinates.

    Coordinates in [0, 1] stop at the edge (no bleeding from the opposite side); others repeat the texture.
    Positions are rounded to 1/32 texel and colours to 1/255.

    Args:
        image: [H, W, 3] uint8, row 0 is v = 1.
        uv: [N, 2] (u right, v up); the first texel's centre is u = 0.5 / W.

    Returns:
        [N, 3] float32 in [0, 1].
    """
    import cv2

    height, width = image.shape[:2]
    uv = np.asarray(uv, np.float32)
    count = len(uv)
    if count == 0:
        return np.zeros((0, 3), np.float32)
    outside = (uv < 0) | (uv > 1)
    if outside.any():
        uv = np.where(outside, uv - np.floor(uv), uv)
    rows = -(-count // _ROW)
    position = np.zeros((rows * _ROW if rows > 1 else count, 2), np.float32)
    position[:count, 0] = uv[:, 0] * np.float32(width) - np.float32(0.5)
    position[:count, 1] = (1 - uv[:, 1]) * np.float32(height) - np.float32(0.5)
    folded = position.reshape(rows, -1, 2)
    whole = np.empty(0, np.float32)
    out = cv2.remap(image, folded, whole, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return out.reshape(-1, 3)[:count] * np.float32(1 / 255)


class MipTexture:
    """A texture with its pyramid, so that an 8192-px texture does not shimmer in a 512-px image.

    Attributes:
        levels: images [H, W, 3] uint8, each half the size of the one before.
    """

    def __init__(self, image: NDArray[np.uint8], *, pyramid: bool = True) -> None:
        """Build the pyramid of ``image`` [H, W, 3] uint8 by area averages; without ``pyramid`` it is the image alone."""
        import cv2

        self.levels: list[NDArray[np.uint8]] = [np.ascontiguousarray(image)]
        while pyramid and min(self.levels[-1].shape[:2]) > 1:
            height, width = self.levels[-1].shape[:2]
            half = (max(1, width // 2), max(1, height // 2))
            self.levels.append(
                np.asarray(cv2.resize(self.levels[-1], half, interpolation=cv2.INTER_AREA), np.uint8)
            )

    def sample(self, uv: ArrayLike, level: ArrayLike) -> NDArray[np.float32]:
        """Sample at [N, 2] ``uv`` and [N] (or one) fractional ``level`` (0 = full size); [N, 3] in [0, 1]."""
        uv = np.asarray(uv, np.float32)
        wanted = np.clip(np.broadcast_to(np.asarray(level, np.float32), len(uv)), 0, len(self.levels) - 1)
        if len(uv) == 0 or wanted.max() == 0:
            return bilinear(self.levels[0], uv)
        lower = wanted.astype(np.int64)
        upper_weight = wanted - lower
        out = np.empty((len(uv), 3), np.float32)
        for index in range(int(lower.min()), int(lower.max()) + 1):
            chosen = np.flatnonzero(lower == index)
            value = bilinear(self.levels[index], uv[chosen])
            weight = upper_weight[chosen, None]
            if index + 1 < len(self.levels) and weight.any():
                value += weight * (bilinear(self.levels[index + 1], uv[chosen]) - value)
            out[chosen] = value
        return out


def has_triangle_atlas(mesh: Mesh) -> bool:
    """Tell whether each triangle has its own place in the texture, as in an atlas of vertex colours.

    What lies side by side in such a texture does not on the surface: averages over texels mix strangers.
    """
    if mesh.uv is None or mesh.faces_uv is None or len(mesh.uv) <= 2 * len(mesh.faces_uv):
        return False
    # Exporters may repeat shared coordinates for each corner; a chart has about one per two triangles.
    key = np.rint(mesh.uv * 1e6).astype(np.int64)
    return len(np.unique(key[:, 0] * 4_000_000 + key[:, 1])) > 2 * len(mesh.faces_uv)


def texture_of(mesh: Mesh) -> MipTexture | None:
    """Return a mesh's texture for sampling, None where it has none: with its pyramid where that means something."""
    if mesh.texture is None or mesh.uv is None or mesh.faces_uv is None:
        return None
    return MipTexture(mesh.texture, pyramid=not has_triangle_atlas(mesh))


def texels_per_world(
    triangles_world: NDArray[np.float64], triangles_uv: NDArray[np.float64], texture_size: tuple[int, int]
) -> NDArray[np.float32]:
    """Return [F] texels per world unit of each triangle, both directions averaged.

    Args:
        triangles_world: [F, 3, 3] corners.
        triangles_uv: [F, 3, 2] texture coordinates of the corners.
        texture_size: (height, width) of level 0.
    """
    edge = triangles_world[:, 1:] - triangles_world[:, :1]
    area_world = np.linalg.norm(np.cross(edge[:, 0], edge[:, 1]), axis=1)
    side = (triangles_uv[:, 1:] - triangles_uv[:, :1]) * np.array([texture_size[1], texture_size[0]])
    area_texel = np.abs(side[:, 0, 0] * side[:, 1, 1] - side[:, 0, 1] * side[:, 1, 0])
    return np.sqrt(area_texel / np.maximum(area_world, 1e-20)).astype(np.float32)


def pyramid_level(density: NDArray[np.float32], pixel_world: float) -> NDArray[np.float32]:
    """Return the level at which a texel is as wide as a pixel (of ``pixel_world`` units) seen face on, at least 0.

    Obliqueness is left out on purpose: it would blur the direction that is not foreshortened; samples see to the other.
    """
    level: NDArray[np.float32] = np.log2(np.maximum(density * np.float32(pixel_world), 1.0))
    return level
