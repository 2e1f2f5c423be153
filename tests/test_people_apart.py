"""Who is somebody new in a photo, and windows that hold a whole person; networks are constructed, answers in closed form."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

import numpy as np
import pytest

from jiff.perception.crop import Crop
from jiff.perception.landmarks import FacePoints, Pose
from jiff.perception.networks import PersonNetworks
from jiff.perception.people import find_people
from jiff.perception.whole_person import whole_pose

SKIN, PAINT = (255, 220, 180), (128, 128, 128)
SHAPE = (240, 240)


@dataclass(frozen=True, eq=False)
class Figure:
    """A stick person in a box; its landmarks and its mask."""

    points: np.ndarray
    on: np.ndarray


def figure(left: int, top: int, right: int, bottom: int) -> Figure:
    share = np.full(33, 0.5)
    share[:9], share[9:11], share[11:13], share[13:23] = 0.06, 0.1, 0.2, 0.45
    share[23:25], share[25:27], share[27:29], share[29:] = 0.52, 0.75, 0.94, 0.97
    x = (left + right) / 2 + np.where(np.arange(33) % 2, 0.3, -0.3) * (right - left)
    x[0] = (left + right) / 2
    on = np.zeros(SHAPE, bool)
    on[top:bottom, left:right] = True
    return Figure(np.stack([x, top + share * (bottom - top)], axis=1), on)


def photo_of(*people: tuple[Figure, tuple[int, int, int]]) -> np.ndarray:
    """Everybody in a colour of their own, with a face of skin, before a wall."""
    rgb = np.full((*SHAPE, 3), 60, np.uint8)
    for person, colour in people:
        rgb[person.on] = colour
        x, y = person.points[0].astype(int)
        rgb[y - 6 : y + 6, x - 6 : x + 6] = SKIN
    return rgb


Look = Callable[[np.ndarray, Crop], tuple[Figure, float]]


@dataclass
class Networks:
    """Networks that see what ``look`` tells of a window, faces where there is skin, and people where ``share`` is."""

    share: np.ndarray
    look: Look
    windows: list[Crop] = field(default_factory=list)

    def people_mask(self, rgb: np.ndarray, crop: Crop) -> np.ndarray:
        return crop.take(np.where(self.share, 255, 0).astype(np.uint8), 256).astype(np.float32) / 255

    def pose(self, rgb: np.ndarray, crops: list[Crop]) -> list[Pose]:
        self.windows += crops
        return [self._pose(rgb, crop) for crop in crops]

    def _pose(self, rgb: np.ndarray, crop: Crop) -> Pose:
        seen, score = self.look(rgb, crop)
        mask = crop.take(np.where(seen.on, 255, 0).astype(np.uint8), 256).astype(np.float32) / 255
        # Landmarks never leave the window that the network is shown.
        low = np.array(crop.center_px) - crop.side_px / 2
        points = seen.points.clip(low, low + crop.side_px)
        ones = np.ones(33)
        return Pose(points, np.zeros(33), ones, ones, np.zeros((33, 3)), score, crop, mask, crop)

    def face(self, rgb: np.ndarray, poses: list[Pose]) -> list[FacePoints]:
        faces = []
        for pose in poses:
            x, y = pose.points_px[0].astype(int)
            angle = np.linspace(0, 2 * np.pi, 468)
            points = np.stack([x + 6 * np.cos(angle), y + 6 * np.sin(angle), 0 * angle], axis=1)
            faces.append(FacePoints(points, float(tuple(rgb[y, x]) == SKIN)))
        return faces


def networks_of(share: np.ndarray, look: Look) -> PersonNetworks:
    return cast("PersonNetworks", Networks(share, look))


def painted(rgb: np.ndarray, person: Figure) -> bool:
    x, y = person.points[[11, 12, 23, 24]].mean(0).astype(int)
    return tuple(rgb[y, x]) == PAINT


MAN, BLUE, RED = figure(60, 20, 100, 200), (40, 60, 200), (200, 40, 40)


def test_the_outline_of_who_was_painted_over_is_nobody() -> None:
    # The network's mask misses a part of the man; what remains brings the window back to him.
    share = MAN.on.copy()
    share[100:200, 100:140] = True
    outline = figure(62, 60, 104, 200)
    found = find_people(
        networks_of(share, lambda rgb, crop: (outline, 0.98) if painted(rgb, MAN) else (MAN, 1.0)),
        photo_of((MAN, BLUE)),
    )
    assert len(found) == 1
    np.testing.assert_allclose(found[0].pose.points_px, MAN.points)


MACHINE, ELSEWHERE = figure(120, 60, 150, 200), figure(160, 100, 230, 230)


@pytest.mark.parametrize(
    ("painted_score", "itself", "people"),
    [
        # The photo itself shows the man in that window.
        (0.97, (MAN, 1.0), 1),
        # The photo itself shows nobody: a sure find is believed, another is not.
        (0.97, (ELSEWHERE, 0.1), 2),
        (0.6, (ELSEWHERE, 0.1), 1),
        (0.6, (MACHINE, 0.07), 1),
        # From behind there is no face; the photo itself shows the same.
        (0.6, (MACHINE, 0.9), 2),
    ],
)
def test_a_find_beside_paint_is_asked_about_in_the_photo_itself(
    painted_score: float, itself: tuple[Figure, float], people: int
) -> None:
    def look(rgb: np.ndarray, crop: Crop) -> tuple[Figure, float]:
        if painted(rgb, MAN):
            return MACHINE, painted_score
        return itself if crop.center_px[0] > 110 else (MAN, 1.0)

    rgb = photo_of((MAN, BLUE))
    rgb[MACHINE.on] = 90
    assert len(find_people(networks_of(MAN.on | MACHINE.on, look), rgb)) == people


def test_a_leg_that_only_the_segmentation_sees_joins_the_mask() -> None:
    leg = np.zeros(SHAPE, bool)
    leg[110:135, 30:60] = True
    rgb = photo_of((MAN, BLUE))
    rgb[leg] = BLUE
    found = find_people(networks_of(MAN.on | leg, lambda rgb, crop: (MAN, 1.0)), rgb)
    theirs = found[0].pose.crop.paste(found[0].pose.mask, SHAPE) > 0.5
    assert len(found) == 1 and theirs[leg].mean() > 0.9 and (theirs & ~leg & ~MAN.on).mean() < 0.01


def test_who_stands_before_another_is_found_too() -> None:
    behind, front = figure(150, 20, 190, 200), figure(176, 20, 226, 210)
    rgb = photo_of((MAN, BLUE), (behind, RED), (front, (40, 160, 40)))

    def look(rgb: np.ndarray, crop: Crop) -> tuple[Figure, float]:
        if not painted(rgb, MAN) and crop.center_px[0] < 150:
            return MAN, 1.0
        return (behind, 0.99) if painted(rgb, MAN) else (front, 1.0)

    found = find_people(networks_of(MAN.on | behind.on, look), rgb)
    assert [round(person.pose.points_px[0, 0]) for person in found] == [80, 170, 201]
    # The same face in both is one person.
    on = front.on.copy()
    on[25:45, 150:190] = True
    twin = Figure(np.concatenate([behind.points[:11], front.points[11:]]), on)

    def look_twice(rgb: np.ndarray, crop: Crop) -> tuple[Figure, float]:
        seen, score = look(rgb, crop)
        return (twin, score) if seen is front else (seen, score)

    assert len(find_people(networks_of(MAN.on | behind.on, look_twice), rgb)) == 2


def test_a_window_that_cuts_the_legs_is_widened() -> None:
    networks = networks_of(MAN.on, lambda rgb, crop: (MAN, 1.0))
    rgb = photo_of((MAN, BLUE))
    upper = Crop((80.0, 70.0), 120.0)
    np.testing.assert_allclose(whole_pose(networks, rgb, upper).points_px, MAN.points)
    # What the photo's own border cuts is not sought outside.
    tall = figure(60, 20, 100, 240)
    networks = networks_of(tall.on, lambda rgb, crop: (tall, 1.0))
    whole_pose(networks, photo_of((tall, BLUE)), Crop((80.0, 120.0), 240.0))
    assert len(cast("Networks", networks).windows) == 1


def test_someone_half_missed_is_looked_for_around_what_was_seen() -> None:
    small = figure(100, 80, 120, 160)
    torso = np.zeros(SHAPE, bool)
    torso[90:115, 100:120] = True

    def look(rgb: np.ndarray, crop: Crop) -> tuple[Figure, float]:
        # In the whole photo the person is too small to be seen well.
        return small, 0.0 if crop.side_px < 40 else 1.0 if crop.side_px < 200 else 0.7

    found = find_people(networks_of(torso, look), photo_of((small, BLUE)))
    assert len(found) == 1 and found[0].pose.score == 1.0 and found[0].pose.crop.side_px < 200
    # Around a head that fills the photo there is nothing to look at.
    networks = networks_of(np.ones(SHAPE, bool), lambda rgb, crop: (small, 0.0))
    assert not find_people(networks, photo_of((small, BLUE)))
    assert max(crop.side_px for crop in cast("Networks", networks).windows) <= 1.25 * 240
