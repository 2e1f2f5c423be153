"""Face detectors: the person networks where they are, else OpenCV's YuNet when its file is known, else Haar cascades."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from jiff.assets.folders import assets_dir
from jiff.base.errors import AssetError
from jiff.face.detect.detection import Detection
from jiff.face.detect.points_detector import PointsDetector
from jiff.perception.files import find_networks

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jiff.perception.networks import PersonNetworks

YUNET_PATTERN = "face_detection_yunet*.onnx"
SCORE_THRESHOLD = 0.6
"""YuNet's score below which a find is no face; its authors' default is 0.9, synthetic and small faces score lower."""

# Where a Haar box (x, y, width, height) has eyes, nose tip and mouth corners, as fractions of the box.
_HAAR_FIVE = np.array([[0.31, 0.39], [0.69, 0.39], [0.5, 0.63], [0.35, 0.81], [0.65, 0.81]])


class FaceDetector(Protocol):
    """Finds faces that are roughly upright and at least about 30 pixels wide."""

    name: str

    def detect(self, image_rgb: NDArray[np.uint8]) -> list[Detection]:
        """Return the faces of [H, W, 3] RGB, best first."""


def find_detector_model(given: Path | None = None) -> Path | None:
    """Return the YuNet file: the given one, else the newest in the assets folder, else None.

    Raises:
        AssetError: the given file does not exist.
    """
    if given is not None:
        if not given.is_file():
            raise AssetError(f"{given}: no such detector file; check --detector-model or leave it out.")
        return given
    found = sorted(assets_dir().glob(YUNET_PATTERN)) if assets_dir().is_dir() else []
    return found[-1] if found else None


class YuNetDetector:
    """OpenCV's FaceDetectorYN with a YuNet model (Wu et al., "YuNet: A Tiny Millisecond-level Face Detector", 2023)."""

    name = "yunet"

    def __init__(self, path: Path) -> None:
        """Load ``path``.

        Raises:
            AssetError: the file is not a model that OpenCV reads.
        """
        import cv2

        try:
            self._net: Any = cv2.FaceDetectorYN.create(
                str(path), "", (320, 320), score_threshold=SCORE_THRESHOLD, nms_threshold=0.3, top_k=50
            )
            self.detect(np.zeros((64, 64, 3), np.uint8))
        except cv2.error as error:
            raise AssetError(
                f"{path}: is not a YuNet model that OpenCV can read; fetch it again with `jiff assets fetch yunet`."
            ) from error

    def detect(self, image_rgb: NDArray[np.uint8]) -> list[Detection]:
        """Return the faces of [H, W, 3] RGB, best first."""
        height, width = image_rgb.shape[:2]
        self._net.setInputSize((width, height))
        _, rows = self._net.detect(np.ascontiguousarray(image_rgb[..., ::-1]))
        found = []
        for row in rows if rows is not None else ():
            x, y, w, h = (float(v) for v in row[:4])
            points = np.asarray(row[4:14], dtype=np.float64).reshape(5, 2)
            found.append(Detection(np.array([x, y, x + w, y + h]), points, float(row[14]), "yunet"))
        return sorted(found, key=lambda d: -d.score)


class HaarDetector:
    """OpenCV's frontal-face and eye cascades (Viola and Jones 2001): no file to fetch, landmarks are rough."""

    name = "haar"

    def __init__(self) -> None:
        import cv2

        folder = Path(cv2.__file__).parent / "data"
        self._faces = [
            cv2.CascadeClassifier(str(folder / f"haarcascade_frontalface_{kind}.xml"))
            for kind in ("default", "alt2")
        ]
        self._eyes = cv2.CascadeClassifier(str(folder / "haarcascade_eye.xml"))
        if self._eyes.empty() or any(cascade.empty() for cascade in self._faces):
            raise AssetError(
                f"{folder}: OpenCV's Haar cascades are missing; reinstall opencv-python-headless or give --detector-model."
            )

    def detect(self, image_rgb: NDArray[np.uint8]) -> list[Detection]:
        """Return the faces of [H, W, 3] RGB, those with most support first."""
        import cv2

        plain = cv2.cvtColor(image_rgb, cv2.COLOR_RGB2GRAY)
        gray: NDArray[np.uint8] = np.asarray(cv2.createCLAHE(2.0, (8, 8)).apply(plain), dtype=np.uint8)
        found: list[Detection] = []
        for cascade in self._faces:
            boxes, _, weights = cascade.detectMultiScale3(
                gray, scaleFactor=1.08, minNeighbors=4, minSize=(40, 40), outputRejectLevels=True
            )
            for box, weight in zip(np.reshape(boxes, (-1, 4)), np.reshape(weights, -1)):
                x, y, w, h = (float(v) for v in box)
                points = np.array([x, y]) + _HAAR_FIVE * [w, h]
                eyes = self._eyes_in(gray, x, y, w, h)
                evidence = "haar"
                if eyes is not None:
                    points = _follow_eyes(points, eyes)
                    evidence = "haar+eyes"
                score = float(np.clip(weight / 10, 0.05, 0.99))
                found.append(Detection(np.array([x, y, x + w, y + h]), points, score, evidence))
        # OpenCV's threads give boxes in any order: among equals the place decides.
        found.sort(key=lambda d: (d.evidence != "haar+eyes", -d.score, *d.box_px.tolist()))
        return _without_doubles(found)

    def _eyes_in(
        self, gray: NDArray[np.uint8], x: float, y: float, w: float, h: float
    ) -> NDArray[np.float64] | None:
        """Return [2, 2] right and left eye centres in the upper part of a face box, None unless one on each side."""
        import cv2

        top, left = round(y + 0.15 * h), round(x)
        part = gray[top : round(y + 0.6 * h), left : round(x + w)]
        if min(part.shape) < 20:
            return None
        scale = max(1.0, 200 / part.shape[1])
        part = np.asarray(
            cv2.resize(part, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC), dtype=np.uint8
        )
        size = round(0.16 * part.shape[1])
        boxes = np.reshape(
            self._eyes.detectMultiScale(part, 1.05, 3, minSize=(size, size), maxSize=(3 * size, 3 * size)),
            (-1, 4),
        )
        boxes = boxes[np.lexsort(boxes.T[::-1])]
        centers = (boxes[:, :2] + boxes[:, 2:] / 2) / scale + [left, top]
        target = np.array([x, y]) + _HAAR_FIVE[:2] * [w, h]
        pair = []
        for goal in target:
            distance = np.linalg.norm(centers - goal, axis=1) if len(centers) else np.zeros(0)
            if len(distance) == 0 or distance.min() > 0.16 * w:
                return None
            pair.append(centers[distance.argmin()])
        return np.stack(pair)


