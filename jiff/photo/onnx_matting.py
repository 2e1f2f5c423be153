"""Masks by a salient-object network in ONNX form, as used by rembg: U2-Net (320 px) or ISNet (1024 px), through OpenCV."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jiff.base.errors import AssetError, ImageError, UsageError
from jiff.photo.images import resize_image
from jiff.photo.onnx_header import read_onnx_header

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


def _kind_of(path: Path, shape: tuple[int | None, ...], wanted: str) -> MattingKind:
    """Return the family of a network: the wanted one, else the one whose size it takes."""
    sizes = {size for size in shape[2:4] if size is not None}
    if wanted != "auto":
        kind = KINDS[wanted]
        if sizes - {kind.size}:
            raise UsageError(
                f"{path}: takes {shape[2]} x {shape[3]} pixels, which is not --matting-kind {wanted}"
                f" ({kind.size}); use --matting-kind auto."
            )
        return kind
    fitting = [kind for kind in KINDS.values() if sizes == {kind.size}]
    if not fitting:
        known = ", ".join(f"{name} ({kind.size} pixels)" for name, kind in KINDS.items())
        raise UsageError(
            f"{path}: does not say by its input size ({list(shape)}) what kind it is; choose --matting-kind: {known}."
        )
    return fitting[0]


class MattingNetwork:
    """A network that tells the salient object of a picture from its background.

    Attributes:
        path: its file.
        kind: how it wants its picture.
        settings: what decides its masks, as plain values.
    """

    def __init__(self, path: Path, kind: str = "auto") -> None:
        """Load ``path``.

        Args:
            path: ONNX file.
            kind: "u2net", "isnet", or "auto" to tell by the size of its input.

        Raises:
            AssetError: no such file, or not a network that OpenCV runs.
            UsageError: it is of another kind, or does not tell which.
        """
        import cv2

        self.path = path
        try:
            blob = path.read_bytes()
        except OSError as error:
            raise AssetError(f"{path}: cannot be read ({error.strerror}); check --matting-model.") from error
        try:
            header = read_onnx_header(blob)
        except ValueError as error:
            raise AssetError(
                f"{path}: is not an ONNX network ({error}); fetch the file again or leave --matting-model out."
            ) from error
        if len(header.input_shape) != 4 or header.input_shape[1] not in (3, None):
            raise AssetError(
                f"{path}: takes {list(header.input_shape)} where a picture [1, 3, height, width] is needed;"
                " give a U2-Net or ISNet file."
            )
        self.kind = _kind_of(path, header.input_shape, kind)
        digest = hashlib.blake2b(blob, digest_size=8).hexdigest()
        self.settings = {"file": path.name, "blake2b": digest, "size": self.kind.size}
        self._output = header.outputs[0]
        try:
            self._network: Any = cv2.dnn.readNetFromONNX(np.frombuffer(blob, np.uint8))
            self._names = list(self._network.getUnconnectedOutLayersNames())
        except cv2.error as error:
            raise AssetError(_refused(path, error)) from error

    def probability(self, rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return [size, size] the network's first output for [H, W, 3].

        Raises:
            AssetError: the network fails or gives something else than one map.
        """
        import cv2

        name = self._output if self._output in self._names else self._names[0]
        try:
            self._network.setInput(network_picture(rgb, self.kind))
            found = np.asarray(self._network.forward(name), dtype=np.float32)
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
