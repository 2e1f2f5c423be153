"""How well a reconstruction agrees with its own photo: outline and colours, as the camera sees them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from jiff.geometry.camera import Camera
from jiff.photo.images import resize_image
from jiff.render.gbuffer import render_gbuffer
from jiff.render.preview import preview_colors

if TYPE_CHECKING:
    from jiff.geometry.mesh import Mesh
    from jiff.photo.test_folder import PersonImage

_SIDE = 512
"""Pixels of the comparison: those of the training pictures; larger photos are made smaller."""
_SAMPLES = 4
"""Rays per pixel: with one, a right outline loses a hundredth of IoU to chance."""
_EDGE = 2
"""Pixels along the outline where person and background mix."""


def photo_numbers(mesh: Mesh, person: PersonImage) -> dict[str, float]:
    """Compare a mesh with the framed photo that it was made from.

    Args:
        mesh: in the canonical camera's world frame.
        person: image and mask [S, S], framed; compared at 512 pixels where they are larger.

    Returns:
        ``silhouette_iou``, of the mesh's silhouette and the mask, and, for a mesh with colours where both overlap,
        ``color_difference``: mean absolute difference per channel, of 255, between the mesh's colours without any light
        and the photo, over pixels 2 away from the rim of what both cover. The photo's light counts as colour on both
        sides, because the networks learn colours as photographed.
    """
    side = min(_SIDE, person.mask.shape[0])
    rgb, mask = (resize_image(picture, (side, side)) for picture in (person.rgb, person.mask))
    camera = Camera(size=side)
    view = render_gbuffer(mesh, camera, _SAMPLES)
    seen, shown = view.mask() > 0, mask >= 128
    both = seen & shown
    numbers = {"silhouette_iou": round(float(both.sum() / max((seen | shown).sum(), 1)), 4)}
    inner = cv2.erode(both.astype(np.uint8), np.ones((2 * _EDGE + 1, 2 * _EDGE + 1), np.uint8)) > 0
    if (mesh.colors is None and mesh.texture is None) or not inner.any():
        return numbers
    drawn = view.resolve(preview_colors(mesh, camera, view, shading=False))[inner] * 255.0
    numbers["color_difference"] = round(float(np.abs(drawn - rgb[inner].astype(np.float32)).mean()), 2)
    return numbers
