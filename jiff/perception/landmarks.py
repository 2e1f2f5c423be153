"""What the networks see of a person: 33 body landmarks, 468 face points, 21 of a hand, and their places in the photo."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from jiff.perception.crop import Crop

if TYPE_CHECKING:
    from numpy.typing import NDArray

POSE_NAMES = (
    "nose", "left_eye_inner", "left_eye", "left_eye_outer", "right_eye_inner", "right_eye", "right_eye_outer", "left_ear",
    "right_ear", "mouth_left", "mouth_right", "left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist",
    "right_wrist", "left_pinky", "right_pinky", "left_index", "right_index", "left_thumb", "right_thumb", "left_hip",
    "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle", "left_heel", "right_heel", "left_foot_index",
    "right_foot_index",
)  # fmt: skip
"""Left and right are the subject's own."""
POSE_LINES = (
    (11, 12), (11, 13), (13, 15), (12, 14), (14, 16), (11, 23), (12, 24), (23, 24), (23, 25), (25, 27), (24, 26), (26, 28),
    (27, 29), (29, 31), (28, 30), (30, 32), (15, 19), (16, 20), (7, 2), (2, 0), (0, 5), (5, 8), (9, 10),
)  # fmt: skip
"""Pairs of landmarks that a skeleton joins."""
NOSE, LEFT_EYE, RIGHT_EYE, LEFT_EAR, RIGHT_EAR, MOUTH = 0, 2, 5, 7, 8, (9, 10)
SHOULDERS, HIPS, ANKLES, FEET = (11, 12), (23, 24), (27, 28), (29, 30, 31, 32)

FACE_FIVE = ((33, 133), (263, 362), (1,), (61,), (291,))
"""Points of the face mesh whose means are right eye, left eye, nose tip, right and left mouth corner."""

HAND_WRIST = 0
FINGERS = ((1, 2, 3, 4), (5, 6, 7, 8), (9, 10, 11, 12), (13, 14, 15, 16), (17, 18, 19, 20))
"""Points of thumb, index, middle, ring and little finger, from the hand outwards; the last of each is its tip."""
HAND_LINES = (
    *((a, b) for finger in FINGERS for a, b in itertools.pairwise(finger)),
    (0, 1), (0, 5), (5, 9), (9, 13), (13, 17), (0, 17),
)  # fmt: skip
"""Pairs of points that a drawn hand joins."""

_HEAD_WINDOW = 1.5
"""Side of the window of a head over that of its face."""


@dataclass(frozen=True, eq=False)
class Pose:
    """The landmarks of one person in a photo.

    Attributes:
        points_px: [33, 2] continuous photo pixels.
        depth_px: [33] distance behind the middle of the hips in photo pixels; known to a factor only.
        visibility: [33] in [0, 1], whether a landmark is in the picture and not hidden.
        presence: [33] in [0, 1], whether a landmark is in the picture.
        points_m: [33, 3] metres from the middle of the hips; x to the right of the photo, y down, z away from the viewer.
        score: in [0, 1], whether there is a person.
        crop: the window that was looked at.
        mask: [256, 256] float32 in [0, 1] of that window, the share of the person.
        next_crop: the window that the landmarks ask for.
    """

    points_px: NDArray[np.float64]
    depth_px: NDArray[np.float64]
    visibility: NDArray[np.float64]
    presence: NDArray[np.float64]
    points_m: NDArray[np.float64]
    score: float
    crop: Crop
    mask: NDArray[np.float32]
    next_crop: Crop

    @property
    def tilt_deg(self) -> float:
        """Angle of the trunk against the photo's upright, 0 for a standing and 180 for an upside-down person."""
        up = self.points_px[list(SHOULDERS)].mean(0) - self.points_px[list(HIPS)].mean(0)
        return math.degrees(math.atan2(up[0], -up[1]))

    def middle(self, marks: tuple[int, ...]) -> NDArray[np.float64]:
        """Return [2] the mean place of landmarks, photo pixels."""
        return np.asarray(self.points_px[list(marks)].mean(0))


@dataclass(frozen=True, eq=False)
class FacePoints:
    """The points of one face in a photo.

    Attributes:
        points_px: [468, 3] x and y in continuous photo pixels, z behind the face's middle in the same unit.
        score: in [0, 1], whether there is a face.
    """

    points_px: NDArray[np.float64]
    score: float

    @property
    def five_px(self) -> NDArray[np.float64]:
        """[5, 2] right eye, left eye, nose tip, right and left mouth corner."""
        return np.stack([self.points_px[list(marks), :2].mean(0) for marks in FACE_FIVE])

    @property
    def box_px(self) -> NDArray[np.float64]:
        """[4] left, top, right, bottom of all points."""
        xy = self.points_px[:, :2]
        return np.concatenate([xy.min(0), xy.max(0)])

    @property
    def yaw_deg(self) -> float:
        """Where the face looks, positive to the right of the photo; from the plane of eyes and mouth corners."""
        right, left = self.points_px[33], self.points_px[263]
        return math.degrees(math.atan2(left[2] - right[2], math.hypot(*(left - right)[:2])))


@dataclass(frozen=True, eq=False)
class HandPoints:
    """The points of one hand in a photo.

    Attributes:
        points_px: [21, 3] x and y in continuous photo pixels, z behind the wrist in the same unit.
        points_m: [21, 3] metres from the hand's middle; x to the right of the photo, y down, z away from the viewer.
        score: in [0, 1], whether there is a hand.
        left: in [0, 1], how sure it is a left one.
        crop: the window that was looked at.
    """

    points_px: NDArray[np.float64]
    points_m: NDArray[np.float64]
    score: float
    left: float
    crop: Crop


def head_crop(pose: Pose) -> Crop:
    """Return the window of the face that a pose's eyes, ears and mouth promise."""
    p = pose.points_px
    eyes, mouth = p[[LEFT_EYE, RIGHT_EYE]].mean(0), p[list(MOUTH)].mean(0)
    up, across = eyes - mouth, p[LEFT_EYE] - p[RIGHT_EYE]
    length, width = float(np.linalg.norm(up)), float(np.linalg.norm(across))
    side = max(3.4 * length, 3.6 * width, 1.4 * float(np.linalg.norm(p[LEFT_EAR] - p[RIGHT_EAR])), 8.0)
    # Eyes seen from aside lie behind one another: then the line from mouth to eyes is upright.
    sure = width > 0.5 * length and across[0] > 0
    angle = math.atan2(across[1], across[0]) if sure else math.atan2(up[0], -up[1])
    middle = (eyes + mouth + p[NOSE] + 0.5 * (p[LEFT_EAR] + p[RIGHT_EAR])) / 4
    return Crop((float(middle[0]), float(middle[1])), side, angle)


def face_crop(face: FacePoints) -> Crop:
    """Return the window that the points of a face ask for: turned by the eyes, half as large again as the face."""
    xy = face.points_px[:, :2]
    across = xy[263] - xy[33]
    angle = math.atan2(across[1], across[0])
    c, s = math.cos(angle), math.sin(angle)
    axes = np.array([[c, s], [-s, c]])
    turned = xy @ axes.T
    low, high = turned.min(0), turned.max(0)
    center = axes.T @ ((low + high) / 2)
    return Crop((float(center[0]), float(center[1])), 1.5 * max(float((high - low).max()), 4.0), angle)


def head_window(face: FacePoints) -> Crop:
    """Return the upright window of the whole head: about 45 cm, with all of the hair."""
    crop = face_crop(face)
    return Crop(crop.center_px, _HEAD_WINDOW * crop.side_px)
