"""The face of a framed photo, from what was seen in the photo itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from jiff.base.errors import FitError
from jiff.face.detect.points_detector import detection_of
from jiff.face.fit.seen_fit import CloseUp, close_up_in
from jiff.perception.crop import Crop
from jiff.perception.landmarks import FacePoints
from jiff.photo.images import read_image
from jiff.photo.observed import frame_map
from jiff.photo.seen import read_seen_face

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jiff.face.detect.detection import Detection
    from jiff.geometry.camera import Camera
    from jiff.photo.test_folder import PersonFiles, PersonImage

_SIZE = 256
_MARGIN = 1.4
"""Side of a close-up made from the framed image, over the extent of the face."""


def seen_face(person: PersonFiles) -> Detection | None:
    """Return the face that was seen in the photo, in framed pixels; None where nobody looked.

    Raises:
        FitError: the networks looked and saw no face.
        InputError: a record is damaged.
    """
    mapped = frame_map(person)
    if mapped is None:
        return None
    face, _ = read_seen_face(person.seen)
    if face is None:
        raise FitError("no face is seen in the photo (from behind, turned away or covered)")
    scale, offset = mapped
    return detection_of(FacePoints(face.points_px * scale + np.append(offset, 0.0), face.score))


def close_up_of(
    person: PersonFiles, pixels: PersonImage, camera: Camera, mesh_px: NDArray[np.float64]
) -> CloseUp:
    """Return the head in the photo's own pixels where they were kept, else in those of the framed image.

    Args:
        person: of the test folder.
        pixels: framed.
        camera: of the framed image.
        mesh_px: [468, 3] face points in framed pixels.
    """
    mapped = frame_map(person)
    window, rgb = None, None
    if mapped is not None and person.head.is_file():
        _, in_photo = read_seen_face(person.seen)
        if in_photo is not None:
            scale, offset = mapped
            x, y = np.array(in_photo.center_px) * scale + offset
            window = Crop((float(x), float(y)), in_photo.side_px * scale)
            rgb = np.ascontiguousarray(read_image(person.head)[..., :3])
    if window is None or rgb is None:
        low, high = mesh_px[:, :2].min(0), mesh_px[:, :2].max(0)
        window = Crop.around(float(low[0]), float(low[1]), float(high[0]), float(high[1]), _MARGIN)
        rgb = window.take(pixels.rgb, _SIZE)
    return close_up_in(window, rgb, pixels.mask, camera)
