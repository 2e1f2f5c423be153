"""Hands of the fitted body in place of those that a network forms, whose fingers are finer than its cells.

As ECON does with SMPL-X (Xiu et al., CVPR 2023). The network clothes a body without these hands; they are joined to its surface at the
wrists, so that sleeves stay what they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from jiff.base.errors import MeshError
from jiff.body.hand_mesh import SIDES, hand_mesh, stump
from jiff.body.prior import BodyPrior
from jiff.geometry.camera import Camera
from jiff.geometry.closest import MeshBvh
from jiff.geometry.mesh import Mesh
from jiff.geometry.simplify import is_watertight
from jiff.geometry.union import union
from jiff.photo.images import resize_image
from jiff.photo.masks import border_distance_px
from jiff.render.gbuffer import render_gbuffer

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jiff.body.placed import PlacedBody
    from jiff.photo.test_folder import PersonImage

_NEAR = 6.0
"""World units from a hand within which the photo shows the hand's own fingers, and what it holds."""


_INSIDE, _BESIDE = 0.75, 1.0
"""Part of a hand, within so many world units, that the person's mask holds at least where the photo tells nothing else of it."""
_BEFORE, _SKIN = 0.5, 0.25
"""Part of an unseen hand that nothing of the body hides from which it may be in a pocket or sleeve; of that, part in the face's colour from
which it is not."""
_AROUND, _SURROUNDED = 3.0, 0.6
"""World units around it, and part of them that the mask holds where something covers it."""
_TONE, _LIGHT = 9.0, 70.0
"""Differences of tone and lightness (Lab of 8 bits) up to which a colour is the skin's."""
_FACE_LOW, _FACE_FRONT, _FEWEST = 0.82, 0.1, 30
"""Canonical height and depth from which skin is the face's, metres, and pixels that make its colour known."""
_THERE, _PART = 0.5, 0.1
"""Distance of a hand's corners from a surface that has it, at most, world units, and the part of them that is so near."""
_SIZE = 512


@dataclass(frozen=True)
class HandChoice:
    """What becomes of the hands, sides of ``jiff.body.hand_mesh.SIDES``; the network forms those that are in neither.

    Attributes:
        own: those of the fitted body are taken.
        hidden: there are none: they are in pockets or sleeves.
    """

    own: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()


def choose_hands(placed: PlacedBody, photo: PersonImage, seen: NDArray[np.bool_]) -> HandChoice:
    """Return which fitted hands are better than what a network forms, and which hands nobody sees.

    Hands are taken that lie on seen ones. Of the others the mask must hold most; they are hidden where they should be seen and the
    photo has no skin there.

    Args:
        placed: the body, fitted to the photo.
        photo: image and mask of the canonical camera.
        seen: [2] whether left and right hand lie on hands that the photo shows.
    """
    fates = {side: "own" if there else _fate(placed, photo, side) for side, there in zip(SIDES, seen)}
    own, hidden = (tuple(side for side in SIDES if fates[side] == fate) for fate in ("own", "hidden"))
    return HandChoice(own, hidden)


def _fate(placed: PlacedBody, photo: PersonImage, side: str) -> str:
    """Return what becomes of an unseen hand: ``own``, ``hidden`` or ``formed``."""
    camera, mesh = Camera(size=_SIZE), hand_mesh(placed, side)
    hand = render_gbuffer(mesh, camera)
    rows = hand.interpolate(stump(side)[:, None], mesh.faces)[:, 0] < 0.5
    pixel = hand.pixel[rows]
    unit = 2 * camera.half_width_world / _SIZE
    inside = border_distance_px(resize_image(photo.mask, (_SIZE, _SIZE)) >= 128) * unit
    if len(pixel) == 0 or (inside.ravel()[pixel] >= -_BESIDE).mean() < _INSIDE:
        return "formed"
    elsewhere = np.ones(_SIZE**2, bool)
    elsewhere[pixel] = False
    away = border_distance_px(elsewhere.reshape(_SIZE, _SIZE)) * unit
    surrounded = (inside[(away > 0) & (away < _AROUND)] > 0).mean() >= _SURROUNDED
    return "hidden" if surrounded and _no_skin(placed, photo, pixel, hand.z_ndc[rows]) else "own"


