"""MediaPipe's networks of the person (Apache-2.0), run by OpenCV: segmentation, body landmarks, face points, hands.

Bazarevsky et al., "BlazePose: On-device Real-time Body Pose tracking", 2020; Kartynnik et al., "Real-time Facial Surface
Geometry from Monocular Video on Mobile GPUs", 2019; Zhang et al., "MediaPipe Hands", 2020. Inputs and outputs: https://ai.google.dev/edge/mediapipe/solutions/vision.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jiff.assets.registry import get_asset
from jiff.base.errors import AssetError
from jiff.body.fit.observed import HAND_POINTS
from jiff.perception.crop import Crop
from jiff.perception.landmarks import FacePoints, HandPoints, Pose, face_crop, head_crop
from jiff.perception.tflite import DenseHeads, TfliteNetwork

if TYPE_CHECKING:
    from numpy.typing import NDArray

SELFIE_FILE = "selfie_segmentation.tflite"
POSE_FILE = "pose_landmark_full.tflite"
FACE_FILE = "face_landmark.tflite"
HAND_FILE = "hand_landmark_full.tflite"
HAND_DEPTH_SCALE = 0.4
"""What the network of hands makes of a depth of one pixel."""
_HAND_SIZE = 224
_POSE_ROUNDS = 3
_SETTLED = 0.08
"""Share of a window's side by which the next one may differ and still count as the same."""
_LANDMARKS, _ALL_LANDMARKS = 33, 39


def _sigmoid(values: NDArray[Any]) -> NDArray[np.float64]:
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(values.astype(np.float64), -60, 60))))


