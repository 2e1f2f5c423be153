"""What a network must offer that reads the coefficients of a face model off a photo."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from jiff.face.fit.fitting import FacePose
    from jiff.face.model import MorphableModel
    from jiff.geometry.camera import Camera


class PhotoReader(Protocol):
    """Network and template of one face model."""

    def read_pose(
        self,
        model: MorphableModel,
        image_rgb: NDArray[np.uint8],
        five_px: NDArray[np.float64],
        camera: Camera,
    ) -> FacePose:
        """Return the face before the orthographic camera.

        Args:
            model: the face model it was trained for.
            image_rgb: [H, W, 3].
            five_px: [5, 2] landmarks, y down.
            camera: of the picture, without turn.
        """
