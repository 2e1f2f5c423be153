"""The texture of a held person: the photo where it shows the surface, the network's colours elsewhere."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from jiff.body.prior import POINT_CHANNELS
from jiff.geometry.camera import Camera
from jiff.geometry.unwrap import unwrap
from jiff.inference.hidden_colors import HiddenColors, SurfaceColors
from jiff.inference.own_colors import of_sides
from jiff.photo.masks import border_distance_px
from jiff.render.bake import texels_of
from jiff.render.gbuffer import render_gbuffer, unwrapped_gbuffer
from jiff.render.photo_projection import PhotoProjection, ramp, sample_pixels
from jiff.render.seams import seam_offsets

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jiff.geometry.mesh import Mesh
    from jiff.inference.held_field import HeldField
    from jiff.photo.test_folder import PersonImage

_WHOLLY_SEEN = 0.995
_FACING = (0.1, 0.25)
"""Cosines between normal and viewing direction from which a point is of the side, and of the front."""
_INSIDE = (0.6, 1.0)
"""World units from the mask's border from which a point of the front is, and is not, coloured as one of the side."""

_FADE = 5.0
"""World units over which what is not seen takes over its colours' difference from the photo beside it."""
_ARMS_SIZE, _ARMS_REACH = 512, 1.5
"""Size of the picture in which arms are looked for, and how far beyond them their colours and shadows reach, world units."""
_BELOW_SHOULDER = (0.25, 0.3)
"""Canonical distances from the middle between which arms begin to wear other things than the trunk, metres."""
_PLACE, _ARM = slice(4, 7), POINT_CHANNELS
"""Of ``PointPrior.stacked``, and the column behind that tells whether the nearest skin is an arm's."""


class _Colors:
    """The network's colours: front by the photo as it is, sides and back by the person's own colours in it.

    What lies behind an arm, and the back, is coloured by what is beside the arm.
    """

    def __init__(
        self, mesh: Mesh, arm: NDArray[np.float32], field: HeldField, photo: PersonImage | None
    ) -> None:
        mask = field.inputs.mask if photo is None else photo.mask
        self.front, self.side = field, of_sides(field, photo)
        self.camera = Camera(size=mask.shape[0])
        self.arms = _arms_before(mesh, arm)
        self.behind = of_sides(field, photo, self.arms > 0.5) if self.arms.any() else None
        pixel_world = 2 * self.camera.half_width_world / self.camera.size
        self.depth_world = border_distance_px(mask >= 128) * pixel_world

    def __call__(
        self, points: NDArray[np.floating], normals: NDArray[np.floating], prior: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Return [N, 3] RGB in [0, 1] of surface points with unit normals, of which the body says ``prior`` [N, 9]."""
        points, (prior, arm) = np.ascontiguousarray(points, np.float32), np.split(prior, [_ARM], axis=1)
        prior = np.ascontiguousarray(prior)
        share = ramp(self._facing(normals), _FACING)
        some = np.flatnonzero(share > 0)
        pixels = self.camera.world_to_pixel(points[some])
        share[some] *= ramp(sample_pixels(self.depth_world, pixels)[:, 0], _INSIDE)
        other = np.zeros_like(share)
        if self.behind is not None:
            other = 1 - arm[:, 0]
            pixels = Camera(size=len(self.arms)).world_to_pixel(points[some])
            share[some] *= 1 - other[some] * sample_pixels(self.arms, pixels)[:, 0]
        colors = np.zeros((len(points), 3), np.float32)
        parts = (
            (self.front, share),
            (self.side, (1 - share) * (1 - other)),
            (self.behind, (1 - share) * other),
        )
        for field, weight in parts:
            if field is None:
                continue
            rows = np.flatnonzero(weight > 0)
            colors[rows] += weight[rows, None] * field.color_with(points[rows], prior[rows])
        return colors

    def surface(
        self, rgb: NDArray[np.float32], normals: NDArray[np.floating], prior: NDArray[np.float32]
    ) -> SurfaceColors:
        """Return coloured points as they are mended by."""
        return SurfaceColors(rgb, self._facing(normals), prior[:, _PLACE])

    def _facing(self, normals: NDArray[np.floating]) -> NDArray[np.float32]:
        towards = -self.camera.forward_world.astype(np.float32)
        return np.asarray(np.asarray(normals, np.float32) @ towards, np.float32)


def _arms_before(mesh: Mesh, arm: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return [S, S] in [0, 1] where the photo shows arms, and what is near to them; ``arm`` [V] tells the vertices that are."""
    import cv2

    camera = Camera(size=_ARMS_SIZE)
    seen = render_gbuffer(mesh, camera)
    image = np.zeros(camera.size**2, np.uint8)
    image[seen.pixel] = seen.interpolate(arm[:, None], mesh.faces)[:, 0] > 0.5
    reach = 2 * round(_ARMS_REACH / (2 * camera.half_width_world / camera.size)) + 1
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach))
    return cv2.dilate(image.reshape(camera.size, camera.size), disk).astype(np.float32)


