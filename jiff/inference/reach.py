"""How far from the fitted body a person can reach in depth: where the body is far, a network knows the picture's plane only."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from jiff.geometry.camera import Camera
from jiff.inference.depth_guess import guess_depth
from jiff.render.photo_projection import sample_pixels

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jiff.body.prior import BodyPrior, PointPrior

_SIDE = 256
_BESIDE, _LEAST_BESIDE, _THICK = 9.0, 5.0, 8.0
"""World units that clothes may stand off the middle of the body that they are seen before or beside, beyond half its thickness, at most and at
least; and half a thickness from which that falls: limbs along the line of sight are no measure of clothes."""


class Reach:
    """Signed distances to the border of where there can be a person, positive inside.

    Args:
        prior: of the fitted body.
    """

    def __init__(self, prior: BodyPrior) -> None:
        self.camera = Camera(size=_SIDE)
        guess = guess_depth(prior.mesh, self.camera, prior)
        thicker = np.maximum(guess.half - _THICK, 0)
        self._middle = guess.middle
        self._room = np.minimum(guess.half, _THICK) + np.maximum(_BESIDE - thicker, _LEAST_BESIDE)

    def distance(self, points_world: NDArray[np.floating], at: PointPrior) -> NDArray[np.float32]:
        """Return [N] distances, world units.

        Args:
            points_world: [N, 3].
            at: what the body says of them.
        """
        pixels = self.camera.world_to_pixel(points_world)
        middle, room = (sample_pixels(image, pixels)[:, 0] for image in (self._middle, self._room))
        beside = room - np.abs(np.asarray(points_world)[:, 2] - middle)
        return np.asarray(np.maximum(at.distance + at.above, beside), np.float32)
