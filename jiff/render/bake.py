"""Bake a colour field into a texture: the surface point of every texel, the field asked where it varies, full gutters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from jiff.base.errors import MeshError
from jiff.geometry.mesh import Mesh
from jiff.render.gbuffer import GBuffer, unwrapped_gbuffer

if TYPE_CHECKING:
    from numpy.typing import NDArray

    ColorFunction = Callable[[NDArray[np.float32]], NDArray[np.floating]]

_STRIDES = (8, 4, 2)
"""Sides of the squares of texels over which the field may turn out to be bilinear, in texels."""

TOLERANCE = 1.25 / 255
"""How far the field may be from bilinear in the middle of such a square."""

_CONTRAST = 24 / 255
"""Squares whose corners differ by more are divided: an edge may pass beside their middle."""


@dataclass(frozen=True)
class Texels:
    """Surface points of the texels that charts cover.

    Attributes:
        size: width and height of the texture.
        pixel: [T] row * size + column, row 0 at v = 1.
        points: [T, 3] positions, float32.
        normals: [T, 3] unit normals, float32.
        chart: [size, size] chart of each texel, -1 beside the charts.
    """

    size: int
    pixel: NDArray[np.int64]
    points: NDArray[np.float32]
    normals: NDArray[np.float32]
    chart: NDArray[np.int32]

    def image(self, values: NDArray[np.floating]) -> NDArray[np.uint8]:
        """Return the texture [size, size, 3] uint8 of colours [T, 3] in [0, 1]; texels beside charts repeat the nearest."""
        flat = np.zeros((self.size * self.size, 3), np.uint8)
        flat[self.pixel] = np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8)
        return flat[self.nearest()].reshape(self.size, self.size, 3)

    def nearest(self) -> NDArray[np.int64]:
        """Return [size * size] the covered texel nearest to each."""
        import cv2

        outside = (self.chart < 0).astype(np.uint8)
        _, label = cv2.distanceTransformWithLabels(
            outside, cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
        )
        # Labels number the covered texels from 1 in some order of OpenCV's own.
        owner = np.zeros(int(label.max()) + 1, np.int64)
        owner[label.ravel()[self.pixel]] = self.pixel
        return owner[label.ravel()]


def surface_texels(mesh: Mesh, size: int, chart: NDArray[np.int64] | None = None) -> Texels:
    """Return the surface point at the centre of every texel, found by casting rays at the unwrapped mesh.

    Args:
        mesh: with texture coordinates in the unit square.
        size: width and height of the texture.
        chart: [F] chart of each triangle; one for all without it.

    Raises:
        MeshError: no texture coordinates, or none inside the unit square.
    """
    return texels_of(unwrapped_gbuffer(mesh, size), mesh, chart)


def texels_of(seen: GBuffer, mesh: Mesh, chart: NDArray[np.int64] | None = None) -> Texels:
    """Return the texels of a mesh that was cast as it lies in its texture; see ``surface_texels``."""
    size = seen.size
    if len(seen.pixel) == 0:
        raise MeshError("No texel lies on the surface; choose a larger --texture-size.")
    normals = seen.interpolate(mesh.vertex_normals(), mesh.faces)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    image = np.full(size * size, -1, np.int32)
    image[seen.pixel] = 0 if chart is None else chart[seen.face]
    points = seen.interpolate(mesh.vertices, mesh.faces)
    return Texels(size, seen.pixel, points, normals, image.reshape(size, size))


def bake_field(
    texels: Texels, color: ColorFunction, tolerance: float = TOLERANCE
) -> tuple[NDArray[np.float32], int]:
    """Return [T, 3] colours of all texels, and how often the field was asked.

    The field is asked at the corners and in the middle of squares of texels that lie within one chart. Where the
    middle is what the corners predict, the square is filled by interpolation, otherwise smaller squares are tried;
    what remains, and the texels along the borders of charts, are asked one by one.

    Args:
        texels: from ``surface_texels``.
        color: [N, 3] points to [N, 3] colours in [0, 1].
        tolerance: how far the middle may be off; 0 asks the field at every texel.
    """
    size = texels.size
    row_of = np.full((size, size), -1, np.int64)
    row_of.reshape(-1)[texels.pixel] = np.arange(len(texels.pixel))
    values = np.zeros((len(texels.pixel), 3), np.float32)
    known = np.zeros(len(texels.pixel), bool)
    done = np.zeros((size, size), bool)
    done[texels.chart < 0] = True
    asked = 0

    def ask(rows: NDArray[np.int64]) -> None:
        nonlocal asked
        rows = np.unique(rows)
        rows = rows[~known[rows]]
        if len(rows):
            values[rows] = color(texels.points[rows])
            known[rows] = True
            asked += len(rows)

    for stride in _STRIDES if tolerance > 0 else ():
        top, left = _open_squares(texels.chart, done, stride)
        if len(top) == 0:
            continue
        corners = [row_of[top + i * stride, left + j * stride] for i in (0, 1) for j in (0, 1)]
        middle = row_of[top + stride // 2, left + stride // 2]
        ask(np.concatenate([*corners, middle]))
        at = np.stack([values[rows] for rows in corners])
        error = np.abs(at.mean(axis=0) - values[middle]).max(axis=1)
        smooth = (error <= tolerance) & (np.ptp(at, axis=0).max(axis=1) <= _CONTRAST)
        top, left, at = top[smooth], left[smooth], at[:, smooth]
        for i in range(stride):
            for j in range(stride):
                rows = row_of[top + i, left + j]
                s, t = np.float32(i / stride), np.float32(j / stride)
                value = (1 - s) * ((1 - t) * at[0] + t * at[1]) + s * ((1 - t) * at[2] + t * at[3])
                fresh = ~known[rows]
                values[rows[fresh]] = value[fresh]
                done[top + i, left + j] = True
    ask(row_of[~done])
    return values, asked


def _open_squares(
    chart: NDArray[np.int32], done: NDArray[np.bool_], stride: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return top rows and left columns of unfinished squares whose texels, far corners included, are of one chart."""
    count = (len(chart) - 1) // stride
    if count < 1:
        none = np.zeros(0, np.int64)
        return none, none
    span = count * stride
    first = chart[:span:stride, :span:stride]
    whole = first >= 0
    for i in range(stride + 1):
        for j in range(stride + 1):
            whole &= chart[i : i + span : stride, j : j + span : stride] == first
    # A square is finished with its first texel: larger squares cover smaller ones wholly or not at all.
    whole &= ~done[:span:stride, :span:stride]
    top, left = np.nonzero(whole)
    return top.astype(np.int64) * stride, left.astype(np.int64) * stride