def _no_skin(
    placed: PlacedBody, photo: PersonImage, pixel: NDArray[np.int64], depth_ndc: NDArray[np.float32]
) -> bool:
    """Tell whether a hand, pixels [N] and depths [N], has not the colour of the face though the body does not hide it."""
    body = BodyPrior(placed, SIDES)
    seen = render_gbuffer(body.mesh, Camera(size=_SIZE))
    depth = np.full(_SIZE**2, -np.inf)
    depth[seen.pixel] = seen.z_ndc
    before = depth_ndc > depth[pixel]
    if before.mean() < _BEFORE:
        return False
    at = body.at(seen.interpolate(body.mesh.vertices, body.mesh.faces))
    colors = _lab(resize_image(photo.rgb, (_SIZE, _SIZE))).reshape(-1, 3)
    face = colors[
        seen.pixel[(at.place[:, 1] > _FACE_LOW) & (at.place[:, 2] > _FACE_FRONT) & (at.visible > 0)]
    ]
    if len(face) < _FEWEST:
        return False
    off = np.abs(colors[pixel[before]] - np.median(face, axis=0))
    skin = (np.hypot(off[:, 1], off[:, 2]) < _TONE) & (off[:, 0] < _LIGHT)
    return bool(skin.mean() < _SKIN)


def _lab(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    import cv2

    return np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB), np.float32)


class OwnHands:
    """Hands of a body as meshes.

    Attributes:
        sides: of ``jiff.body.hand_mesh.SIDES``.
        meshes: theirs, closed, world units.
        shape: the body without them and hidden ones; None where that is the body.
    """

    def __init__(self, placed: PlacedBody, choice: HandChoice) -> None:
        """Take hands of a body.

        Args:
            placed: the body, fitted to the photo.
            choice: which.
        """
        self.sides = choice.own
        self.meshes = [hand_mesh(placed, side) for side in choice.own]
        without = choice.own + choice.hidden
        self.shape = BodyPrior(placed, without) if without else None

    @property
    def triangles(self) -> int:
        """How many they have together."""
        return sum(len(hand.faces) for hand in self.meshes)

    def near(self, size: int) -> NDArray[np.bool_]:
        """Return [size, size] where the canonical view shows these hands, and what is near to them."""
        camera = Camera(size=size)
        shown = np.zeros((size, size), bool)
        if not self.meshes:
            return shown
        for hand in self.meshes:
            shown |= render_gbuffer(hand, camera).coverage() > 0
        unit = 2 * camera.half_width_world / size
        return np.asarray(border_distance_px(shown) * unit > -_NEAR)

    def joined(self, mesh: Mesh) -> Mesh:
        """Return a surface with the hands; one that is not closed has them as pieces of their own."""
        if not self.meshes:
            return mesh
        if is_watertight(mesh):
            try:
                return union([mesh, *self.meshes])
            except MeshError:
                # Surfaces that touch themselves.
                pass
        parts = [mesh, *self.meshes]
        first = np.cumsum([0, *(len(part.vertices) for part in parts)])
        faces = [part.faces + low for part, low in zip(parts, first)]
        return Mesh(np.concatenate([part.vertices for part in parts]), np.concatenate(faces))

    def missing_in(self, mesh: Mesh) -> list[str]:
        """Return the sides whose hands a surface has not."""
        bvh = MeshBvh(mesh.vertices, mesh.faces)
        # Sleeves and hair may hold most of a hand.
        gaps = [np.quantile(bvh.closest(hand.vertices).distance, _PART) for hand in self.meshes]
        return [side for side, gap in zip(self.sides, gaps) if gap > _THERE]
