"""Background that limbs enclose and a person's mask holds: a wall between arm and waist, or between two legs.

The network of landmarks is sure that it is a person. Landmarks tell where limbs can enclose something, the background
around the person tells what would be seen there, and the picture's edges tell whether it is a thing of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from jiff.perception.landmarks import HIPS, NOSE, POSE_LINES, SHOULDERS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

SIZE = 512
"""Side of the picture in which gaps are looked for: many are narrower than two pixels of the network's mask."""
_UNIT = SIZE / 256
"""Pixels of that picture per pixel of the network's mask."""
_TRUNK_LINES = ((11, 12), (11, 23), (12, 24), (23, 24))
_LIMBS = tuple(line for line in POSE_LINES if min(line) > 10 and line not in _TRUNK_LINES)
_LEGS = tuple(range(23, 33))
_SEAM_PX = 8
"""By which what limbs enclose may lie beyond the lines between landmarks."""
_COLOURS, _SAMPLE = 6, 7
"""Into how many colours the background is sorted, a wall and a door frame apart, by each seventh pixel."""
_TRIES, _DRAWS = 2, 3
"""How often the sorting begins anew, and how many pixels are drawn for each colour that it begins from."""
_LIGHTNESS = 0.5
"""Weight of lightness against hue: limbs throw shadows onto the wall behind them."""
_APART_PX, _NEAR_PX = 5, 80
"""From the mask, of what surely is background, and of what counts as near."""
_FAR = 1e-3
"""Share of background near by below which nothing is known of it."""
_COARSE, _REACH_PX = 4, 24
"""The background's colours are smoothed by this much, in a picture smaller by this factor: they run smoothly anyway."""
_COMMON = 0.2
"""Share of the background near by from which a colour of it is asked: what is rare there tells nothing."""
_LEVELS = (6.0, 8.0, 11.0, 14.0, 18.0)
"""Differences from the background (Lab of 8 bits) up to which pixels are like it, one after the other: a wall between limbs is
the same piece at several of them, while shades of a garment flow on."""
_MOST_GROWTH = 1.6
"""Of a piece's area from one level to the next where it is the same piece."""
_OPEN_PX, _AROUND_PX, _MIXED_PX = 5, 11, 3
"""Width of threads that are cut; side of the square whose mean colours are compared; border whose colours are mixed."""
_LEAST = 0.0006
"""Area over the person's; smaller pieces are specks."""
_INSIDE, _TRUNK, _TOUCHING = 0.95, 0.5, 0.6
"""Shares of a piece that limbs enclose at least and the trunk covers at most, and of its border that is the person's."""
_BONE_PX = 2
"""Length of bones in a piece from which it is a limb."""
_LIKE = 8.0
"""Most of the median difference from the background and that from the piece's own colour together: walls are plain, garments
have folds, and trousers in the shade come near a wall of their colour."""
_EDGES = ((10, 20.0), (25, 23.0))
"""Percentiles along the border with the person, and the difference of colours that they have at least. A white shirt goes on
into itself."""
_RIM_PX = 5
"""Side of the square by which gaps grow into what is as much like the background: threads were cut."""