class _Paint:
    """What a mesh is coloured by, known at its vertices.

    Attributes:
        colors: the network's.
        projection: of the photo, None where it is left out.
        prior: [V, 9] of the vertices, see ``_Colors``.
        offsets: [V, 3] see ``seam_offsets``, None without photo.
        hidden: colours of the back.
    """

    def __init__(self, mesh: Mesh, field: HeldField, photo: PersonImage | None) -> None:
        prior = field.inputs.prior.at(mesh.vertices).stacked()
        arm = field.inputs.prior.of_arms(mesh.vertices) * ramp(
            np.abs(prior[:, _PLACE.start]), _BELOW_SHOULDER
        )
        self.colors = _Colors(mesh, arm, field, photo)
        self.prior = np.column_stack([prior, arm])
        normals = mesh.vertex_normals()
        told = self.colors(mesh.vertices, normals, self.prior)
        self.offsets: NDArray[np.float32] | None = None
        self.projection: PhotoProjection | None = None
        if photo is not None:
            self.projection = PhotoProjection(mesh, Camera(), photo.rgb, photo.mask)
            own, share = self.projection(mesh.vertices, normals)
            self.offsets = seam_offsets(mesh, own - told, share[:, 0], _FADE)
            told = np.clip(told + self.offsets, 0, 1)
            told += share * (own - told)
        self._known = self.colors.surface(told, normals, self.prior)
        self.hidden = HiddenColors(self._known)

    def at_vertices(self) -> NDArray[np.float64]:
        """Return [V, 3] colours of the vertices, in [0, 1]."""
        return self.hidden(self._known).astype(np.float64)


def color_held(mesh: Mesh, field: HeldField) -> Mesh:
    """Return the mesh with the network's colours at its vertices."""
    return replace(mesh, colors=_Paint(mesh, field, None).at_vertices())


def texture_held(
    mesh: Mesh, field: HeldField, size: int, photo: PersonImage | None
) -> tuple[Mesh, dict[str, Any]]:
    """Return the mesh with a texture and vertex colours, and numbers.

    What the body says of a texel is interpolated between the corners of its triangle.

    Args:
        mesh: the surface, world frame.
        field: whose colours it has.
        size: width and height of the texture.
        photo: whose own colours go where they show the surface; None leaves them out.

    Raises:
        MeshError: the surface cannot be unwrapped.
    """
    begin = time.perf_counter()
    unwrapped = unwrap(mesh, size)
    cut = time.perf_counter()
    flat = unwrapped.mesh
    seen = unwrapped_gbuffer(flat, size)
    texels = texels_of(seen, flat, unwrapped.chart)
    paint = _Paint(mesh, field, photo)
    values = np.zeros((len(texels.pixel), 3), np.float32)
    weight = np.zeros((len(texels.pixel), 1), np.float32)
    if paint.projection is not None:
        values, weight = paint.projection(texels.points, texels.normals)
    asked = np.flatnonzero(weight[:, 0] < _WHOLLY_SEEN)
    part = replace(
        seen, pixel=seen.pixel[asked], face=seen.face[asked], weights=seen.weights[asked], front=seen.front[asked],
        z_ndc=seen.z_ndc[asked],
    )  # fmt: skip
    prior = part.interpolate(paint.prior, flat.faces)
    guessed = paint.colors(texels.points[asked], texels.normals[asked], prior)
    if paint.offsets is not None:
        guessed = np.clip(guessed + part.interpolate(paint.offsets, flat.faces), 0, 1)
    guessed = paint.hidden(paint.colors.surface(guessed, texels.normals[asked], prior))
    values[asked] = guessed + weight[asked] * (values[asked] - guessed)
    numbers: dict[str, Any] = {
        "charts": int(unwrapped.chart.max()) + 1,
        "texels": len(texels.pixel),
        "texels_asked": len(asked),
        "photo_share": round(float(weight.mean()), 4),
        "unwrap_seconds": round(cut - begin, 3),
        "bake_seconds": round(time.perf_counter() - cut, 3),
    }
    return replace(flat, texture=texels.image(values), colors=paint.at_vertices()), numbers
