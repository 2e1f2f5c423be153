"""Find the people of a photo: where something of a person is, whose landmarks are there, and what is left over."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from jiff.perception.crop import Crop
from jiff.perception.landmarks import HIPS, NOSE, SHOULDERS
from jiff.perception.mask_parts import with_jutting_parts
from jiff.perception.networks import whole_crop
from jiff.perception.whole_person import AGREED, LEAST_SCORE, coverage, grown, whole_pose, widened

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jiff.perception.landmarks import FacePoints, Pose
    from jiff.perception.networks import PersonNetworks

FACE_SCORE = 0.5
_SEARCH_SIDE = 1280
_LONG = 1.5
"""Ratio of sides from which a photo is looked at in several squares."""
_TRIES = 8
_LEFT_OVER = 0.12
"""Area of what no person covers, over the largest person's, from which another person is looked for there."""
_BYSTANDER = 0.45
"""Height over the largest person's below which somebody is a bystander."""
_PART = 0.05
_SURE_TURN = 0.8
_SAME = 0.12
"""Mean distance of trunk and nose over a person's size below which two finds are one person."""
_TAKEN = 0.5
"""Share of a find that people found before cover, from which it is an outline of what was painted over."""
_SAME_MASK = 0.8
"""Intersection over union of masks from which they are of one person."""
_OTHER_MASK = 0.5
"""Intersection over union of masks below which they are of two."""
_SURE = 0.8
"""Score from which a find without a face needs no second look."""


@dataclass(frozen=True, eq=False)
class SeenPerson:
    """One person of a photo.

    Attributes:
        pose: body landmarks.
    """

    pose: Pose

    @property
    def height_px(self) -> float:
        """Extent of the landmarks along the photo's longer axis of the person."""
        return float(np.ptp(self.pose.points_px, axis=0).max())


def _scaled(pose: Pose, factor: float) -> Pose:
    """Return the landmarks of a photo ``factor`` times as large."""

    def window(crop: Crop) -> Crop:
        x, y = crop.center_px
        return Crop((x * factor, y * factor), crop.side_px * factor, crop.angle_rad)

    return replace(
        pose,
        points_px=pose.points_px * factor,
        depth_px=pose.depth_px * factor,
        crop=window(pose.crop),
        next_crop=window(pose.next_crop),
    )


def _windows(rgb: NDArray[np.uint8]) -> list[Crop]:
    """Return the squares in which people are looked for."""
    height, width = rgb.shape[:2]
    windows = [whole_crop(rgb)]
    short, long = min(height, width), max(height, width)
    if long > _LONG * short:
        count = math.ceil((long - short) / (0.5 * short)) + 1
        for place in np.linspace(short / 2, long - short / 2, min(count, 9)):
            center = (float(place), height / 2) if width > height else (width / 2, float(place))
            windows.append(Crop(center, float(short)))
    return windows


