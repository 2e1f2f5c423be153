"""A person's pictures without what the background lends to their rim: what the sides and the back are coloured by.

All points of a flank lie behind one or two pixels of the rim, so that whatever these hold - the wall behind the person, which
masks and resizing let in by a pixel, or one fold - is drawn out over the whole depth of the body. Answers for them come from
pictures in which the rim repeats what lies safely inside, without small details.
"""

from __future__ import annotations

from copy import copy
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from jiff.geometry.camera import Camera
from jiff.inference.held_field import pictures_of
from jiff.perception.crop import Crop
from jiff.photo.images import resize_image
from jiff.photo.masks import nearest_pixels

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jiff.inference.held_field import HeldField
    from jiff.photo.test_folder import PersonImage

_SURE, _SURE_HEAD = (1.6, 0.8, 0.4), (0.8, 0.4)
"""World units inside of the border from which a pixel is the person's own; parts that are thinner take the next one. Short hair
is no thicker."""
_REACH = 2.0
"""How many times that far a sure pixel may lie away; farther ones are of another part."""
_DETAILS, _DETAILS_HEAD = (3.0, 7.0), (2.0, 2.5)
"""World units over which small details go, in the middle of the person and along the rim, which flanks draw out."""
_RIM = (2.0, 5.0)
"""World units from the border between which the rim ends."""


def own_colors(
    rgb: NDArray[np.uint8], mask: NDArray[np.uint8], unit_px: float, sure_world: tuple[float, ...] = _SURE
) -> NDArray[np.uint8]:
    """Return a picture [S, S, 3] whose rim, and all outside, repeats the nearest sure colours.

    Args:
        rgb: [S, S, 3].
        mask: [S, S], 255 on the person.
        unit_px: pixels of a world unit.
        sure_world: how far inside of the border colours are sure, world units, largest first.
    """
    import cv2

    there = mask >= 128
    if not there.any():
        return rgb
    depth = cv2.distanceTransform(there.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5) / unit_px
    result, done = rgb.copy(), np.zeros(mask.shape, bool)
    for least in sure_world:
        sure = depth >= least
        if not sure.any():
            continue
        away, nearest = nearest_pixels(sure)
        taken = there & ~sure & ~done & (away <= _REACH * least * unit_px)
        result[taken] = rgb.reshape(-1, 3)[nearest[taken]]
        done |= taken | sure
    _, nearest = nearest_pixels(there)
    result[~there] = result.reshape(-1, 3)[nearest[~there]]
    return result


def without_details(
    rgb: NDArray[np.uint8],
    mask: NDArray[np.uint8],
    unit_px: float,
    widths_world: tuple[float, float] = _DETAILS,
) -> NDArray[np.uint8]:
    """Return a picture of own colours [S, S, 3] without small details, along the rim without larger ones, too.

    Args:
        rgb: [S, S, 3], see ``own_colors``.
        mask: [S, S], 255 on the person.
        unit_px: pixels of a world unit.
        widths_world: of details in the middle and along the rim, world units.
    """
    import cv2

    # Medians leave the edges between garments where they are.
    middle, rim = (cv2.medianBlur(rgb, 2 * round(width * unit_px / 2) + 1) for width in widths_world)
    depth = cv2.distanceTransform((mask >= 128).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5) / unit_px
    share = np.clip((depth - _RIM[0]) / (_RIM[1] - _RIM[0]), 0, 1)[..., None]
    return np.asarray(np.rint(rim + share * (middle.astype(np.float32) - rim)), np.uint8)


def of_sides(
    field: HeldField, photo: PersonImage | None, before: NDArray[np.bool_] | None = None
) -> HeldField:
    """Return the field as it answers for colours of sides and back.

    Args:
        field: of the same person.
        photo: framed image and mask, by whose mask the person is told from the background; None takes the field's own.
        before: [S, S] of the canonical camera, what lies before the part of the person that is asked for: its colours are then
            taken from beside that.
    """
    inputs, window = field.inputs, field.inputs.head_window
    size, head_size = inputs.rgb.shape[0], inputs.head_rgb.shape[0]
    mask, head_mask = inputs.mask, inputs.head_mask

    def of_head(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        camera = Camera(size=image.shape[0])
        x, y = camera.world_to_pixel(window[:3])
        side = float(window[3]) / camera.half_width_world * camera.size
        return Crop((float(x), float(y)), side).take(image, head_size)

    if photo is not None:
        mask, head_mask = resize_image(photo.mask, (size, size)), of_head(photo.mask)
    if before is not None:
        hides = 255 * before.astype(np.uint8)
        mask = _without(mask, resize_image(hides, (size, size)))
        head_mask = _without(head_mask, of_head(hides))
    unit_px, head_px = size / (2 * Camera().half_width_world), head_size / (2 * float(window[3]))
    seen = without_details(own_colors(inputs.rgb, mask, unit_px), mask, unit_px)
    head = own_colors(inputs.head_rgb, head_mask, head_px, _SURE_HEAD)
    head = without_details(head, head_mask, head_px, _DETAILS_HEAD)
    result = copy(field)
    with torch.inference_mode():
        result.features = field.network.encode(
            pictures_of(replace(inputs, rgb=seen, head_rgb=head), field.device)
        )
    return result


def _without(mask: NDArray[np.uint8], hides: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a mask without what hides it; the mask itself where that is all of it."""
    rest = np.where(hides > 0, 0, mask).astype(np.uint8)
    return rest if (rest >= 128).any() else mask
