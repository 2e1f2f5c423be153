"""Faces by the person networks: body landmarks say where the head is, 468 points where the face is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from jiff.face.detect.detection import Detection
from jiff.perception.crop import Crop
from jiff.perception.people import FACE_SCORE, find_people, see_face

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jiff.perception.landmarks import FacePoints
    from jiff.perception.networks import PersonNetworks

EVIDENCE = "points"
_NEAR = 0.5
"""Distance between expected and seen landmarks over the face's extent, beyond which it is another face or none."""


def detection_of(face: FacePoints) -> Detection:
    """Return the points of a face as a detection."""
    return Detection(face.box_px, face.five_px, face.score, EVIDENCE, face.points_px)


class PointsDetector:
    """The person networks behind the interface of face detectors."""

    name = "the person networks"

    def __init__(self, networks: PersonNetworks) -> None:
        self._networks = networks

    def detect(self, image_rgb: NDArray[np.uint8]) -> list[Detection]:
        """Return the faces of [H, W, 3] RGB, best first."""
        faces = [see_face(self._networks, image_rgb, p.pose) for p in find_people(self._networks, image_rgb)]
        return sorted((detection_of(face) for face in faces if face is not None), key=lambda d: -d.score)

    def face_at(self, image_rgb: NDArray[np.uint8], five_px: NDArray[np.float64]) -> FacePoints | None:
        """Return the face of [H, W, 3] whose landmarks [5, 2] are known roughly; None where none is seen there."""
        eyes, mouth = five_px[:2].mean(0), five_px[3:].mean(0)
        length, width = (float(np.linalg.norm(v)) for v in (mouth - eyes, five_px[1] - five_px[0]))
        middle = (eyes + mouth) / 2
        crop = Crop((float(middle[0]), float(middle[1])), max(3.4 * length, 3.6 * width, 8.0))
        face = self._networks.face_in(image_rgb, crop)
        away = float(np.linalg.norm(face.five_px - five_px, axis=1).max())
        return face if face.score >= FACE_SCORE and away < _NEAR * max(length, width) else None