def people_share(networks: PersonNetworks, rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return [H, W] in [0, 1] the share of people, of a photo of at most some megapixels."""
    shape = (rgb.shape[0], rgb.shape[1])
    parts = [crop.paste(networks.people_mask(rgb, crop), shape) for crop in _windows(rgb)]
    return np.asarray(np.max(parts, axis=0), dtype=np.float32)


def _pieces(on: NDArray[np.bool_], *, joined: bool) -> list[tuple[float, Crop]]:
    """Return (area, window) of the connected pieces, the largest first.

    Args:
        on: [H, W].
        joined: whether pieces above one another are one: what remains of a person behind somebody is in parts.
    """
    import cv2

    count, _, stats, _ = cv2.connectedComponentsWithStats(on.astype(np.uint8), connectivity=8)
    rows = sorted(stats[1:count].tolist(), key=lambda row: -row[4])
    found = []
    while rows:
        x, y, w, h, area = rows.pop(0)
        left, top, right, bottom = x, y, x + w, y + h
        for other in list(rows) if joined else ():
            ox, oy, ow, oh, other_area = other
            if other_area > _PART * area and ox < right and ox + ow > left:
                left, top, right, bottom = (
                    min(left, ox), min(top, oy), max(right, ox + ow), max(bottom, oy + oh),
                )  # fmt: skip
                area += other_area
                rows.remove(other)
        found.append((float(area), Crop.around(left, top, right, bottom)))
    return sorted(found, key=lambda piece: -piece[0])


def _is_seen(pose: Pose, share: NDArray[np.float32]) -> bool:
    """Return whether shoulders, hips and nose that lie in the photo lie on a person."""
    if pose.score < LEAST_SCORE:
        return False
    points = np.floor(pose.points_px[[NOSE, *SHOULDERS, *HIPS]]).astype(int)
    inside = (points >= 0).all(1) & (points < [share.shape[1], share.shape[0]]).all(1)
    if not inside.any():
        return False
    x, y = points[inside].T
    return float((share[y, x] > 0.2).mean()) >= 0.6


def _same(a: Pose, b: Pose) -> bool:
    marks = [NOSE, *SHOULDERS, *HIPS]
    size = max(float(np.ptp(p.points_px[[NOSE, *SHOULDERS, *HIPS, 27, 28]], axis=0).max()) for p in (a, b))
    gap = float(np.linalg.norm(a.points_px[marks] - b.points_px[marks], axis=1).mean())
    return gap < _SAME * max(size, 1.0)


def find_people(networks: PersonNetworks, rgb: NDArray[np.uint8]) -> list[SeenPerson]:
    """Return the people of [H, W, 3] from left to right, bystanders left out.

    Where the segmentation sees something of a person, landmarks are looked for; what the person found does not cover may
    be another one.
    """
    factor = min(1.0, _SEARCH_SIDE / max(rgb.shape[:2]))
    small = rgb
    if factor < 1:
        import cv2

        size = (max(1, round(rgb.shape[1] * factor)), max(1, round(rgb.shape[0] * factor)))
        small = np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
        factor = small.shape[0] / rgb.shape[0]
    share = people_share(networks, small)
    free = share > 0.5
    found: list[Pose] = []
    tried: list[Crop] = []
    largest = 0.0
    # Who was found is painted over, lest the next window find them again in front of somebody else.
    rest = small
    taken = np.zeros_like(free)
    for _ in range(_TRIES):
        pieces = _pieces(free, joined=bool(found))
        pieces = [p for p in pieces if p[0] > max(_LEFT_OVER * largest, 60.0) and not _known(p[1], tried)]
        if not pieces:
            break
        tried.append(pieces[0][1])
        pose = whole_pose(networks, rest, pieces[0][1])
        if not _is_seen(pose, share) or any(_same(pose, other) for other in found):
            continue
        new = _new_people(networks, small, pose, found, taken) if found else [pose]
        found += new
        for person in new:
            theirs = grown(_mask_of(person, share) > 0.3)
            free &= ~theirs
            taken |= theirs
            rest = np.where(theirs[..., None], np.uint8(128), rest)
            largest = max(largest, float((person.mask > 0.5).mean()) * person.crop.side_px**2)
    if not found:
        # A person whom the segmentation misses: on a stage, painted, from an unusual side.
        found = _one_missed(networks, small, tried)
    found = _apart(networks, small, found, share)
    found = [_upright(networks, small, pose) for pose in found]
    if len(found) == 1:
        # What the segmentation sees of people beyond the mask of landmarks can only be of the one who is there.
        pose = found[0]
        seen, everybody = pose.crop.take(small, pose.mask.shape[0]), networks.people_mask(small, pose.crop)
        found = [replace(pose, mask=with_jutting_parts(seen, pose.mask, everybody))]
    people = [SeenPerson(_scaled(pose, 1 / factor)) for pose in found]
    tallest = max((person.height_px for person in people), default=0.0)
    people = [person for person in people if person.height_px >= _BYSTANDER * tallest]
    people.sort(key=lambda person: float(person.pose.middle(HIPS)[0]))
    return people


def _mask_of(pose: Pose, photo: NDArray[Any]) -> NDArray[np.float32]:
    """Return the mask of a person at its place in a photo [H, W, ...]."""
    return pose.crop.paste(pose.mask, (photo.shape[0], photo.shape[1]))


def _new_people(
    networks: PersonNetworks, rgb: NDArray[np.uint8], pose: Pose, found: list[Pose], taken: NDArray[np.bool_]
) -> list[Pose]:
    """Return who of a window with others painted over is somebody new, as the photo itself shows them.

    Paint has a person's outline; and what remains of one (a jacket, a shadow) or stands beside them resembles another.

    Args:
        networks: the networks.
        rgb: the photo, nobody painted over.
        pose: what was found.
        found: the people found before.
        taken: [H, W] what was painted over.
    """
    x, y = np.floor(pose.points_px[NOSE]).astype(int).clip(0, [rgb.shape[1] - 1, rgb.shape[0] - 1])
    face = None if taken[y, x] else see_face(networks, rgb, pose)
    mask = _mask_of(pose, taken) > 0.5
    if face is None and (mask & taken).sum() > _TAKEN * mask.sum():
        return []
    again = networks.pose(rgb, [pose.crop])[0]
    if again.score >= LEAST_SCORE and _same(again, pose):
        return [pose]
    seen = _mask_of(again, taken) > 0.5
    shared = max(_overlap(seen, _mask_of(other, taken) > 0.5) for other in found)
    new = [pose] if face is not None or (shared <= _SAME_MASK and pose.score >= _SURE) else []
    # Somebody may stand before the one in the window, known by a face of their own.
    apart = max(shared, _overlap(seen, mask)) < _OTHER_MASK and not any(
        _same(again, other) for other in found
    )
    if apart and _is_sure(again, rgb.shape):
        other = see_face(networks, rgb, again)
        if other is not None and not (face is not None and _overlap_of_boxes(face, other)):
            new.append(again)
    return new


def _overlap_of_boxes(a: FacePoints, b: FacePoints) -> bool:
    """Return whether two faces are one: the boxes around their points share more than a corner."""
    low, high = np.maximum(a.box_px[:2], b.box_px[:2]), np.minimum(a.box_px[2:], b.box_px[2:])
    sides = (a.box_px[2:] - a.box_px[:2]) * 0.3
    return bool((high - low > sides).all())


def _is_sure(pose: Pose, shape: tuple[int, ...]) -> bool:
    return pose.score >= _SURE and coverage(pose, shape) >= AGREED


def _overlap(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    return float((a & b).sum()) / max(int((a | b).sum()), 1)


def _one_missed(networks: PersonNetworks, rgb: NDArray[np.uint8], tried: list[Crop]) -> list[Pose]:
    """Return the landmarks of a person of whom the segmentation misses most: on a stage, painted, from an unusual side."""
    wider = [Crop(crop.center_px, factor * crop.side_px) for crop in tried[:1] for factor in (1.5, 2.0)]
    for crop in wider:
        # A head that fills the photo has no body around it.
        if crop.side_px > max(rgb.shape[:2]):
            break
        pose = networks.pose(rgb, [crop])[0]
        if _is_sure(pose, rgb.shape):
            return [widened(networks, rgb, pose)]
    pose = networks.pose(rgb, [whole_crop(rgb)])[0]
    everywhere = np.ones(rgb.shape[:2], np.float32)
    return [pose] if pose.score >= LEAST_SCORE and _is_seen(pose, everywhere) else []


def _apart(
    networks: PersonNetworks, rgb: NDArray[np.uint8], found: list[Pose], share: NDArray[np.float32]
) -> list[Pose]:
    """Return the landmarks of several people, each looked at again without those that overlap."""
    if len(found) < 2:
        return found
    masks = [_mask_of(pose, share) for pose in found]
    better = []
    for number, pose in enumerate(found):
        others = np.max([mask for k, mask in enumerate(masks) if k != number], axis=0)
        alone = np.where(((others > 0.5) & (others > masks[number]))[..., None], np.uint8(128), rgb)
        again = networks.pose(alone, [pose.crop])[0]
        same = _is_seen(again, share) and _same(again, pose)
        better.append(again if same else pose)
    return better


def _upright(networks: PersonNetworks, rgb: NDArray[np.uint8], pose: Pose) -> Pose:
    """Return the landmarks of somebody whose face is seen when the photo is turned, else those found.

    The network imagines an upright body in people who are upside down or lie; a face cannot be imagined.
    """
    if see_face(networks, rgb, pose) is not None:
        return pose
    for quarter in (2, 1, 3):
        crop = Crop(pose.crop.center_px, pose.crop.side_px, math.pi / 2 * quarter)
        turned = networks.pose(rgb, [crop])[0]
        away = abs(math.remainder(turned.crop.angle_rad - pose.crop.angle_rad, 2 * math.pi))
        if turned.score < _SURE_TURN or away < math.pi / 4:
            continue
        if networks.face(rgb, [turned])[0].score >= _SURE_TURN:
            return turned
    return pose


def see_face(networks: PersonNetworks, rgb: NDArray[np.uint8], pose: Pose) -> FacePoints | None:
    """Return the face points of a person, read from the photo's own pixels; None where no face is seen."""
    face = networks.face(rgb, [pose])[0]
    return face if face.score >= FACE_SCORE else None


def person_in(networks: PersonNetworks, rgb: NDArray[np.uint8], mask: NDArray[np.uint8]) -> SeenPerson | None:
    """Return the person of a given mask [H, W], None where no landmarks fit it."""
    rows, columns = np.flatnonzero((mask >= 128).any(1)), np.flatnonzero((mask >= 128).any(0))
    if len(rows) == 0:
        return None
    crop = Crop.around(float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1))
    pose = whole_pose(networks, rgb, crop)
    return SeenPerson(pose) if _is_seen(pose, mask.astype(np.float32) / 255.0) else None


def _known(crop: Crop, tried: list[Crop]) -> bool:
    return any(
        math.dist(crop.center_px, other.center_px) + abs(crop.side_px - other.side_px) < 0.05 * crop.side_px
        for other in tried
    )
