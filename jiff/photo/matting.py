"""Find the mask of a person in a photo: its alpha, a mask file, or a guess by GrabCut from the face downwards."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from jiff.base.errors import ImageError
from jiff.photo.images import gray_of, resize_image
from jiff.photo.masks import MASK_THRESHOLD, mask_file, read_mask, stretched

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jiff.face.detect.detector import Detection, FaceDetector

_WORKING_SIDE = 480
_OPAQUE = 0.97
_SEARCHED_SIDE = 1280
_HEADS_SHARE = 0.5
"""Heads of people who stand beside each other lie in this upper part of what they cover together."""
_SURE_SCORE = 0.4
_PAIR_WIDTH = 0.4
"""Width over height from which a mask may be of two."""
_HEADS_HIGH = 8.0
"""A tall adult is this many heads high; the rectangle may be generous, GrabCut shrinks it."""


@dataclass(frozen=True)
class Matte:
    """A mask and where it came from.

    Attributes:
        mask: [H, W] uint8, 0 outside, 255 inside.
        source: "mask file", "alpha", "GrabCut", or the file of the network that made it.
        found: whether it was found rather than given.
    """

    mask: NDArray[np.uint8]
    source: str
    found: bool = False


def given_matte(path: Path, image: NDArray[np.uint8]) -> Matte | None:
    """Return the mask that comes with a photo: a file (see ``mask_file``), else its alpha channel; None if neither.

    Raises:
        ImageError: the mask file is unreadable, empty or of another size.
    """
    mask_path = mask_file(path)
    if mask_path is not None:
        return Matte(read_mask(mask_path, (image.shape[0], image.shape[1])), "mask file")
    if image.shape[2] == 4 and image[..., 3].min() < 255:
        alpha = stretched(gray_of(image)) if image[..., 3].max() >= 8 else image[..., 3]
        if alpha.max() < MASK_THRESHOLD:
            raise ImageError(f"{path}: is fully transparent; save the person opaque.")
        if (alpha >= MASK_THRESHOLD).mean() > _OPAQUE:
            # Rounded corners or a few clear pixels: nobody was cut out.
            return None
        return Matte(alpha, "alpha")
    return None


def find_faces(rgb: NDArray[np.uint8], detector: FaceDetector) -> list[Detection]:
    """Return the faces of [H, W, 3], best first, in its pixels; large photos are searched at 1280 pixels."""
    scale = min(1.0, _SEARCHED_SIDE / max(rgb.shape[:2]))
    height, width = (max(1, round(n * scale)) for n in rgb.shape[:2])
    return [face.mapped(scale, (0.0, 0.0)) for face in detector.detect(resize_image(rgb, (height, width)))]


def is_wide(mask: NDArray[np.uint8]) -> bool:
    """Return whether a mask could hold two people side by side."""
    rows, columns = np.flatnonzero((mask >= 128).any(1)), np.flatnonzero((mask >= 128).any(0))
    return len(rows) > 0 and columns[-1] + 1 - columns[0] > _PAIR_WIDTH * (rows[-1] + 1 - rows[0])


def refuse_joined_people(
    mask: NDArray[np.uint8], faces: list[Detection], name: str, choice: str = "--person "
) -> None:
    """Refuse a mask that joins several people: it holds several sure faces of similar size beside each other.

    Args:
        mask: [H, W] of one connected person.
        faces: of the photo.
        name: of the photo, for messages.
        choice: what a user writes before the number of a person, for messages.

    Raises:
        ImageError: several people.
    """
    rows = np.flatnonzero((mask >= 128).any(1))
    if len(rows) == 0:
        return
    lowest = rows[0] + _HEADS_SHARE * (rows[-1] + 1 - rows[0])
    heads: list[Detection] = []
    for face in faces:
        if face.evidence == "haar" or face.score < _SURE_SCORE:
            continue
        x, y = (float(face.box_px[[k, k + 2]].mean()) for k in (0, 1))
        inside = 0 <= y < mask.shape[0] and 0 <= x < mask.shape[1] and mask[int(y), int(x)] >= 128
        width = float(face.box_px[2] - face.box_px[0])
        largest = float(heads[0].box_px[2] - heads[0].box_px[0]) if heads else width
        apart = all(abs(x - float(other.box_px[[0, 2]].mean())) > 0.8 * width for other in heads)
        if inside and y <= lowest and apart and 0.6 < width / largest < 1 / 0.6:
            heads.append(face)
    if len(heads) > 1:
        raise ImageError(
            f"{name}: the mask joins {len(heads)} people ({len(heads)} faces are on it); paint one of them white, crop,"
            f" or insist with {choice}1 if this is one person."
        )


def grabcut_matte(
    rgb: NDArray[np.uint8],
    detector: FaceDetector,
    name: str,
    person: int | None = None,
    rounds: int = 6,
    *,
    choice: str = "--person ",
) -> Matte:
    """Guess the mask of a standing person by GrabCut (Rother et al., SIGGRAPH 2004), seeded below the face.

    Args:
        rgb: [H, W, 3].
        detector: finds the faces.
        name: of the photo, for messages.
        person: which face from the left, from 1, where there are several.
        rounds: of GrabCut.
        choice: what a user writes before the number of a person, for messages.

    Raises:
        ImageError: no face, or several without a choice.
    """
    import cv2

    factor = _WORKING_SIDE / max(rgb.shape[:2])
    shape = (max(1, round(rgb.shape[0] * factor)), max(1, round(rgb.shape[1] * factor)))
    finds = find_faces(rgb, detector)
    faces = [face for face in finds if face.evidence != "haar"] or finds[:1]
    if not faces:
        raise ImageError(
            f"{name}: no person was found; give {Path(name).stem}_mask.png (white on black) or a clearer photo."
        )
    faces.sort(key=lambda d: float(d.box_px[0]))
    if person is None and len(faces) > 1:
        raise ImageError(
            f"{name}: {len(faces)} people are in the picture; choose one from the left with {choice}N, or crop."
        )
    if person is not None and not 1 <= person <= len(faces):
        raise ImageError(f"{name}: has {len(faces)} people, not a number {person}; correct {choice}N.")
    box = faces[(person or 1) - 1].box_px * factor
    small = resize_image(rgb, shape)
    trimap = _trimap(shape, box)
    background, foreground = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.setRNGSeed(0)
    cv2.grabCut(
        np.ascontiguousarray(small[..., ::-1]),
        trimap,
        (0, 0, 0, 0),
        background,
        foreground,
        rounds,
        cv2.GC_INIT_WITH_MASK,
    )
    inside = np.isin(trimap, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.uint8)
    inside = np.asarray(cv2.morphologyEx(inside, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)), dtype=np.uint8)
    middle = (int(box[[0, 2]].mean()), int(box[[1, 3]].mean()))
    _, labels = cv2.connectedComponents(inside)
    label = labels[min(max(middle[1], 0), shape[0] - 1), min(max(middle[0], 0), shape[1] - 1)]
    mask = ((labels == label) & (label > 0)).astype(np.uint8) * 255
    soft = cv2.resize(
        cv2.GaussianBlur(mask, (0, 0), 1.0), (rgb.shape[1], rgb.shape[0]), interpolation=cv2.INTER_CUBIC
    )
    return Matte(np.where(soft >= 128, 255, 0).astype(np.uint8), "GrabCut", found=True)


def _trimap(shape: tuple[int, int], face: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Return GrabCut's labels: surely outside, probably a body below the face, surely face and chest."""
    import cv2

    height, width = shape
    x = float(face[[0, 2]].mean())
    head = 1.35 * float(face[3] - face[1])
    top = float(face[3]) - head * 1.15
    labels = np.full(shape, cv2.GC_BGD, np.uint8)

    def paint(x0: float, y0: float, x1: float, y1: float, value: int) -> None:
        a, b = max(0, round(x0)), max(0, round(y0))
        labels[b : min(height, round(y1)), a : min(width, round(x1))] = value

    paint(x - 2.6 * head, top, x + 2.6 * head, top + _HEADS_HIGH * head, cv2.GC_PR_BGD)
    paint(x - 1.1 * head, top + 1.2 * head, x + 1.1 * head, top + 4.2 * head, cv2.GC_PR_FGD)
    paint(x - 0.8 * head, top + 4.2 * head, x + 0.8 * head, top + 7.2 * head, cv2.GC_PR_FGD)
    paint(x - 0.35 * head, top + 1.5 * head, x + 0.35 * head, top + 3.4 * head, cv2.GC_FGD)
    w, h = face[2] - face[0], face[3] - face[1]
    paint(face[0] + 0.15 * w, face[1] + 0.1 * h, face[2] - 0.15 * w, face[3] - 0.05 * h, cv2.GC_FGD)
    return labels
