"""Find the mask of a person in a photo: its alpha, a mask file, or a guess by GrabCut from the face downwards."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from jiff.data.images import gray_of, read_mask, resize_image
from jiff.errors import ImageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jiff.face.detect import FaceDetector

_WORKING_SIDE = 480
_HEADS_HIGH = 8.0
"""A tall adult is this many heads high; the rectangle may be generous, GrabCut shrinks it."""


@dataclass(frozen=True)
class Matte:
    """A mask and where it came from.

    Attributes:
        mask: [H, W] uint8, 0 outside, 255 inside.
        source: "mask file", "alpha" or "GrabCut".
        people: faces found, 0 where nobody looked.
    """

    mask: NDArray[np.uint8]
    source: str
    people: int = 0


def given_matte(path: Path, image: NDArray[np.uint8]) -> Matte | None:
    """Return the mask that comes with a photo: ``<name>_mask.png``, else its alpha channel; None if neither.

    Raises:
        ImageError: the mask file is unreadable, empty or of another size.
    """
    mask_path = path.with_name(f"{path.stem}_mask.png")
    if mask_path.is_file():
        return Matte(read_mask(mask_path, (image.shape[0], image.shape[1])), "mask file")
    if image.shape[2] == 4 and image[..., 3].min() < 255:
        if not (image[..., 3] >= 128).any():
            raise ImageError(f"{path}: is fully transparent; save the person opaque.")
        return Matte(gray_of(image), "alpha")
    return None


def grabcut_matte(
    rgb: NDArray[np.uint8], detector: FaceDetector, name: str, person: int | None = None, rounds: int = 6
) -> Matte:
    """Guess the mask of a standing person by GrabCut (Rother et al., SIGGRAPH 2004), seeded below the face.

    Args:
        rgb: [H, W, 3].
        detector: finds the faces.
        name: of the photo, for messages.
        person: which face from the left, from 1, where there are several.
        rounds: of GrabCut.

    Raises:
        ImageError: no face, or several without a choice.
    """
    import cv2

    factor = _WORKING_SIDE / max(rgb.shape[:2])
    shape = (max(1, round(rgb.shape[0] * factor)), max(1, round(rgb.shape[1] * factor)))
    side = max(rgb.shape[:2])
    looked = resize_image(rgb, tuple(max(1, round(n * min(1.0, 1280 / side))) for n in rgb.shape[:2]))  # type: ignore[arg-type]
    faces = [d for d in detector.detect(looked) if d.evidence != "haar"] or detector.detect(looked)[:1]
    if not faces:
        raise ImageError(
            f"{name}: no person was found; give {Path(name).stem}_mask.png (white on black) or a clearer photo."
        )
    faces.sort(key=lambda d: float(d.box_px[0]))
    if person is None and len(faces) > 1:
        raise ImageError(
            f"{name}: {len(faces)} people are in the picture; choose one from the left with --person N, or crop."
        )
    if person is not None and not 1 <= person <= len(faces):
        raise ImageError(f"{name}: has {len(faces)} people, not a number {person}; correct --person.")
    box = faces[(person or 1) - 1].box_px * (shape[1] / looked.shape[1])
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
    return Matte(np.where(soft >= 128, 255, 0).astype(np.uint8), "GrabCut", len(faces))


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
