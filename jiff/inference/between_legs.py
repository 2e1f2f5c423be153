"""Skirts and coats between the legs: where the photo shows no gap between two legs, cloth spans their slices' hull."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
from scipy.ndimage import gaussian_filter1d

from jiff.geometry.camera import Camera
from jiff.inference.depth_guess import smooth
from jiff.photo.masks import border_distance_px
from jiff.render.photo_projection import sample_pixels

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jiff.body.prior import BodyPrior
    from jiff.inference.outline import Outline

_SIDE = 512
_SLICE, _THIN_SLICE = 3.0, 1.5
"""Half the height of slices through the legs, world units: rings of vertices lie up to five apart; and where legs' edges are read."""
_LEAST_GAP = 3.0
"""Width from which a gap between two legs tells anything, world units."""
_HELD = 0.9
"""Part of a gap that the outline must hold."""
_NEAR_ROWS = 25
"""Over so many rows what their neighbours say goes for rows without a gap, 10 world units."""
_LEAST_AREA = 75.0
"""Cloth between the legs that the picture must show, square units: crotches of wide trousers are smaller."""
_CLOTH = 1.0
"""By what cloth stands off the hull of the skin, world units."""
_SMOOTH_ROWS = 6.0


class BetweenLegs:
    """Signed distances to what hangs round both legs.

    Attributes:
        found: whether there is anything.
    """

    def __init__(self, prior: BodyPrior, outline: Outline) -> None:
        """Find the rows of the picture in which cloth joins the legs.

        Args:
            prior: of the fitted body.
            outline: of the person.
        """
        self.camera = Camera(size=_SIDE)
        legs = [prior.mesh.vertices[chosen] for chosen in prior.legs()]
        unit = 2 * self.camera.half_width_world / _SIDE
        inside = outline.inside(_SIDE)
        # The pixels of the diagonal have the x of every column and the y of every row.
        diagonal = self.camera.pixel_to_world(np.arange(_SIDE)[:, None] + np.array([0.5, 0.5]))
        columns, heights = diagonal[:, 0], diagonal[:, 1]
        spans = _spans(legs, heights)
        bare = ~prior.covered(self.camera)
        told, area = np.array(
            [_joined(inside[row], bare[row], span, unit) for row, span in enumerate(spans)]
        ).T
        rows = _runs(told, area, _both(legs, heights))
        self.found = bool(rows.any())
        if not self.found:
            return
        both, joined = np.concatenate(legs), np.flatnonzero(rows)
        front, back = (np.full((_SIDE, _SIDE), np.nan) for _ in range(2))
        region = np.zeros((_SIDE, _SIDE), bool)
        for row in joined:
            points = both[np.abs(both[:, 1] - heights[row]) < _SLICE][:, [0, 2]]
            front[row], back[row] = _hull(points, columns)
            region[row] = (columns > points[:, 0].min()) & (columns < points[:, 0].max())
        # Rows without cloth take their neighbours' hull, so that smoothing does not pull it away.
        nearest = joined[np.abs(np.arange(_SIDE)[:, None] - joined).argmin(axis=1)]
        self._front, self._back = (
            gaussian_filter1d(side[nearest], _SMOOTH_ROWS, axis=0).astype(np.float32)
            for side in (front, back)
        )
        self._region = smooth((border_distance_px(region) * unit).astype(np.float32), 2.0)

    def distance(
        self, points_world: NDArray[np.floating], outline: NDArray[np.floating]
    ) -> NDArray[np.float32]:
        """Return [N] signed distances, positive inside, world units.

        Args:
            points_world: [N, 3].
            outline: [N] their distances to the border of the person.
        """
        pixels = self.camera.world_to_pixel(points_world)
        front, back, region = (
            sample_pixels(image, pixels)[:, 0] for image in (self._front, self._back, self._region)
        )
        z = np.asarray(points_world)[:, 2]
        depth = np.minimum(front - z, z - back) + _CLOTH
        return np.asarray(np.minimum(np.minimum(depth, outline), region), np.float32)


