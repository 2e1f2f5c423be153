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

    def run(self, picture: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """Return the flat outputs by their names for a picture [size, size, 3].

        Raises:
            AssetError: the network fails or has other outputs.
        """
        import cv2

        try:
            self._network.setInput(np.ascontiguousarray(picture.transpose(2, 0, 1)[None], dtype=np.float32))
            flat = [np.asarray(found, np.float32).ravel() for found in self._network.forward(self._names)]
        except cv2.error as error:
            raise AssetError(
                f"{self.path}: OpenCV {cv2.__version__} cannot run this network; upgrade opencv-python-headless."
            ) from error
        named = {name: [f for f in flat if f.size == count] for name, count in self._sizes.items()}
        wrong = [name for name, found in named.items() if len(found) != 1 or not np.isfinite(found[0]).all()]
        if wrong:
            raise AssetError(
                f"{self.path}: does not give {', '.join(wrong)}; run `jiff assets fetch perception --overwrite`."
            )
        return {name: found[0] for name, found in named.items()}
