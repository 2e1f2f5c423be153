"""The fitted body in its photo, and beside it from the side."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from jiff.body.files import body_mesh
from jiff.geometry.camera import Camera
from jiff.photo.images import resize_image
from jiff.render.preview import render_preview

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jiff.body.anny_body import AnnyBody
    from jiff.body.placed import PlacedBody

_SIDE = 512
_SHOWN = 0.65
"""How much of the body is drawn over the photo."""


def body_picture(rgb: NDArray[np.uint8], placed: PlacedBody, body: AnnyBody) -> NDArray[np.uint8]:
    """Return [512, 2048, 3]: the photo, the body over it, the body from its left (yaw -90) and from behind.

    Args:
        rgb: [S, S, 3] the framed photo.
        placed: in its world.
        body: anny.
    """
    mesh = body_mesh(placed, body)
    photo = resize_image(rgb, (_SIDE, _SIDE))
    front = render_preview(mesh, Camera(size=_SIDE), background=(0, 0, 0))
    covered = (front.max(axis=2) > 0)[..., None]
    mixed = np.where(covered, (1 - _SHOWN) * photo + _SHOWN * front, 0.75 * photo)
    others = [render_preview(mesh, Camera.at_yaw(yaw, size=_SIDE)) for yaw in (90.0, 180.0)]
    return np.concatenate([photo, np.rint(mixed).astype(np.uint8), *others], axis=1)