def without_enclosed(
    rgb: NDArray[np.uint8], share: NDArray[np.float32], seen: NDArray[np.bool_], points: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Return a person's mask [S, S] in [0, 1] without background that arms or legs enclose.

    Args:
        rgb: [S, S, 3] the window, S is ``SIZE``.
        share: the person's mask.
        seen: [S, S] where the window lies in the photo.
        points: [33, 2] landmarks in pixels of the window.
    """
    import cv2

    person = share > 0.5
    where = _enclosed(points)
    if not (person & where).any():
        return share
    # Single pixels of noise would cut pieces up.
    colours = np.asarray(cv2.cvtColor(cv2.medianBlur(rgb, 3), cv2.COLOR_RGB2LAB), np.float32)
    unlike = _unlike_background(colours, _grown(share > 0.1, _APART_PX), _grown(person, _NEAR_PX), seen)
    picture = _Picture(colours, unlike, person, where, _trunk(points), _bones(points))
    least = _LEAST * float(person.sum())
    gone = np.zeros_like(person)
    below: list[tuple[NDArray[np.bool_], bool]] = []
    for level in _LEVELS:
        here = []
        for piece in _pieces(person & seen & (unlike < level), least):
            like = picture.is_like_background(piece)
            worn = picture.is_worn(piece)
            if like and worn and not gone[piece].any():
                # Cuffs, prints: who wears the background's colour may wear more of it.
                return share
            here.append((piece, like and not worn and picture.is_enclosed(piece)))
        for piece, gap in here:
            within = [(one, told) for one, told in below if one[piece].any()]
            # A gap at this level and at the one below; several gaps may have become one.
            area = sum(int(one.sum()) for one, _ in within)
            if gap and within and all(told for _, told in within) and piece.sum() <= _MOST_GROWTH * area:
                gone |= _grown(piece, _RIM_PX) & (unlike < level)
        below = here
    return np.where(gone, np.float32(0), share) if gone.any() else share


@dataclass(frozen=True, eq=False)
class _Picture:
    """What tells a gap from a garment.

    Attributes:
        colours: [S, S, 3] Lab.
        unlike: [S, S] differences from the background near by.
        person: [S, S] the mask.
        where: [S, S] what limbs can enclose.
        trunk: [S, S] the trunk between shoulders and hips.
        bones: [N, 2] pixels x and y along the limbs' bones.
    """

    colours: NDArray[np.float32]
    unlike: NDArray[np.float32]
    person: NDArray[np.bool_]
    where: NDArray[np.bool_]
    trunk: NDArray[np.bool_]
    bones: NDArray[np.int64]

    def is_enclosed(self, piece: NDArray[np.bool_]) -> bool:
        """Return whether a piece lies where limbs can enclose it, most of its border the person's."""
        border = _grown(piece, 3) & ~piece
        inside = (piece & self.where).sum() >= _INSIDE * piece.sum()
        return bool(inside and (border & self.person).sum() >= _TOUCHING * border.sum())

    def is_worn(self, piece: NDArray[np.bool_]) -> bool:
        """Return whether a piece lies on the trunk or along a bone."""
        x, y = self.bones.T
        return bool((piece & self.trunk).sum() > _TRUNK * piece.sum() or piece[y, x].sum() >= _BONE_PX)

    def is_like_background(self, piece: NDArray[np.bool_]) -> bool:
        """Return whether a piece has the background's colour, is plain, and has an edge against the person all around."""
        own = self.colours[piece]
        spread = np.median(np.linalg.norm(own - np.median(own, axis=0), axis=1))
        if np.median(self.unlike[piece]) + spread > _LIKE:
            return False
        steps = self._steps(piece, _grown(piece, 3) & ~piece)
        return len(steps) > 0 and all(np.percentile(steps, part) >= least for part, least in _EDGES)

    def _steps(self, piece: NDArray[np.bool_], border: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Return how much colours differ across the border with the person, of each of its pixels."""
        import cv2

        rows, columns = np.flatnonzero(piece.any(1)), np.flatnonzero(piece.any(0))
        low = np.maximum([rows[0] - _AROUND_PX, columns[0] - _AROUND_PX], 0)
        part = (slice(low[0], rows[-1] + _AROUND_PX), slice(low[1], columns[-1] + _AROUND_PX))
        size = (_AROUND_PX, _AROUND_PX)
        beyond = self.person & ~_grown(piece, 2 * _MIXED_PX - 1)
        means, there = [], self.person[part] & border[part]
        for on in (piece[part], beyond[part]):
            weight = cv2.blur(on.astype(np.float32), size)
            total = cv2.blur(self.colours[part] * on[..., None].astype(np.float32), size)
            there = there & (weight > 1e-3)
            means.append(total / np.maximum(weight, 1e-6)[..., None])
        return np.asarray(np.linalg.norm(means[0] - means[1], axis=-1)[there], np.float32)


def _enclosed(points: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return [S, S] what arms enclose with the trunk, the head or a thigh, and legs with one another."""
    loops: list[tuple[int, ...]] = [_LEGS]
    for side in (0, 1):
        shoulder, elbow, wrist, finger, ear = 11 + side, 13 + side, 15 + side, 19 + side, 7 + side
        hip, knee = 23 + side, 25 + side
        loops += [(shoulder, elbow, wrist, finger, hip), (elbow, wrist, finger, hip, knee)]
        # Beside a head without a hand are hair, a neck and earrings.
        if np.linalg.norm(points[wrist] - points[ear]) < np.linalg.norm(points[wrist] - points[hip]):
            loops.append((shoulder, elbow, wrist, finger, ear, NOSE))
    inside = np.zeros((SIZE, SIZE), np.uint8)
    for loop in loops:
        _fill(inside, points[list(loop)])
    return _grown(inside > 0, 2 * _SEAM_PX + 1)


def _trunk(points: NDArray[np.float64]) -> NDArray[np.bool_]:
    inside = np.zeros((SIZE, SIZE), np.uint8)
    _fill(inside, points[[*SHOULDERS, *HIPS]])
    return inside > 0


def _fill(inside: NDArray[np.uint8], points: NDArray[np.float64]) -> None:
    """Fill the convex hull of points [N, 2] in place."""
    import cv2

    cv2.fillConvexPoly(inside, cv2.convexHull(np.rint(points).astype(np.int32)), 1)


def _bones(points: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return [N, 2] the pixels x and y along arms, hands, legs and feet, one about each pixel."""
    lines = []
    for first, last in _LIMBS:
        a, b = points[first], points[last]
        count = max(int(np.linalg.norm(b - a)), 2)
        lines.append(a + np.linspace(0, 1, count)[:, None] * (b - a))
    places = np.floor(np.concatenate(lines)).astype(np.int64)
    return np.asarray(places[((places >= 0) & (places < SIZE)).all(1)])


def _unlike_background(
    colours: NDArray[np.float32], taken: NDArray[np.bool_], near: NDArray[np.bool_], seen: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Return [S, S] how much each pixel differs from the nearest of those colours that the background has near by.

    Args:
        colours: [S, S, 3] Lab.
        taken: [S, S] what is not surely background.
        near: [S, S] what is near the person.
        seen: [S, S] where the window lies in the photo.
    """

    unlike = np.full(taken.shape, np.inf, np.float32)
    background = seen & ~taken
    weighted = colours * np.array([_LIGHTNESS, 1, 1], np.float32)
    sample = weighted[background & near][::_SAMPLE]
    if len(sample) < _COLOURS:
        return unlike
    centres = _clusters(sample)
    apart = np.stack([((weighted - centre) ** 2).sum(-1) for centre in centres])
    kind = apart.argmin(0)
    everything = _smoothed(background.astype(np.float32))
    for number in range(_COLOURS):
        on = (background & (kind == number)).astype(np.float32)
        weight = _smoothed(on)
        mean = _full(_smoothed(weighted * on[..., None]) / np.maximum(weight, np.float32(1e-9))[..., None])
        common = ((everything > _FAR) & (weight > _COMMON * everything)).astype(np.float32)
        differs = np.where(_full(common) > 0.5, np.linalg.norm(weighted - mean, axis=-1), np.inf)
        unlike = np.minimum(unlike, differs.astype(np.float32))
    return unlike


def _clusters(sample: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return [6, 3] the colours into which colours [N, 3] are sorted, the same each time."""
    import cv2

    stop = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 9, 1.0)
    draws = _draws()
    # From given labels OpenCV draws nothing itself: its generator is the whole process's.
    tries = [
        cv2.kmeans(sample, _COLOURS, _first_labels(sample, draws), stop, 1, cv2.KMEANS_USE_INITIAL_LABELS)
        for _ in range(_TRIES)
    ]
    return np.asarray(min(tries, key=lambda found: found[0])[2], np.float32)


def _draws() -> Iterator[int]:
    """Yield the random numbers of 32 bits that OpenCV draws after ``setRNGSeed(0)``: multiply, with carry."""
    state = 0xFFFFFFFF
    while True:
        state = (state & 0xFFFFFFFF) * 4164903690 + (state >> 32)
        yield state & 0xFFFFFFFF


def _first_labels(sample: NDArray[np.float32], draws: Iterator[int]) -> NDArray[np.int32]:
    """Return [N, 1] to which of six colours of a sample [N, 3] each is nearest, as ``cv2.KMEANS_PP_CENTERS`` would begin.

    Arthur and Vassilvitskii, "k-means++: The Advantages of Careful Seeding", 2007, the best of some draws for each colour.
    """

    def apart(number: int) -> NDArray[np.float32]:
        return np.asarray(((sample - sample[number]) ** 2).sum(-1))

    def drawn(total: NDArray[np.float64]) -> int:
        share = ((next(draws) << 32) | next(draws)) / 2**64
        return min(int(np.searchsorted(total, share * total[-1])), len(total) - 1)

    chosen = [apart(next(draws) % len(sample))]
    nearest = chosen[0]
    for _ in range(1, _COLOURS):
        total = nearest.cumsum(dtype=np.float64)
        others = [apart(drawn(total)) for _ in range(_DRAWS)]
        chosen.append(min(others, key=lambda other: float(np.minimum(other, nearest).sum(dtype=np.float64))))
        nearest = np.minimum(nearest, chosen[-1])
    return np.asarray(np.stack(chosen).argmin(0)[:, None], np.int32)


def _smoothed(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return values [S, S, ...] smoothed, in a smaller picture."""
    import cv2

    side = SIZE // _COARSE
    small = cv2.resize(values, (side, side), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.GaussianBlur(small, (0, 0), _REACH_PX / _COARSE), np.float32)


def _full(small: NDArray[np.float32]) -> NDArray[np.float32]:
    import cv2

    return np.asarray(cv2.resize(small, (SIZE, SIZE), interpolation=cv2.INTER_LINEAR), np.float32)


def _pieces(on: NDArray[np.bool_], least: float) -> list[NDArray[np.bool_]]:
    """Return the connected pieces of a mask that are large enough, cut where they hang together by threads."""
    import cv2

    round_ = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (_OPEN_PX, _OPEN_PX))
    core = cv2.morphologyEx(on.astype(np.uint8), cv2.MORPH_OPEN, round_)
    count, pieces, stats, _ = cv2.connectedComponentsWithStats(core, connectivity=4)
    return [pieces == number for number in range(1, count) if stats[number, cv2.CC_STAT_AREA] >= least]


def _grown(on: NDArray[np.bool_], side: int) -> NDArray[np.bool_]:
    """Return a mask grown by a square of ``side`` pixels."""
    import cv2

    return np.asarray(cv2.dilate(on.astype(np.uint8), np.ones((side, side), np.uint8)) > 0)
