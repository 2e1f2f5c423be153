"""Masks by a salient-object network in ONNX form, as used by rembg: U2-Net (320 px) or ISNet (1024 px), through OpenCV."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jiff.base.errors import AssetError, ImageError
from jiff.photo.images import resize_image

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LEAST_PEAK = 0.5
"""Both kinds end in a sigmoid: a picture in which no pixel is more likely object than not shows none."""


@dataclass(frozen=True)
class MattingKind:
    """How a family of networks wants its picture.

    Attributes:
        size: width and height, pixels.
        mean: per channel, subtracted after scaling to [0, 1] by the picture's largest value.
        std: per channel, divided by after that.
    """

    size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


KINDS = {
    # Qin et al., "U2-Net", Pattern Recognition 2020: statistics of ImageNet.
    "u2net": MattingKind(320, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    # Qin et al., "Highly Accurate Dichotomous Image Segmentation", ECCV 2022.
    "isnet": MattingKind(1024, (0.5, 0.5, 0.5), (1.0, 1.0, 1.0)),
}


def network_picture(rgb: NDArray[np.uint8], kind: MattingKind) -> NDArray[np.float32]:
    """Return [1, 3, size, size] of [H, W, 3], stretched to a square as these networks were trained."""
    small = resize_image(rgb, (kind.size, kind.size)).astype(np.float32)
    scaled = small / max(float(small.max()), 1e-6)
    normal = (scaled - np.array(kind.mean, np.float32)) / np.array(kind.std, np.float32)
    return np.ascontiguousarray(normal.transpose(2, 0, 1)[None], dtype=np.float32)


class MattingNetwork:
    """A network that tells the salient object of a picture from its background.

    Attributes:
        path: its file.
        kind: how it wants its picture.
        settings: what decides its masks, as plain values.
    """

    def __init__(self, path: Path, kind: str) -> None:
        """Load ``path``.

        Args:
            path: ONNX file.
            kind: of ``KINDS``.

        Raises:
            AssetError: no such file, or not a network that OpenCV runs.
        """
        import cv2

        self.path = path
        try:
            blob = path.read_bytes()
        except OSError as error:
            raise AssetError(f"{path}: cannot be read ({error.strerror}); check --matting-model.") from error
        self.kind = KINDS[kind]
        digest = hashlib.blake2b(blob, digest_size=8).hexdigest()
        self.settings = {"file": path.name, "blake2b": digest, "size": self.kind.size}
        try:
            self._network: Any = cv2.dnn.readNetFromONNX(np.frombuffer(blob, np.uint8))
            # U2-Net's other outputs are those of its stages. OpenCV numbers outputs as the file lists them, and lists them
            # as it likes.
            first = min(int(number) for number in self._network.getUnconnectedOutLayers())
            self._output = self._network.getLayer(first).name
        except (cv2.error, ValueError) as error:
            raise AssetError(_refused(path, error)) from error

    def probability(self, rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return [size, size] the network's first output for [H, W, 3].

        Raises:
            AssetError: the network fails or gives something else than one map.
        """
        import cv2

        try:
            self._network.setInput(network_picture(rgb, self.kind))
            found = np.asarray(self._network.forward(self._output), dtype=np.float32)
        except cv2.error as error:
            raise AssetError(_refused(self.path, error)) from error
        if found.shape != (1, 1, self.kind.size, self.kind.size) or not np.isfinite(found).all():
            raise AssetError(
                f"{self.path}: gives {list(found.shape)} where one map [1, 1, {self.kind.size}, {self.kind.size}] of"
                " numbers is needed; give a U2-Net or ISNet file."
            )
        return found[0, 0]

    def mask(self, rgb: NDArray[np.uint8], name: str) -> NDArray[np.uint8]:
        """Return the soft mask [H, W] uint8 of [H, W, 3].

        Args:
            rgb: the photo.
            name: of the photo, for messages.

        Raises:
            ImageError: nothing stands out from the background.
            AssetError: see ``probability``.
        """
        found = self.probability(rgb)
        low, high = float(found.min()), float(found.max())
        if high < _LEAST_PEAK or high - low < 1e-6:
            raise ImageError(
                f"{name}: no person was found by {self.path.name}; give {Path(name).stem}_mask.png (white on black)"
                " or a clearer photo."
            )
        # Stretched to the full range as rembg does.
        gray = np.rint((found - low) / (high - low) * 255).astype(np.uint8)
        return resize_image(gray, (rgb.shape[0], rgb.shape[1]))


def _refused(path: Path, error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    cause = lines[0][:160] if lines else "no reason given"
    return f"{path}: OpenCV cannot run this network ({cause}); export it again with fixed sizes, or use another model."
