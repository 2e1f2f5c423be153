"""The texture of a held person: the photo where it shows the surface, the network's colours elsewhere."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from jiff.geometry.camera import Camera
from jiff.geometry.unwrap import unwrap
from jiff.render.bake import texels_of
from jiff.render.gbuffer import unwrapped_gbuffer
from jiff.render.photo_projection import PhotoProjection

if TYPE_CHECKING:
    from jiff.geometry.mesh import Mesh
    from jiff.inference.held_field import HeldField
    from jiff.photo.test_folder import PersonImage

_WHOLLY_SEEN = 0.995


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
    values = np.zeros((len(texels.pixel), 3), np.float32)
    weight = np.zeros((len(texels.pixel), 1), np.float32)
    projection = None
    if photo is not None:
        projection = PhotoProjection(mesh, Camera(), photo.rgb, photo.mask)
        values, weight = projection(texels.points, texels.normals)
    prior = field.inputs.prior.at(flat.vertices).stacked()
    asked = np.flatnonzero(weight[:, 0] < _WHOLLY_SEEN)
    part = replace(
        seen, pixel=seen.pixel[asked], face=seen.face[asked], weights=seen.weights[asked], front=seen.front[asked],
        z_ndc=seen.z_ndc[asked],
    )  # fmt: skip
    guessed = field.color_with(texels.points[asked], part.interpolate(prior, flat.faces))
    values[asked] = guessed + weight[asked] * (values[asked] - guessed)
    at_vertices = np.asarray(field.color(mesh.vertices), np.float64)
    if projection is not None:
        own, share = projection(mesh.vertices, mesh.vertex_normals())
        at_vertices += share * (own - at_vertices)
    numbers: dict[str, Any] = {
        "charts": int(unwrapped.chart.max()) + 1,
        "texels": len(texels.pixel),
        "texels_asked": len(asked),
        "photo_share": round(float(weight.mean()), 4),
        "unwrap_seconds": round(cut - begin, 3),
        "bake_seconds": round(time.perf_counter() - cut, 3),
    }
    return replace(flat, texture=texels.image(values), colors=at_vertices), numbers
