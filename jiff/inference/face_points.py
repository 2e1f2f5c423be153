"""Whether a reconstruction has the photo's face: the face network looks at its rendering and finds the 468 points again, or not."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from jiff.geometry.camera import Camera
from jiff.perception.networks import whole_crop
from jiff.perception.people import FACE_SCORE
from jiff.render.preview import render_preview

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jiff.geometry.mesh import Mesh
    from jiff.perception.networks import PersonNetworks

_SIDE = 256
_MARGIN = 1.6
"""Side of the rendering over the extent of the photo's points."""


def face_point_numbers(
    mesh: Mesh, points_px: NDArray[np.float64], size: int, networks: PersonNetworks
) -> dict[str, float | None]:
    """Render the head as the photo shows it, once as it is and once as clay, and find the face points again.

    Args:
        mesh: in the canonical camera's world frame.
        points_px: [468, 2 or 3] points that the network sees in the photo, pixels of the framed photo.
        size: of the framed photo.
        networks: that see faces.

    Returns:
        ``face_points`` and ``face_points_clay``: mean distance of the 468 points to those of the photo, percent of the
        face's extent there; None where the network sees no face in the rendering. Clay tells whether the shape alone is a
        face: the photo's colours on a flat head would do for the first.
    """
    photo = Camera(size=size)
    low, high = points_px[:, :2].min(axis=0), points_px[:, :2].max(axis=0)
    extent_px = float((high - low).max())
    middle = photo.pixel_to_world((low + high) / 2)
    half = _MARGIN / 2 * extent_px / size * 2 * photo.half_width_world
    camera = Camera(center_world=middle, half_width_world=half, size=_SIDE)
    wanted = camera.world_to_pixel(photo.pixel_to_world(points_px[:, :2]))
    clay = replace(mesh, colors=None, texture=None, uv=None, faces_uv=None)
    numbers: dict[str, float | None] = {}
    for name, shown, shading in (("face_points", mesh, False), ("face_points_clay", clay, True)):
        picture = render_preview(shown, camera, background=(0.5, 0.5, 0.5), shading=shading)
        found = networks.face_in(picture, whole_crop(picture))
        numbers[name] = None
        if found.score >= FACE_SCORE:
            gap = np.linalg.norm(found.points_px[:, :2] - wanted, axis=1).mean()
            numbers[name] = round(100 * float(gap) / (_SIDE / _MARGIN), 2)
    return numbers
