"""Colours of a finished surface: per vertex, or as a texture baked from the colour field, with the photo where it can."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from jiff.geometry.unwrap import unwrap
from jiff.render.bake import bake_field, surface_texels
from jiff.render.photo_projection import PhotoProjection

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jiff.geometry.camera import Camera
    from jiff.geometry.mesh import Mesh
    from jiff.photo.test_folder import PersonImage

    ColorFunction = Callable[[NDArray[np.floating]], NDArray[np.floating]]


def texture_mesh(
    mesh: Mesh, color: ColorFunction, size: int, photo: tuple[PersonImage, Camera] | None = None
) -> tuple[Mesh, dict[str, Any]]:
    """Return the mesh with a baked texture and vertex colours (for formats without textures), and numbers.

    Args:
        mesh: the surface, world frame.
        color: [N, 3] points to [N, 3] RGB in [0, 1].
        size: width and height of the texture.
        photo: image and camera whose own colours go where they show the surface; None leaves them out.

    Raises:
        MeshError: the surface cannot be unwrapped.
    """
    begin = time.perf_counter()
    unwrapped = unwrap(mesh, size)
    cut = time.perf_counter()
    texels = surface_texels(unwrapped.mesh, size, unwrapped.chart)
    values, asked = bake_field(texels, color)
    numbers: dict[str, Any] = {
        "charts": int(unwrapped.chart.max()) + 1,
        "texels": len(texels.pixel),
        "texels_asked": asked,
        "unwrap_seconds": round(cut - begin, 3),
        "bake_seconds": round(time.perf_counter() - cut, 3),
    }
    at_vertices = np.asarray(color(mesh.vertices), np.float64)
    if photo is not None:
        started = time.perf_counter()
        person, camera = photo
        projection = PhotoProjection(mesh, camera, person.rgb, person.mask)
        seen, weight = projection(texels.points, texels.normals)
        values += weight * (seen - values)
        numbers["photo_share"] = round(float(weight.mean()), 4)
        seen, weight = projection(mesh.vertices, mesh.vertex_normals())
        at_vertices += weight * (seen - at_vertices)
        numbers["photo_seconds"] = round(time.perf_counter() - started, 3)
    textured = replace(unwrapped.mesh, texture=texels.image(values), colors=at_vertices)
    return textured, numbers
