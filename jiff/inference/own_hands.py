"""Hands of the fitted body in place of those that a network forms, whose fingers are finer than its cells.

As ECON does with SMPL-X (Xiu et al., CVPR 2023). The network clothes a body without these hands; they are joined to its surface at the
wrists, so that sleeves stay what they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from jiff.body.hand_mesh import SIDES, hand_mesh
from jiff.body.prior import BodyPrior
from jiff.geometry.camera import Camera
from jiff.geometry.mesh import Mesh
from jiff.geometry.simplify import is_watertight
from jiff.geometry.union import union
from jiff.photo.images import resize_image
from jiff.render.gbuffer import render_gbuffer

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jiff.body.placed import PlacedBody

_NEAR = 6.0
"""World units from a hand within which the photo shows the hand's own fingers, and what it holds."""


_INSIDE, _BESIDE = 0.75, 1.0
"""Part of a hand, within so many world units, that the person's mask holds at least where the photo tells nothing else of it."""
_SIZE = 512


def hands_to_take(placed: PlacedBody, mask: NDArray[np.uint8], seen: NDArray[np.bool_]) -> tuple[str, ...]:
    """Return the sides whose fitted hands are better than what a network forms: those that lie on seen ones, or at least in the mask.

    Args:
        placed: the body, fitted to the photo.
        mask: [S, S] of the canonical camera, 255 on the person.
        seen: [2] whether left and right hand lie on hands that the photo shows.
    """
    import cv2

    camera = Camera(size=_SIZE)
    away = cv2.distanceTransform(
        (resize_image(mask, (_SIZE, _SIZE)) < 128).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5
    )
    within = away * (2 * camera.half_width_world / _SIZE) <= _BESIDE
    sides = []
    for side, lies_on_one in zip(SIDES, seen):
        shown = render_gbuffer(hand_mesh(placed, side), camera).coverage() > 0
        if lies_on_one or (shown.any() and within[shown].mean() >= _INSIDE):
            sides.append(side)
    return tuple(sides)


class OwnHands:
    """Hands of a body as meshes.

    Attributes:
        meshes: closed, world units.
        shape: the body without them; None where there are none.
    """

    def __init__(self, placed: PlacedBody, sides: tuple[str, ...]) -> None:
        """Take hands of a body.

        Args:
            placed: the body, fitted to the photo.
            sides: of ``jiff.body.hand_mesh.SIDES``.
        """
        self.meshes = [hand_mesh(placed, side) for side in sides]
        self.shape = BodyPrior(placed, sides) if sides else None

    @property
    def triangles(self) -> int:
        """How many they have together."""
        return sum(len(hand.faces) for hand in self.meshes)

    def near(self, size: int) -> NDArray[np.bool_]:
        """Return [size, size] where the canonical view shows these hands, and what is near to them."""
        import cv2

        camera = Camera(size=size)
        shown = np.zeros((size, size), bool)
        if not self.meshes:
            return shown
        for hand in self.meshes:
            shown |= render_gbuffer(hand, camera).coverage() > 0
        unit = 2 * camera.half_width_world / size
        away = cv2.distanceTransform((~shown).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
        return np.asarray(away * unit < _NEAR)

    def joined(self, mesh: Mesh) -> Mesh:
        """Return a surface with the hands; one that is not closed has them as pieces of their own."""
        if not self.meshes:
            return mesh
        if is_watertight(mesh):
            return union([mesh, *self.meshes])
        parts, count = [mesh, *self.meshes], 0
        faces = []
        for part in parts:
            faces.append(part.faces + count)
            count += len(part.vertices)
        return Mesh(np.concatenate([part.vertices for part in parts]), np.concatenate(faces))
