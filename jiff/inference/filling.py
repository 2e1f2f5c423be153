"""What the photo shows of a person and a surface leaves out, as a lens beside the surface."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from jiff.geometry.camera import Camera
from jiff.inference.depth_guess import guess_depth, smooth
from jiff.photo.masks import border_distance_px
from jiff.render.photo_projection import sample_pixels

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jiff.body.prior import BodyPrior
    from jiff.geometry.mesh import Mesh
    from jiff.inference.outline import Outline
    from jiff.inference.own_hands import OwnHands

_SIDE = 512
LEAST_MISSING = 0.002
"""Part of the person's area that may be missing without anything being added."""
_BORDER_PX = 1
_THIN, _THICK = 2.0, 6.0
"""Half the thickness that is added, world units: at least and at most; at the outline it goes to nothing."""
_PER_WIDTH = 0.8
"""World units of half thickness, beyond the least, per world unit that what is missing is half as wide."""
_SMOOTH_PX, _LEVEL_PX = 3.0, 10.0
"""Over which the border of what is added is smoothed, and its thickness."""
_SLIVER_PX, _HELD_PX = 5, 7
"""Width up to which what is missing is the outline's inaccuracy, and beside hands that of fingers."""
_GROWN = np.ones((7, 7), np.uint8)
"""By what is added grows into what it is added to, pixels."""


class Filling:
    """Signed distances to what is added.

    Attributes:
        missing: part of the person's area that the surface does not cover.
    """

    def __init__(self, mesh: Mesh, outline: Outline, prior: BodyPrior, hands: OwnHands | None = None) -> None:
        """Find what is missing.

        Args:
            mesh: the surface, frontal world frame.
            outline: of the person.
            prior: of the fitted body.
            hands: that are the body's own; only what they hold is added to them.
        """
        self.camera = Camera(size=_SIDE)
        shown = outline.inside(_SIDE)
        guess = guess_depth(mesh, self.camera, prior)
        # Slivers are of the outline's accuracy; only what is wider is a part of the person.
        wide = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (_SLIVER_PX, _SLIVER_PX))
        missing = (shown & ~guess.covered).astype(np.uint8)
        lacks = cv2.morphologyEx(missing, cv2.MORPH_OPEN, wide)
        if hands is not None and hands.meshes:
            held = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (_HELD_PX, _HELD_PX))
            lacks = np.where(hands.near(_SIDE), cv2.morphologyEx(missing, cv2.MORPH_OPEN, held), lacks)
        self.missing = float(lacks.sum() / max(int(shown.sum()), 1))
        size = _half_width_px(lacks > 0)
        lacks = cv2.dilate(lacks, _GROWN)
        unit = 2 * self.camera.half_width_world / _SIDE
        room = np.minimum(guess.half, _THIN + _PER_WIDTH * unit * cv2.dilate(size, _GROWN))
        self._half = smooth(np.clip(room, _THIN, _THICK), _LEVEL_PX)
        self._middle = guess.middle
        self._region = smooth((border_distance_px(lacks > 0) * unit).astype(np.float32), _SMOOTH_PX)

    @property
    def needed(self) -> bool:
        """Whether enough is missing to add anything."""
        return self.missing > LEAST_MISSING

    def distance(
        self, points_world: NDArray[np.floating], outline: NDArray[np.floating]
    ) -> NDArray[np.float32]:
        """Return [N] signed distances to what is added, positive inside, world units.

        Args:
            points_world: [N, 3].
            outline: [N] their distances to the border of the person.
        """
        pixels = self.camera.world_to_pixel(points_world)
        region, middle, half = (
            sample_pixels(image, pixels)[:, 0] for image in (self._region, self._middle, self._half)
        )
        # A lens: round at the outline, where what is seen ends.
        within = np.clip(outline, 0, half)
        room = np.sqrt(within * (2 * half - within))
        depth = room - np.abs(np.asarray(points_world)[:, 2] - middle)
        return np.asarray(np.minimum(np.minimum(depth, outline), region + _BORDER_PX), np.float32)


def _half_width_px(region: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return [S, S] half the width of the connected piece of a region that each pixel belongs to, pixels; 0 outside."""
    inner = cv2.distanceTransform(region.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
    count, labels = cv2.connectedComponents(region.astype(np.uint8), connectivity=8)
    widest = np.zeros(count, np.float32)
    which = np.asarray(labels, np.int64)
    np.maximum.at(widest, which.ravel(), np.asarray(inner, np.float32).ravel())
    return widest[which]
