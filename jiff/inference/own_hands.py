"""Hands of the fitted body in place of those that a network forms, whose fingers are finer than its cells.

As ECON does with SMPL-X (Xiu et al., CVPR 2023). The network clothes a body without these hands; they are joined to its surface at the
wrists, so that sleeves stay what they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from jiff.body.hand_mesh import hand_mesh
from jiff.body.prior import BodyPrior
from jiff.geometry.camera import Camera
from jiff.geometry.mesh import Mesh
from jiff.geometry.simplify import is_watertight
from jiff.geometry.union import union
from jiff.render.gbuffer import render_gbuffer

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jiff.body.placed import PlacedBody

_NEAR = 6.0
"""World units from a hand within which the photo shows the hand's own fingers, and what it holds."""


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
