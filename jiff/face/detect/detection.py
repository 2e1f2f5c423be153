"""A face that was found in a picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Detection:
    """One face of an image.

    Attributes:
        box_px: [4] left, top, right, bottom, continuous pixels.
        points_px: [5, 2] right eye, left eye, nose tip, right and left mouth corner.
        score: the detector's confidence in [0, 1].
        evidence: what found it: "points", "yunet", "haar+eyes", "haar", or "given".
        mesh_px: [468, 3] points of the face network, z behind the face's middle in the same unit; None of other detectors.
    """

    box_px: NDArray[np.float64]
    points_px: NDArray[np.float64]
    score: float
    evidence: str
    mesh_px: NDArray[np.float64] | None = None

    @property
    def measured(self) -> bool:
        """Whether the landmarks were measured rather than guessed from the box."""
        return self.evidence != "haar"

    def mapped(self, scale: float, offset_px: tuple[float, float]) -> Detection:
        """Return the detection in the image that this one's image is a crop of: p -> p / scale + offset."""
        shift = np.array(offset_px, dtype=np.float64)
        mesh = None if self.mesh_px is None else self.mesh_px / scale + np.append(shift, 0.0)
        return Detection(
            self.box_px / scale + np.tile(shift, 2),
            self.points_px / scale + shift,
            self.score,
            self.evidence,
            mesh,
        )