class PersonNetworks:
    """The networks, loaded when first used; keep one per process.

    All answers are in continuous photo pixels (x right, y down, pixel centres at +0.5), whatever window was looked at.

    Attributes:
        folder: of the files.
        hand_problem: why the network of hands, which is there, cannot be used; None before it was tried.
    """

    name = "mediapipe"

    def __init__(self, folder: Path) -> None:
        """Take the networks of a folder (see ``jiff.perception.files``)."""
        self.folder = folder
        self._loaded: dict[str, TfliteNetwork] = {}
        self.hand_problem: str | None = None

    def _network(self, file: str, size: int, outputs: dict[str, int]) -> TfliteNetwork:
        if file not in self._loaded:
            self._loaded[file] = TfliteNetwork(self.folder / file, size, outputs)
        return self._loaded[file]

    @property
    def sees_hands(self) -> bool:
        """Whether the network of hands is there and runs; the others work without it."""
        wheel = get_asset("perception").wheel
        if wheel is None or not wheel.holds(self.folder, HAND_FILE) or self.hand_problem is not None:
            return False
        try:
            self._hand_network()
        except AssetError as error:
            self.hand_problem = str(error)
        return self.hand_problem is None

    def _hand_network(self) -> TfliteNetwork:
        """Return the network of hands, which has answered once.

        Raises:
            AssetError: OpenCV cannot read it, or not run it.
        """
        if HAND_FILE not in self._loaded:
            heads = {"points": ("Identity", 63), "metres": ("Identity_3", 63), "score": ("conv_handflag", 1), "side": ("conv_handedness", 1)}  # fmt: skip
            network = DenseHeads(self.folder / HAND_FILE, _HAND_SIZE, heads)
            network.run(np.zeros((_HAND_SIZE, _HAND_SIZE, 3), np.float32))
            self._loaded[HAND_FILE] = network
        return self._loaded[HAND_FILE]

    def people_mask(self, rgb: NDArray[np.uint8], crop: Crop | None = None) -> NDArray[np.float32]:
        """Return [256, 256] in [0, 1] the share of people in a window of [H, W, 3], the whole photo by default."""
        network = self._network(SELFIE_FILE, 256, {"mask": 256 * 256})
        crop = crop or whole_crop(rgb)
        picture = crop.take(rgb, 256).astype(np.float32) / 255.0
        return np.clip(network.run(picture)["mask"].reshape(256, 256), 0, 1)

    def pose(self, rgb: NDArray[np.uint8], crops: list[Crop]) -> list[Pose]:
        """Return the landmarks of the person of each window; windows follow the landmarks for up to three rounds.

        Args:
            rgb: [H, W, 3].
            crops: rough windows, one per person.
        """
        return [self._settled_pose(rgb, crop) for crop in crops]

    def _settled_pose(self, rgb: NDArray[np.uint8], crop: Crop) -> Pose:
        pose = self._pose_once(rgb, crop)
        for _ in range(_POSE_ROUNDS - 1):
            following = pose.next_crop
            moved = math.dist(following.center_px, pose.crop.center_px) + abs(
                following.side_px - pose.crop.side_px
            )
            turned = abs(math.remainder(following.angle_rad - pose.crop.angle_rad, 2 * math.pi))
            if moved < _SETTLED * pose.crop.side_px and turned < _SETTLED:
                break
            again = self._pose_once(rgb, following)
            if again.score < 0.5 * pose.score:
                # The window ran away from the person.
                break
            pose = again
        return pose

    def _pose_once(self, rgb: NDArray[np.uint8], crop: Crop) -> Pose:
        network = self._network(
            POSE_FILE, 256, {"points": 5 * _ALL_LANDMARKS, "metres": 3 * _ALL_LANDMARKS, "score": 1, "mask": 256 * 256}
        )  # fmt: skip
        found = network.run(crop.take(rgb, 256).astype(np.float32) / 255.0)
        rows = found["points"].reshape(_ALL_LANDMARKS, 5).astype(np.float64)
        points = crop.to_photo(rows[:, :2], 256)
        metres = found["metres"].reshape(_ALL_LANDMARKS, 3).astype(np.float64)[:_LANDMARKS]
        c, s = math.cos(crop.angle_rad), math.sin(crop.angle_rad)
        metres[:, :2] = metres[:, :2] @ np.array([[c, s], [-s, c]])
        # Beyond the landmarks: the middle of the hips and a point on the circle that encloses the person, above it.
        middle, top = points[33], points[34]
        reach = top - middle
        side = 2.5 * max(float(np.linalg.norm(reach)), 4.0)
        following = Crop((float(middle[0]), float(middle[1])), side, math.atan2(reach[0], -reach[1]))
        return Pose(
            points_px=points[:_LANDMARKS],
            depth_px=rows[:_LANDMARKS, 2] * (crop.side_px / 256),
            visibility=_sigmoid(rows[:_LANDMARKS, 3]),
            presence=_sigmoid(rows[:_LANDMARKS, 4]),
            points_m=metres,
            score=float(np.clip(found["score"][0], 0, 1)),
            crop=crop,
            mask=_sigmoid(found["mask"]).reshape(256, 256).astype(np.float32),
            next_crop=following,
        )

    def face(self, rgb: NDArray[np.uint8], poses: list[Pose]) -> list[FacePoints]:
        """Return the face points of each person, seen in a window turned by the eyes, then by the face's own points."""
        return [self.face_in(rgb, head_crop(pose)) for pose in poses]

    def face_in(self, rgb: NDArray[np.uint8], crop: Crop) -> FacePoints:
        """Return the face points of a rough window of [H, W, 3]."""
        first = self._face_once(rgb, crop)
        if first.score < 0.1:
            return first
        second = self._face_once(rgb, face_crop(first))
        return second if second.score >= 0.5 * first.score else first

    def _face_once(self, rgb: NDArray[np.uint8], crop: Crop) -> FacePoints:
        network = self._network(FACE_FILE, 192, {"points": 3 * 468, "score": 1})
        found = network.run(crop.take(rgb, 192).astype(np.float32) / 255.0)
        rows = found["points"].reshape(468, 3).astype(np.float64)
        depth = rows[:, 2:] * (crop.side_px / 192)
        points = np.concatenate([crop.to_photo(rows[:, :2], 192), depth], axis=1)
        return FacePoints(points, float(_sigmoid(found["score"])[0]))

    def hand_in(self, rgb: NDArray[np.uint8], crop: Crop) -> HandPoints:
        """Return the points of the hand in a window of [H, W, 3] in which its fingers point upwards.

        Raises:
            AssetError: the network of hands is not one that ``sees_hands``.
        """
        found = self._hand_network().run(crop.take(rgb, _HAND_SIZE).astype(np.float32) / 255.0)
        rows = found["points"].reshape(HAND_POINTS, 3).astype(np.float64)
        depth = rows[:, 2:] * (crop.side_px / _HAND_SIZE / HAND_DEPTH_SCALE)
        metres = found["metres"].reshape(HAND_POINTS, 3).astype(np.float64)
        c, s = math.cos(crop.angle_rad), math.sin(crop.angle_rad)
        metres[:, :2] = metres[:, :2] @ np.array([[c, s], [-s, c]])
        return HandPoints(
            points_px=np.concatenate([crop.to_photo(rows[:, :2], _HAND_SIZE), depth], axis=1),
            points_m=metres,
            score=float(_sigmoid(found["score"])[0]),
            left=1.0 - float(_sigmoid(found["side"])[0]),
            crop=crop,
        )


def whole_crop(rgb: NDArray[np.uint8]) -> Crop:
    """Return the smallest square around a whole photo."""
    height, width = rgb.shape[:2]
    return Crop.around(0.0, 0.0, float(width), float(height), 1.0)