def _both(legs: list[NDArray[np.float64]], heights: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return [S] in which rows, of heights [S], both legs are."""
    return np.logical_and(*((np.abs(leg[:, 1, None] - heights) < _SLICE).sum(axis=0) > 2 for leg in legs))


def _spans(legs: list[NDArray[np.float64]], heights: NDArray[np.float64]) -> list[list[tuple[float, float]]]:
    """Return, row by row, from where to where in x each leg that is there goes, from the left; world units."""
    result = []
    for height in heights:
        parts = [leg[np.abs(leg[:, 1] - height) < _THIN_SLICE, 0] for leg in legs]
        result.append(sorted((float(part.min()), float(part.max())) for part in parts if len(part) > 2))
    return result


def _joined(
    inside: NDArray[np.bool_], bare: NDArray[np.bool_], span: list[tuple[float, float]], unit: float
) -> tuple[float, float]:
    """Return 1 where cloth joins the legs of a row [S], 0 where it does not, NaN where legs leave no gap; and how much cloth.

    Args:
        inside: what is the person's.
        bare: what the body does not cover; above the crotch it joins the legs itself.
        span: of the legs, world units.
        unit: of a pixel.
    """
    if len(span) < 2:
        return float("nan"), 0.0
    middle = len(inside) / 2
    low, high = (max(round(x / unit + middle), 0) for x in (span[0][1], span[1][0]))
    gap = inside[low:high][bare[low:high]]
    if len(gap) * unit < _LEAST_GAP:
        return float("nan"), 0.0
    joined = bool(gap.mean() >= _HELD)
    return float(joined), joined * len(gap) * unit**2


def _runs(told: NDArray[np.float64], area: NDArray[np.float64], both: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return [S] in which rows cloth joins the legs, from what rows tell [S], how much of it [S] and where both legs are [S]."""
    known = np.flatnonzero(np.isfinite(told))
    if len(known) == 0:
        return np.zeros(len(told), bool)
    each = np.arange(len(told))
    at = np.searchsorted(known, each)
    above, below = known[np.maximum(at - 1, 0)], known[np.minimum(at, len(known) - 1)]
    none_above, none_below = known[0] > each, known[-1] < each
    nearest = np.where(each - above < below - each, above, below)
    # Thighs leave no gap: what is told below them goes for them, and nothing far below the last that is told.
    source = np.where(none_above, below, np.where(none_below, above, nearest))
    agree = (told[above] > 0.5) & (told[below] > 0.5)
    close = np.abs(source - each) <= _NEAR_ROWS
    rows = (told[source] > 0.5) & (close | (agree & ~none_below)) & both
    count, labels = cv2.connectedComponents(rows.astype(np.uint8)[:, None], connectivity=4)
    flat = np.asarray(labels).ravel()
    for number in range(1, count):
        if area[flat == number].sum() < _LEAST_AREA:
            rows[flat == number] = False
    return np.asarray(rows)


def _hull(
    points: NDArray[np.float64], columns: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return [S] front and back of the convex hull of points [N, 2] (x, z) at columns [S]; constant beyond its ends."""
    order = points[np.lexsort((points[:, 1], points[:, 0]))]
    sides = []
    for sign in (1.0, -1.0):
        chain: list[NDArray[np.float64]] = []
        for point in order:
            while len(chain) > 1 and sign * _turn(chain[-2], chain[-1], point) >= 0:
                chain.pop()
            chain.append(point)
        line = np.array(chain)
        sides.append(np.interp(columns, line[:, 0], line[:, 1]))
    return sides[0], sides[1]


def _turn(a: NDArray[np.float64], b: NDArray[np.float64], c: NDArray[np.float64]) -> float:
    """Return the area by which the way from ``a`` over ``b`` to ``c`` [2] turns to the left."""
    return float((b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]))
