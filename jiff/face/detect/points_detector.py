"""Faces by the person networks: body landmarks say where the head is, 468 points where the face is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jiff.face.detect.detection import Detection
from jiff.perception.people import find_people, see_face

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from jiff.perception.landmarks import FacePoints
    from jiff.perception.networks import PersonNetworks

EVIDENCE = "points"


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
