"""What the photo shows of a person and a surface leaves out, as a lens beside the surface."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from jiff.geometry.camera import Camera
from jiff.geometry.raycast import RayScene
from jiff.photo.masks import border_distance_px
from jiff.render.gbuffer import render_gbuffer
from jiff.render.photo_projection import sample_pixels

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jiff.geometry.mesh import Mesh
    from jiff.inference.outline import Outline

_SIDE = 512
LEAST_MISSING = 0.002
"""Part of the person's area that may be missing without anything being added."""
_BORDER_PX = 1
_THICK = 3.0
_SMOOTH_PX = 3.0
"""Half the thickness that is added at most, world units."""
_SLIVER_PX = 5


class Filling:
    """Signed distances to what is added.

    Attributes:
        missing: part of the person's area that the surface does not cover.
    """

    def __init__(self, mesh: Mesh, outline: Outline) -> None:
        """Find what is missing.

        Args:
            mesh: the surface, frontal world frame.
            outline: of the person.
        """
        self.outline, self.camera = outline, Camera(size=_SIDE)
        shown = outline.inside(_SIDE)
        front = render_gbuffer(mesh, self.camera)
        covered = front.coverage() > 0
        middle = _middle(mesh, self.camera, covered)
        # Slivers are of the outline's accuracy; only what is wider is a part of the person.
        wide = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (_SLIVER_PX, _SLIVER_PX))
        lacks = cv2.morphologyEx((shown & ~covered).astype(np.uint8), cv2.MORPH_OPEN, wide)
        self.missing = float(lacks.sum() / max(int(shown.sum()), 1))
        lacks = cv2.dilate(lacks, np.ones((3, 3), np.uint8), iterations=3)
        self._middle = _smooth(_gone_on(middle, covered))
        unit = 2 * self.camera.half_width_world / _SIDE
        self._region = _smooth((border_distance_px(lacks > 0) * unit).astype(np.float32))

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
        region, middle = (sample_pixels(image, pixels)[:, 0] for image in (self._region, self._middle))
        # A lens: round at the outline, where what is seen ends.
        within = np.clip(outline, 0, _THICK)
        room = np.sqrt(within * (2 * _THICK - within))
        depth = room - np.abs(np.asarray(points_world)[:, 2] - middle)
        return np.asarray(np.minimum(np.minimum(depth, outline), region + _BORDER_PX), np.float32)


def _middle(mesh: Mesh, camera: Camera, covered: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return [S, S] the depth in the middle of what is seen first, world z; 0 where nothing is."""
    scene = RayScene(mesh.vertices, mesh.faces)
    rows, columns = np.nonzero(covered)
    origins, direction = camera.pixel_rays(np.stack([columns + 0.5, rows + 0.5], axis=1))
    first = scene.intersect(origins, direction)
    entry = origins[:, 2] - first.distance
    inside = origins + (first.distance + 1e-2)[:, None] * direction
    leaves = scene.intersect(inside, direction)
    leaving = np.where(leaves.hit, inside[:, 2] - leaves.distance, entry)
    middle = np.zeros(covered.shape, np.float32)
    met = first.hit
    middle[rows[met], columns[met]] = ((entry + leaving) / 2)[met]
    return middle


def _smooth(image: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(cv2.GaussianBlur(image, (0, 0), _SMOOTH_PX), np.float32)


def _gone_on(values: NDArray[np.float32], known: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return values [S, S] that go on smoothly where they are not known (pull and push over a pyramid of halves)."""
    levels = [(np.where(known, values, 0).astype(np.float32), known.astype(np.float32))]
    while levels[-1][0].shape[0] > 1:
        total, weight = levels[-1]
        half = (max(1, total.shape[1] // 2), max(1, total.shape[0] // 2))
        share = cv2.resize(weight, half, interpolation=cv2.INTER_AREA)
        mean = cv2.resize(total * weight, half, interpolation=cv2.INTER_AREA) / np.maximum(share, 1e-6)
        levels.append(
            (np.where(share > 0, mean, 0).astype(np.float32), np.minimum(4 * share, 1).astype(np.float32))
        )
    found = levels[-1][0]
    for total, weight in levels[-2::-1]:
        wide = cv2.resize(found, (total.shape[1], total.shape[0]), interpolation=cv2.INTER_LINEAR)
        found = (weight * total + (1 - weight) * wide).astype(np.float32)
    return found
