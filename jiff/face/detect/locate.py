"""Find the face of the one person whose mask is given."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from jiff.base.errors import FitError
from jiff.face.landmarks import check_five

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jiff.face.detect.detector import Detection, FaceDetector

CLOSE_UP_SIZE = 512
_LEAST_GUESS_SCORE = 0.4
"""Haar finds faces in folds of cloth; without eyes only a well supported one counts."""
_LEAST_INSIDE = 0.6
"""Share of a face box's inner part that must lie on the person."""


def head_window(mask: NDArray[np.uint8]) -> tuple[float, float, float]:
    """Return (left, top, side) in pixels of a square that holds the head of an upright person.

    Args:
        mask: [H, W] uint8, the person at least 128, not empty.
    """
    inside = mask >= 128
    rows = np.flatnonzero(inside.any(1))
    top, height = int(rows[0]), int(rows[-1] - rows[0] + 1)
    side = max(0.3 * height, 24.0)
    # An arm may be raised above the head: the columns of the whole upper third say where the trunk is.
    upper = inside[top : top + max(1, height // 3)]
    weight = upper.sum(0)
    columns = np.flatnonzero(weight >= 0.6 * weight.max())
    center = float(columns.mean()) + 0.5
    return center - side / 2, top - 0.15 * side, side


def crop(image: NDArray[np.uint8], left: float, top: float, side: float, size: int) -> NDArray[np.uint8]:
    """Return [size, size, C] of the square window of an image; outside it is black."""
    import cv2

    scale = size / side
    matrix = np.array(
        [[scale, 0, -left * scale + 0.5 * (scale - 1)], [0, scale, -top * scale + 0.5 * (scale - 1)]]
    )
    flags = cv2.INTER_CUBIC if scale >= 1 else cv2.INTER_AREA
    return np.asarray(cv2.warpAffine(image, matrix, (size, size), flags=flags), dtype=np.uint8)


def _on_person(detection: Detection, mask: NDArray[np.uint8]) -> bool:
    """Whether the middle of the face box lies on the person."""
    low, high = detection.box_px[:2], detection.box_px[2:]
    low, high = low + 0.2 * (high - low), high - 0.2 * (high - low)
    x0, y0 = np.clip(np.floor(low).astype(int), 0, None)
    x1, y1 = np.ceil(high).astype(int)
    part = mask[y0:y1, x0:x1]
    return part.size > 0 and float((part >= 128).mean()) >= _LEAST_INSIDE


def sensible(detection: Detection, mask: NDArray[np.uint8]) -> str | None:
    """Return why a detection cannot be this person's face, or None."""
    rows = np.flatnonzero((mask >= 128).any(1))
    height = float(rows[-1] - rows[0] + 1)
    size = float(detection.box_px[3] - detection.box_px[1])
    middle = float(detection.box_px[[1, 3]].mean())
    if detection.evidence == "haar" and detection.score < _LEAST_GUESS_SCORE:
        return "no eyes were found in it"
    if not _on_person(detection, mask):
        return "it lies outside the person's mask"
    if detection.mesh_px is not None:
        # Body landmarks led to it: crouching and bending people have their heads anywhere.
        return None
    if middle > rows[0] + 0.6 * height:
        return "it lies in the lower part of the person"
    if not 0.06 * height < size < 0.6 * height:
        return "its size does not fit the person"
    return check_five(detection.points_px)


def locate_face(image_rgb: NDArray[np.uint8], mask: NDArray[np.uint8], detector: FaceDetector) -> Detection:
    """Return the person's face in an image.

    A close-up of where the head of an upright person is comes first, then the whole image at up to 1024 pixels.
    Among the finds that fit the person the largest wins.

    Args:
        image_rgb: [H, W, 3].
        mask: [H, W], the person at least 128.
        detector: see ``make_detector``.

    Raises:
        FitError: no face, or none that fits the mask.
    """
    windows = [head_window(mask)]
    whole = float(max(image_rgb.shape[:2]))
    windows.append((0.0, 0.0, whole))
    reason = ""
    for left, top, side in windows:
        size = CLOSE_UP_SIZE if side < whole else 1024
        picture = crop(image_rgb, left, top, side, size)
        finds = [d.mapped(size / side, (left, top)) for d in detector.detect(picture)]
        refusals = [sensible(d, mask) for d in finds]
        good = [d for d, refusal in zip(finds, refusals) if refusal is None]
        if good:
            best = good[0].evidence
            # A guess from a box alone never wins against one with eyes.
            same = [d for d in good if d.evidence == best]
            return max(same, key=lambda d: float(np.prod(d.box_px[2:] - d.box_px[:2])))
        reason = next((r for r in refusals if r), reason)
    if reason:
        raise FitError(
            f"the only face found was refused because {reason}; check image and mask, or give landmarks."
        )
    raise FitError(
        f"no face was found by {detector.name}; use a picture that shows it, give landmarks, or another --detector-model."
    )


def finds_face_at(
    image_rgb: NDArray[np.uint8],
    five_px: NDArray[np.float64],
    detector: FaceDetector,
    *,
    measured: bool = False,
) -> bool:
    """Return whether a detector finds a face where one should be: at most half a face away and of about its size.

    Args:
        image_rgb: [H, W, 3].
        five_px: [5, 2] where the landmarks should be, in pixels of the image.
        detector: see ``make_detector``.
        measured: only finds whose eyes were found count.
    """
    center, height = _middle_and_height(five_px)
    side = 5.0 * height
    if side < 4:
        return False
    left, top = center - side / 2
    picture = crop(image_rgb, float(left), float(top), side, CLOSE_UP_SIZE)
    for detection in detector.detect(picture):
        if measured and not detection.measured:
            continue
        there, size = _middle_and_height(
            detection.mapped(CLOSE_UP_SIZE / side, (float(left), float(top))).points_px
        )
        if np.linalg.norm(there - center) < 0.6 * height and 0.6 < size / height < 1.6:
            return True
    return False


def _middle_and_height(five_px: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """Return [2] the middle of a face and the distance from its eyes to its mouth, pixels."""
    eyes, mouth = five_px[:2].mean(0), five_px[3:].mean(0)
    return (eyes + mouth) / 2, float(np.linalg.norm(mouth - eyes))
