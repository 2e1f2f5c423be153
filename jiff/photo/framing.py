"""Cut a person out of a photo as the training camera would see them, and refuse what cannot be framed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from jiff.base.errors import ImageError
from jiff.geometry.camera import BODY_HEIGHT_WORLD, CANONICAL_HALF_WIDTH
from jiff.photo.cut_off import is_fragment, missing_part, not_upright_deg, vertical_extent

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jiff.perception.landmarks import Pose

BODY_SHARE = BODY_HEIGHT_WORLD / (2 * CANONICAL_HALF_WIDTH)
"""Height of a body over the height of the framed image: 450 of 512 pixels."""

_LEAST_HEIGHT_PX = 96
_COARSE_HEIGHT_PX = 256
_SECOND_PERSON = 0.25
_FULL = 0.97
_HEAD_CUT = 0.05
_FEET_CUT = 0.13
"""Widths of the mask on the image border over its height: more than a crown, more than two soles."""


@dataclass(frozen=True)
class Framing:
    """How a photo was framed.

    Attributes:
        size: width and height of the framed image, pixels.
        scale: framed pixels per photo pixel.
        center_px: (x, y) of the photo, continuous pixels, that comes to the middle.
        notes: what the user should know, one sentence each.
    """

    size: int
    scale: float
    center_px: tuple[float, float]
    notes: tuple[str, ...] = ()

    @property
    def photo_to_frame(self) -> NDArray[np.float64]:
        """[2, 3] map of continuous pixels."""
        half = self.size / 2
        x, y = self.center_px
        return np.array([[self.scale, 0.0, half - self.scale * x], [0.0, self.scale, half - self.scale * y]])

    @property
    def frame_to_photo(self) -> NDArray[np.float64]:
        """[2, 3] map of continuous pixels, the inverse of ``photo_to_frame``."""
        half = self.size / 2
        x, y = self.center_px
        return np.array(
            [[1 / self.scale, 0.0, x - half / self.scale], [0.0, 1 / self.scale, y - half / self.scale]]
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for the sidecar."""
        return {
            "size": self.size,
            "frame_to_photo": self.frame_to_photo.tolist(),
            "notes": list(self.notes),
        }

    def apply(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the framed [size, size] or [size, size, C] image; outside the photo it is black."""
        import cv2

        scale, (x, y) = self.scale, self.center_px
        if scale < 1:
            # Averaging first: sampling a large photo sparsely would alias.
            height, width = image.shape[:2]
            small = (max(1, round(width * scale)), max(1, round(height * scale)))
            image = np.asarray(cv2.resize(image, small, interpolation=cv2.INTER_AREA), dtype=np.uint8)
            steps = np.array([small[0] / width, small[1] / height])
        else:
            steps = np.ones(2)
        rest = scale / steps
        offset = self.size / 2 - scale * np.array([x, y])
        # OpenCV counts pixels from their centres, continuous pixels from the corner.
        matrix = np.array(
            [
                [rest[0], 0.0, offset[0] + 0.5 * rest[0] - 0.5],
                [0.0, rest[1], offset[1] + 0.5 * rest[1] - 0.5],
            ]
        )
        flags = cv2.INTER_CUBIC if scale > 1 else cv2.INTER_LINEAR
        framed = cv2.warpAffine(image, matrix, (self.size, self.size), flags=flags)
        return np.asarray(framed, dtype=np.uint8)


def people_of(mask: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """Return the masks of the separate people of a mask, from left to right; specks belong to nobody."""
    import cv2

    inside = (mask >= 128).astype(np.uint8)
    # Small gaps (a belt, a strap) do not part one person in two.
    reach = max(3, max(mask.shape) // 100)
    joined = cv2.dilate(inside, np.ones((reach, reach), np.uint8))
    count, labels, stats, centers = cv2.connectedComponentsWithStats(joined, connectivity=8)
    areas = stats[1:, cv2.CC_STAT_AREA]
    if count <= 1:
        return []
    large = [i + 1 for i in np.flatnonzero(areas >= _SECOND_PERSON * areas.max())]
    large.sort(key=lambda label: float(centers[label][0]))
    return [np.where(labels == label, mask, 0).astype(np.uint8) for label in large]


def choose_person(
    mask: NDArray[np.uint8], person: int | None, name: str, choice: str = "--person "
) -> NDArray[np.uint8]:
    """Return the mask of the one person, or of number ``person`` (from the left, from 1).

    Args:
        mask: [H, W] uint8 of everybody.
        person: which one, None where there must be one only.
        name: of the photo, for messages.
        choice: what a user writes before the number, for messages.

    Raises:
        ImageError: nobody, several people without a choice, or no such number.
    """
    people = people_of(mask)
    if not people:
        raise ImageError(f"{name}: no person is in the mask; give a photo or mask that shows one.")
    if person is None:
        if len(people) > 1:
            raise ImageError(
                f"{name}: {len(people)} people are in the picture; choose one from the left with {choice}N, or crop."
            )
        return people[0]
    if not 1 <= person <= len(people):
        raise ImageError(f"{name}: has {len(people)} people, not a number {person}; correct {choice}N.")
    return people[person - 1]


def frame_person(
    mask: NDArray[np.uint8],
    name: str,
    *,
    size: int | None = None,
    pose: Pose | None = None,
    partial: bool = False,
) -> Framing:
    """Return the framing that puts a standing person where training had them: 180 units high, in the middle.

    Args:
        mask: [H, W] uint8 of one person.
        name: of the photo, for messages.
        size: of the framed image; None takes 1024 for large photos and 512 for others.
        pose: landmarks, which know better than the border what is cut off; None where there are none.
        partial: go on with a person of whom a part is outside; landmarks say how large the whole is.

    Raises:
        ImageError: no person, mask full, head or feet outside, too small, or not standing.
    """
    inside = mask >= 128
    if not inside.any():
        raise ImageError(f"{name}: no person is in the mask; give a photo or mask that shows one.")
    if inside.mean() > _FULL and not partial:
        raise ImageError(f"{name}: the mask covers the whole picture; paint the person white on black.")
    rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
    top, bottom, left, right = float(rows[0]), float(rows[-1] + 1), float(columns[0]), float(columns[-1] + 1)
    notes = []
    turned = None if pose is None else not_upright_deg(pose)
    if turned is not None:
        raise ImageError(
            f"{name}: the person is turned by {abs(turned):.0f} degrees (upside down or lying); turn the photo upright."
        )
    if pose is not None and is_fragment(pose, mask):
        raise ImageError(f"{name}: only a part of a person is seen (a head?); use a photo of the whole body.")
    missing = _missing_at_border(inside) if pose is None else missing_part(pose, mask)
    if missing is not None and not partial:
        raise ImageError(
            f"{name}: {missing}; use a photo of the whole body, or insist with --partial on what is seen."
        )
    if missing is not None:
        if pose is None:
            raise ImageError(
                f"{name}: {missing}, and no landmarks say how large the whole person is; use a photo of the whole body."
            )
        whole = vertical_extent(pose)
        top, bottom = min(top, whole[0]), max(bottom, whole[1])
        notes.append(f"{missing[0].upper()}{missing[1:]}; what is outside is missing.")
    height, width = bottom - top, right - left
    if height < _LEAST_HEIGHT_PX:
        raise ImageError(
            f"{name}: the person is only {height:.0f} pixels high; at least {_LEAST_HEIGHT_PX} are needed, 500 are good."
        )
    if width > 1.2 * height and pose is None:
        raise ImageError(f"{name}: the person is wider than high; use a photo of a standing person.")
    if left == 0 or right == mask.shape[1]:
        notes.append("The person touches the side of the photo; what is outside is missing.")
    if height < _COARSE_HEIGHT_PX:
        notes.append(f"The person is only {height:.0f} pixels high; expect a coarse result.")
    if size is None:
        size = 1024 if height >= 0.6 * BODY_SHARE * 1024 else 512
    scale = BODY_SHARE * size / height
    # A raised or stretched arm may leave the frame; shrink until everything is inside.
    widest = width * scale / (0.98 * size)
    if widest > 1:
        scale /= widest
        notes.append("The arms reach far to the sides; the person was made smaller to fit.")
    return Framing(size, float(scale), ((left + right) / 2, (top + bottom) / 2), tuple(notes))


def _missing_at_border(inside: NDArray[np.bool_]) -> str | None:
    """Return what a mask that touches the border lacks, or None."""
    rows = np.flatnonzero(inside.any(1))
    height = float(rows[-1] + 1 - rows[0])
    if rows[0] == 0 and inside[0].sum() > _HEAD_CUT * height:
        return "the head is cut off by the upper border"
    if rows[-1] + 1 == inside.shape[0] and inside[-1].sum() > _FEET_CUT * height:
        return "the feet are outside the lower border"
    return None
