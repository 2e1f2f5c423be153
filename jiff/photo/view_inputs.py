"""A framed photo and a fitted body as a prior-held network sees them: small pictures and maps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from jiff.body.anny_body import load_anny_body
from jiff.body.prior import BodyPrior, head_camera, head_window
from jiff.geometry.camera import Camera
from jiff.perception.crop import Crop
from jiff.photo.images import resize_image
from jiff.photo.masks import border_distance_px

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jiff.body.placed import PlacedBody

VIEW_SIZE = 256
HEAD_SIZE = 256


@dataclass(frozen=True, eq=False)
class ViewInputs:
    """What is looked at.

    Attributes:
        rgb, mask, maps: [S, S, 3], [S, S], [S, S, 6] uint8 of the whole view.
        head_rgb, head_mask, head_maps: the same of the close-up.
        head_window: [4] float32 x, y, z of the close-up's middle and half its width, world units.
        prior: of the body.
    """

    rgb: NDArray[np.uint8]
    mask: NDArray[np.uint8]
    maps: NDArray[np.uint8]
    head_rgb: NDArray[np.uint8]
    head_mask: NDArray[np.uint8]
    head_maps: NDArray[np.uint8]
    head_window: NDArray[np.float32]
    prior: BodyPrior


_FAR_PX = 32.0
_HEAD_SHARE, _BELOW_CROWN = 0.97, 0.6


def with_head(mask: NDArray[np.uint8], placed: PlacedBody) -> NDArray[np.uint8]:
    """Return a mask that holds the face of a body which carries the photo's, and the mask itself of others.

    Masks lose cheeks before walls of like colour; a fitted face knows where they are. Of the crown, which it guesses, the mask
    knows more.

    Args:
        mask: [S, S] of the canonical camera.
        placed: the body fitted to the photo.
    """
    import cv2

    if len(placed.extra_index) == 0:
        return mask
    body = load_anny_body()
    index = body.region_vertices("head")
    rest = body.rest_vertices()[index, 1]
    index = index[rest < rest.min() + _BELOW_CROWN * (rest.max() - rest.min())]
    head = placed.vertices_world(body)[index]
    pixels = Camera(size=mask.shape[0]).world_to_pixel(head)
    middle = (pixels.min(axis=0) + pixels.max(axis=0)) / 2
    hull = cv2.convexHull((middle + _HEAD_SHARE * (pixels - middle)).astype(np.float32))
    filled = cv2.fillConvexPoly(np.zeros_like(mask), np.rint(hull).astype(np.int32), 255)
    return np.maximum(mask, filled)


def mask_distance(mask: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return [S, S] in [-1, 1] how far each pixel lies from the border of a mask, positive inside; 1 is 32 pixels or more."""
    return np.asarray(np.clip(border_distance_px(mask >= 128) / _FAR_PX, -1, 1), np.float32)


def view_inputs(rgb: NDArray[np.uint8], mask: NDArray[np.uint8], placed: PlacedBody) -> ViewInputs:
    """Return the inputs of a framed photo.

    Args:
        rgb: [S, S, 3] of the canonical camera, at any size.
        mask: [S, S].
        placed: the body fitted to it.
    """
    prior, window = BodyPrior(placed), head_window(placed)
    camera = Camera(size=rgb.shape[0])
    x, y = camera.world_to_pixel(window[:3])
    crop = Crop((float(x), float(y)), float(window[3]) / camera.half_width_world * camera.size)
    return ViewInputs(
        resize_image(rgb, (VIEW_SIZE, VIEW_SIZE)), resize_image(mask, (VIEW_SIZE, VIEW_SIZE)),
        prior.maps(Camera(size=VIEW_SIZE)),
        crop.take(rgb, HEAD_SIZE), crop.take(mask, HEAD_SIZE), prior.maps(head_camera(window, HEAD_SIZE)),
        window, prior,
    )  # fmt: skip
