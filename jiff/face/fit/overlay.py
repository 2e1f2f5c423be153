"""Pictures that let a person judge a fit at a glance."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from jiff.face.detect.locate import crop
from jiff.geometry.camera import Camera
from jiff.geometry.mesh import Mesh
from jiff.render.preview import render_preview

if TYPE_CHECKING:
    from numpy.typing import NDArray

_TINT = np.array([70, 150, 255])


def overlay_picture(
    image_rgb: NDArray[np.uint8],
    camera: Camera,
    face: Mesh,
    five_px: NDArray[np.float64] | None = None,
    size: int = 320,
) -> NDArray[np.uint8]:
    """Return [size, 3 * size, 3]: the picture's face, the same with the fit over it, the fit alone in its colours.

    Args:
        image_rgb: [S, S, 3].
        camera: of the image.
        face: the fitted face, with vertex colours.
        five_px: [5, 2] detected landmarks in pixels of the image, drawn as dots.
        size: of each part in pixels.
    """
    import cv2

    camera = camera.with_size(image_rgb.shape[0])
    pixels = camera.world_to_pixel(face.vertices)
    low, high = pixels.min(0), pixels.max(0)
    side = 1.35 * float((high - low).max())
    left, top = (low + high) / 2 - side / 2
    picture = crop(image_rgb, float(left), float(top), side, size)
    middle = camera.pixel_to_world((low + high) / 2)
    # The window's own camera: the same axes, centred on the face.
    close = Camera(
        rotation=camera.rotation,
        center_world=middle,
        half_width_world=camera.half_width_world / camera.zoom * side / camera.size,
        size=size,
    )
    clay = render_preview(Mesh(face.vertices, face.faces), close, background=(0, 0, 0), samples=1)
    covered = clay.any(axis=2)
    mixed = picture.astype(np.float64)
    shade = clay.mean(axis=2, keepdims=True) / 255.0 * _TINT
    mixed[covered] = 0.5 * mixed[covered] + 0.7 * shade[covered]
    over = np.clip(mixed, 0, 255).astype(np.uint8)
    dotted = picture.copy()
    if five_px is not None:
        for x, y in (np.asarray(five_px) - [left, top]) * (size / side):
            cv2.circle(dotted, (round(float(x)), round(float(y))), 3, (0, 255, 0), -1, cv2.LINE_AA)
    own = render_preview(face, close, background=(1, 1, 1), shading=False, samples=4)
    return np.concatenate([dotted, over, own], axis=1)