class SecondOpinion:
    """OpenCV's cascades that no other detector here asks: whoever found a face, they did not.

    They say where a face is, not where its parts are, and are meant for close-ups: a face narrower than a quarter of a
    512-pixel picture is not looked for.
    """

    name = "second opinion"

    def __init__(self, *, aside: bool = False) -> None:
        """Load the frontal cascade and, for heads turned ``aside``, the one of profiles.

        Raises:
            AssetError: OpenCV came without them.
        """
        import cv2

        folder = Path(cv2.__file__).parent / "data"
        self._frontal = cv2.CascadeClassifier(str(folder / "haarcascade_frontalface_alt.xml"))
        self._profile = cv2.CascadeClassifier(str(folder / "haarcascade_profileface.xml")) if aside else None
        if self._frontal.empty() or (self._profile is not None and self._profile.empty()):
            raise AssetError(
                f"{folder}: OpenCV's Haar cascades are missing; reinstall opencv-python-headless."
            )

    def detect(self, image_rgb: NDArray[np.uint8]) -> list[Detection]:
        """Return the faces of [H, W, 3] RGB in no order, their landmarks guessed from the boxes."""
        import cv2

        plain = cv2.cvtColor(image_rgb, cv2.COLOR_RGB2GRAY)
        gray: NDArray[np.uint8] = np.asarray(cv2.createCLAHE(2.0, (8, 8)).apply(plain), dtype=np.uint8)
        found = [(box, False) for box in self._boxes(self._frontal, gray)]
        if self._profile is not None:
            found += [(box, False) for box in self._boxes(self._profile, gray)]
            # The cascade knows profiles to one side.
            mirrored = np.ascontiguousarray(gray[:, ::-1])
            found += [(box, True) for box in self._boxes(self._profile, mirrored)]
        width = gray.shape[1]
        detections = []
        for (x, y, w, h), flip in found:
            left = width - x - w if flip else x
            points = np.array([left, y]) + _HAAR_FIVE * [w, h]
            detections.append(Detection(np.array([left, y, left + w, y + h]), points, 0.5, "haar"))
        return detections

    @staticmethod
    def _boxes(cascade: Any, gray: NDArray[np.uint8]) -> list[tuple[float, float, float, float]]:
        boxes = np.reshape(cascade.detectMultiScale(gray, 1.08, 4, minSize=(128, 128)), (-1, 4))
        return sorted((float(x), float(y), float(w), float(h)) for x, y, w, h in boxes)


def _follow_eyes(points: NDArray[np.float64], eyes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the guessed landmarks [5, 2] moved, turned and scaled so that their eyes lie at ``eyes`` [2, 2]."""
    # In the complex plane a similarity is z -> a z + b.
    z, goal = points[:, 0] + 1j * points[:, 1], eyes[:, 0] + 1j * eyes[:, 1]
    a = (goal[1] - goal[0]) / (z[1] - z[0])
    moved = a * (z - z[0]) + goal[0]
    return np.stack([moved.real, moved.imag], axis=1)


def _without_doubles(found: list[Detection]) -> list[Detection]:
    kept: list[Detection] = []
    for detection in found:
        if all(overlap(detection.box_px, other.box_px) < 0.4 for other in kept):
            kept.append(detection)
    return kept


def overlap(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Return the intersection over union of two boxes [left, top, right, bottom]."""
    inner = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    both = float(np.prod(np.maximum(inner, 0)))
    total = float(np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2])) - both
    return both / total if total > 0 else 0.0


def load_detector(path: Path | None = None) -> FaceDetector:
    """Return the detector of a file, or the best one there is (see ``make_detector``), loaded once per process."""
    networks = None if path is not None else find_networks()
    return _loaded(path, networks)


@lru_cache(maxsize=1)
def load_fallback() -> FaceDetector:
    """Return what looks for faces without the person networks: YuNet of the assets folder, else Haar."""
    path = find_detector_model(None)
    return YuNetDetector(path) if path is not None else HaarDetector()


@lru_cache(maxsize=4)
def _loaded(path: Path | None, networks: PersonNetworks | None) -> FaceDetector:
    return make_detector(path)


def make_detector(given: Path | None = None) -> FaceDetector:
    """Return YuNet of a given file, else the person networks where they are, else YuNet of the assets folder, else Haar.

    Raises:
        AssetError: a given file is missing or damaged.
    """
    networks = None if given is not None else find_networks()
    if networks is not None:
        return PointsDetector(networks)
    path = find_detector_model(given)
    return YuNetDetector(path) if path is not None else HaarDetector()
