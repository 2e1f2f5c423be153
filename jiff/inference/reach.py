"""How far from the fitted body a person can reach in depth: where the body is far, a network knows the picture's plane only."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from jiff.geometry.camera import Camera
from jiff.inference.depth_guess import guess_depth
from jiff.render.photo_projection import sample_pixels

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jiff.body.prior import BodyPrior

_SIDE = 256
_OFF_SKIN, _OFF_MIDDLE = 9.0, 9.0
"""World units that clothes may stand off the skin, and beyond the thickness of the body that they are seen before or beside."""


class Reach:
    """Signed distances to the border of where there can be a person, positive inside.

    Args:
        prior: of the fitted body.
    """

    def __init__(self, prior: BodyPrior) -> None:
        self.camera = Camera(size=_SIDE)
        guess = guess_depth(prior.mesh, self.camera, prior)
        self._middle, self._half = guess.middle, guess.half

    def distance(
        self, points_world: NDArray[np.floating], of_body: NDArray[np.floating]
    ) -> NDArray[np.float32]:
        """Return [N] distances, world units.

        Args:
            points_world: [N, 3].
            of_body: [N] signed distances to the skin, positive inside.
        """
        pixels = self.camera.world_to_pixel(points_world)
        middle, half = (sample_pixels(image, pixels)[:, 0] for image in (self._middle, self._half))
        beside = half + _OFF_MIDDLE - np.abs(np.asarray(points_world)[:, 2] - middle)
        return np.asarray(np.maximum(of_body + _OFF_SKIN, beside), np.float32)
