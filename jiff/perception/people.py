"""Find the people of a photo: where something of a person is, whose landmarks are there, and what is left over."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from jiff.perception.crop import Crop
from jiff.perception.landmarks import HIPS, NOSE, SHOULDERS
from jiff.perception.networks import whole_crop

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jiff.perception.landmarks import FacePoints, Pose
    from jiff.perception.networks import PersonNetworks

LEAST_SCORE = 0.5
FACE_SCORE = 0.5
_SEARCH_SIDE = 1280
_LONG = 1.5
"""Ratio of sides from which a photo is looked at in several squares."""
_TRIES = 8
_LEFT_OVER = 0.12
"""Area of what no person covers, over the largest person's, from which another person is looked for there."""
_BYSTANDER = 0.45
"""Height over the largest person's below which somebody is a bystander."""
_AGREED = 0.9
"""Share of the landmarks that the mask covers where both are right."""
_PART = 0.05
_SURE_TURN = 0.8
_SAME = 0.12
"""Mean distance of trunk and nose over a person's size below which two finds are one person."""


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


def _coverage(pose: Pose, shape: tuple[int, ...]) -> float:
    """Return the share of the landmarks in the photo that the pose's own mask covers."""
    points = pose.points_px
    inside = (points >= 0).all(1) & (points < [shape[1], shape[0]]).all(1)
    matrix = pose.crop.photo_to_crop(256)
    x, y = np.floor(points[inside] @ matrix[:, :2].T + matrix[:, 2]).astype(int).clip(0, 255).T
    # Landmarks lie on borders too: fingers, toes.
    grown = _grown(pose.mask > 0.3)
    return float(grown[y, x].mean()) if len(x) else 0.0


def _whole_pose(networks: PersonNetworks, rgb: NDArray[np.uint8], crop: Crop) -> Pose:
    """Return the landmarks of a rough window; where mask and landmarks disagree, of a better one."""
    pose = networks.pose(rgb, [crop])[0]
    best, most = pose, _coverage(pose, rgb.shape)
    if most >= _AGREED or pose.score < LEAST_SCORE:
        return best
    low, high = pose.points_px.min(0), pose.points_px.max(0)
    others = [
        Crop.around(float(low[0]), float(low[1]), float(high[0]), float(high[1]), 1.35),
        Crop(crop.center_px, 1.5 * crop.side_px),
        whole_crop(rgb),
    ]
    for other in others:
        pose = networks.pose(rgb, [other])[0]
        coverage = _coverage(pose, rgb.shape)
        if pose.score >= LEAST_SCORE and coverage > most:
            best, most = pose, coverage
        if most >= _AGREED:
            break
    return best


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
    for _ in range(_TRIES):
        pieces = _pieces(free, joined=bool(found))
        pieces = [p for p in pieces if p[0] > max(_LEFT_OVER * largest, 60.0) and not _known(p[1], tried)]
        if not pieces:
            break
        tried.append(pieces[0][1])
        pose = _whole_pose(networks, rest, pieces[0][1])
        if not _is_seen(pose, share) or any(_same(pose, other) for other in found):
            continue
        found.append(pose)
        theirs = _grown(pose.crop.paste(pose.mask, (share.shape[0], share.shape[1])) > 0.3)
        free &= ~theirs
        rest = np.where(theirs[..., None], np.uint8(128), rest)
        largest = max(largest, float((pose.mask > 0.5).mean()) * pose.crop.side_px**2)
    if not found:
        # A person whom the segmentation misses: on a stage, painted, from an unusual side.
        pose = networks.pose(small, [whole_crop(small)])[0]
        found = [pose] if pose.score >= LEAST_SCORE and _is_seen(pose, np.ones_like(share)) else []
    found = _apart(networks, small, found, share)
    found = [_upright(networks, small, pose) for pose in found]
    people = [SeenPerson(_scaled(pose, 1 / factor)) for pose in found]
    tallest = max((person.height_px for person in people), default=0.0)
    people = [person for person in people if person.height_px >= _BYSTANDER * tallest]
    people.sort(key=lambda person: float(person.pose.middle(HIPS)[0]))
    return people


def _apart(
    networks: PersonNetworks, rgb: NDArray[np.uint8], found: list[Pose], share: NDArray[np.float32]
) -> list[Pose]:
    """Return the landmarks of several people, each looked at again without those that overlap."""
    if len(found) < 2:
        return found
    masks = [pose.crop.paste(pose.mask, (share.shape[0], share.shape[1])) for pose in found]
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
    if networks.face(rgb, [pose])[0].score >= FACE_SCORE:
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
    pose = _whole_pose(networks, rgb, crop)
    return SeenPerson(pose) if _is_seen(pose, mask.astype(np.float32) / 255.0) else None


def _known(crop: Crop, tried: list[Crop]) -> bool:
    return any(
        math.dist(crop.center_px, other.center_px) + abs(crop.side_px - other.side_px) < 0.05 * crop.side_px
        for other in tried
    )


def _grown(on: NDArray[np.bool_]) -> NDArray[np.bool_]:
    import cv2

    reach = 2 * (max(on.shape) // 80) + 1
    return np.asarray(cv2.dilate(on.astype(np.uint8), np.ones((reach, reach), np.uint8)) > 0)
