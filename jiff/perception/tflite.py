"""Small networks in TFLite form, read by OpenCV."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jiff.base.errors import AssetError
from jiff.base.opencv import silent_opencv

if TYPE_CHECKING:
    from numpy.typing import NDArray


class TfliteNetwork:
    """A network with one picture as input.

    Attributes:
        path: its file.
        size: width and height of its picture, pixels.
    """

    def __init__(self, path: Path, size: int, outputs: dict[str, int]) -> None:
        """Load ``path``.

        Args:
            path: TFLite file.
            size: width and height of its picture.
            outputs: a name of our own -> number of values, by which an output is told from the others.

        Raises:
            AssetError: missing, damaged, or not a network that this OpenCV runs.
        """
        import cv2

        self.path, self.size, self._sizes = path, size, outputs
        try:
            with silent_opencv():
                self._network: Any = cv2.dnn.readNetFromTFLite(np.frombuffer(path.read_bytes(), np.uint8))
            self._names = [str(name) for name in self._network.getUnconnectedOutLayersNames()]
        except OSError as error:
            raise AssetError(
                f"{path}: cannot be read ({error.strerror}); run `jiff assets fetch perception`."
            ) from error
        except (cv2.error, AttributeError) as error:
            raise AssetError(
                f"{path}: OpenCV {cv2.__version__} cannot read this network; run `jiff assets fetch perception --overwrite`."
            ) from error

    def _forward(self, picture: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Return the flat outputs for a picture [size, size, 3] in the order of their names in the file."""
        import cv2

        try:
            self._network.setInput(np.ascontiguousarray(picture.transpose(2, 0, 1)[None], dtype=np.float32))
            return [np.asarray(found, np.float32).ravel() for found in self._network.forward(self._names)]
        except cv2.error as error:
            raise AssetError(
                f"{self.path}: OpenCV {cv2.__version__} cannot run this network; upgrade opencv-python-headless."
            ) from error

    def run(self, picture: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """Return the flat outputs by their names for a picture [size, size, 3].

        Raises:
            AssetError: the network fails or has other outputs.
        """
        flat = self._forward(picture)
        named = {name: [f for f in flat if f.size == count] for name, count in self._sizes.items()}
        wrong = [name for name, found in named.items() if len(found) != 1 or not np.isfinite(found[0]).all()]
        if wrong:
            raise AssetError(
                f"{self.path}: does not give {', '.join(wrong)}; run `jiff assets fetch perception --overwrite`."
            )
        return {name: found[0] for name, found in named.items()}


class DenseHeads(TfliteNetwork):
    """A network that ends in dense layers upon one row of features.

    OpenCV 4.10 to 4.14 leave the biases of such layers out of their answers, though they have read them: 3 of 224 pixels, and
    hands four times as large. The layers are therefore multiplied out here.
    """

    def __init__(self, path: Path, size: int, outputs: dict[str, tuple[str, int]]) -> None:
        """Load ``path``.

        Args:
            path: TFLite file.
            size: width and height of its picture.
            outputs: a name of our own -> name of the dense layer, or a part of it between slashes, and number of values.

        Raises:
            AssetError: missing, damaged, or not a network that this OpenCV runs.
        """
        super().__init__(path, size, {name: count for name, (_, count) in outputs.items()})
        order = [str(name) for name in self._network.getLayerNames()]
        layers = {name: self._network.getLayer(self._network.getLayerId(name)) for name in order}
        dense = [name for name in order if layers[name].type == "Gemm"]
        self._heads: dict[str, tuple[NDArray[np.float32], NDArray[np.float32]]] = {}
        for name, (label, count) in outputs.items():
            for layer in dense:
                blobs = [np.asarray(blob, np.float32) for blob in layers[layer].blobs]
                if label in (layer, *layer.split("/")) and [len(blob) for blob in blobs] == [count, count]:
                    self._heads[name] = (blobs[0].reshape(count, -1), blobs[1].ravel())
        if len(self._heads) < len(outputs):
            wrong = ", ".join(name for name in outputs if name not in self._heads)
            raise AssetError(
                f"{path}: does not give {wrong}; run `jiff assets fetch perception --overwrite`."
            )
        self._names = [order[order.index(dense[0]) - 1]]

    def run(self, picture: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """Return what the dense layers say, by their names, for a picture [size, size, 3]; scores before the logistic function.

        Raises:
            AssetError: the network fails or has other outputs.
        """
        features = self._forward(picture)[0]
        if any(weight.shape[1] != features.size for weight, _ in self._heads.values()):
            raise AssetError(
                f"{self.path}: has other features; run `jiff assets fetch perception --overwrite`."
            )
        named = {name: weight @ features + bias for name, (weight, bias) in self._heads.items()}
        if not all(np.isfinite(found).all() for found in named.values()):
            raise AssetError(
                f"{self.path}: does not give numbers; run `jiff assets fetch perception --overwrite`."
            )
        return named
