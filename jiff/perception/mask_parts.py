"""Parts that a person's mask lacks (a leg in a robe, the hem of a coat, a hat in a hand) or has too much (ground at legs).

The network of landmarks is sure of its mask there; where the picture has its edges tells more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_SURE = 0.9
"""Share of people from which the segmentation is sure."""
_AREAS = (0.015, 0.35)
"""Over the person's area: of a part, smaller ones are borders; of all together, more than that are other people."""
_WIDTH_PX = 7
"""Width from which what the two networks see differently is more than a border."""
_EDGE = 20.0
"""Difference of colours (Lab of 8 bits) across the border of a thing; ground between legs goes on beyond it."""
_AROUND_PX = 9
"""Side of the square whose mean colours are compared on either side of a border."""
_LIKE = 0.5
"""Share of a part whose colours are the person's rather than the background's."""
_CUTS = 3
_BAND_PX = 9
"""Distance from the mask's border to which its network may be wrong though it is sure."""
_GROUND_WIDTH_PX = 5
_LEAST_GROUND = 0.003
_BONE, _ALONG = 0.25, 32
"""Share of a bone in a piece from which the piece is a limb, and the places at which bones are asked."""
_NO_EDGE, _SHARP_EDGE = 6.0, 40.0
"""Differences of colours below which ground goes on, and above which somebody begins; blue jeans before a blue wall are 28."""


def with_jutting_parts(
    rgb: NDArray[np.uint8], share: NDArray[np.float32], everybody: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return a person's mask [S, S] in [0, 1] with parts that jut out and that only the segmentation of people sees.

    The segmentation also fills what lies between legs and takes shadows. A part is therefore one that touches the person
    along less than its own free border, along which the picture has an edge, and has the person's colours (Rother et al.,
    "GrabCut", SIGGRAPH 2004).

    Args:
        rgb: [S, S, 3] what the networks saw.
        share: the person's mask, by the network of landmarks.
        everybody: [S, S] in [0, 1] the share of people.
    """
    import cv2

    person = share > 0.5
    parts = _parts(rgb, person, (everybody > _SURE) & ~person)
    if not parts:
        return share
    asked = np.any(parts, axis=0)
    labels = np.where(person, cv2.GC_FGD, cv2.GC_BGD).astype(np.uint8)
    labels[asked] = cv2.GC_PR_FGD
    if not (labels == cv2.GC_BGD).any():
        return share
    _cut(rgb, labels)
    like = labels == cv2.GC_PR_FGD
    found: NDArray[np.float32] = share.copy()
    for part in parts:
        if (like & part).sum() > _LIKE * part.sum():
            found[like & part] = 1.0
    return found


def without_ground(
    rgb: NDArray[np.uint8], share: NDArray[np.float32], bones: Sequence[NDArray[np.float64]]
) -> NDArray[np.float32]:
    """Return a person's mask [S, S] in [0, 1] without background along its borders, such as between legs below a dress.

    It has the background's colours (Rother et al., "GrabCut", SIGGRAPH 2004), goes on into the background without an edge,
    ends at the person with a sharp one, and lies along none of the person's bones.

    Args:
        rgb: [S, S, 3] what the network saw.
        share: the person's mask.
        bones: [2, 2] ends of each in pixels of the mask.
    """
    import cv2

    person = share > 0.5
    depth = cv2.distanceTransform(person.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
    labels = np.where(person, cv2.GC_FGD, cv2.GC_BGD).astype(np.uint8)
    labels[person & (depth <= _BAND_PX)] = cv2.GC_PR_FGD
    if not ((labels == cv2.GC_FGD).any() and (labels == cv2.GC_BGD).any()):
        return share
    _cut(rgb, labels)
    ground = _wide((labels == cv2.GC_PR_BGD) & person, _GROUND_WIDTH_PX)
    places = [np.floor(a + np.linspace(0, 1, _ALONG)[:, None] * (b - a)).astype(int) for a, b in bones]
    count, pieces = cv2.connectedComponents(ground.astype(np.uint8), connectivity=8)
    colours = cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB).astype(np.float32)
    found: NDArray[np.float32] = share.copy()
    for number in range(1, count):
        piece = pieces == number
        if piece.sum() < _LEAST_GROUND * person.sum() or any(_along(piece, bone) > _BONE for bone in places):
            continue
        border = _seam(piece) & ~piece
        beyond = _steps(colours, piece, ~_seam(person), border & ~person)
        within = _steps(colours, piece, person & ~ground, border & person & ~ground)
        if beyond is not None and within is not None and beyond < _NO_EDGE and within > _SHARP_EDGE:
            found[piece] = 0.0
    return found


def _along(piece: NDArray[np.bool_], places: NDArray[np.int64]) -> float:
    """Return the share of places [N, 2], x and y, that lie in a piece."""
    x, y = places.T
    inside = (x >= 0) & (y >= 0) & (x < piece.shape[1]) & (y < piece.shape[0])
    return float(piece[y[inside], x[inside]].sum()) / len(places)


def _cut(rgb: NDArray[np.uint8], labels: NDArray[np.uint8]) -> None:
    """Settle GrabCut's labels in place, always to the same answer."""
    import cv2

    # The mixtures of colours begin from random pixels.
    cv2.setRNGSeed(0)
    models = np.zeros((2, 1, 65))
    cv2.grabCut(rgb, labels, (0, 0, 0, 0), models[0], models[1], _CUTS, cv2.GC_INIT_WITH_MASK)


def _wide(on: NDArray[np.bool_], width: int) -> NDArray[np.bool_]:
    """Return those pieces of a mask, whole, that are as wide as ``width`` somewhere near."""
    import cv2

    round_ = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (width, width))
    core = cv2.morphologyEx(on.astype(np.uint8), cv2.MORPH_OPEN, round_)
    return np.asarray((cv2.dilate(core, round_) > 0) & on)


def _steps(
    colours: NDArray[np.float32], one: NDArray[np.bool_], other: NDArray[np.bool_], border: NDArray[np.bool_]
) -> float | None:
    """Return how much colours differ across a border between two areas, the median; None without a border."""
    (inner, there), (outer, here) = _mean_colours(colours, one), _mean_colours(colours, other)
    steps = np.linalg.norm(inner - outer, axis=-1)[border & there & here]
    return float(np.median(steps)) if len(steps) else None


def _parts(
    rgb: NDArray[np.uint8], person: NDArray[np.bool_], more: NDArray[np.bool_]
) -> list[NDArray[np.bool_]]:
    """Return the pieces of ``more`` that jut out of the person and have an edge around them."""
    import cv2

    more = _wide(more, _WIDTH_PX)
    count, pieces = cv2.connectedComponents(more.astype(np.uint8), connectivity=8)
    colours = cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB).astype(np.float32)
    least, most = (share * person.sum() for share in _AREAS)
    if more.sum() > most:
        return []
    outside = ~_seam(person | more)
    parts = []
    for number in range(1, count):
        part = pieces == number
        border = _seam(part) & ~part
        touching, free = border & person, border & ~person & ~more
        if part.sum() < least or not 0 < touching.sum() < free.sum():
            continue
        steps = _steps(colours, part, outside, free)
        if steps is not None and steps > _EDGE:
            parts.append(part)
    return parts


def _seam(on: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return a mask grown by a pixel."""
    import cv2

    return np.asarray(cv2.dilate(on.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0)


def _mean_colours(
    colours: NDArray[np.float32], on: NDArray[np.bool_]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return (the mean of colours [H, W, 3] about each pixel over those that are on, where there are any)."""
    import cv2

    size = (_AROUND_PX, _AROUND_PX)
    weight = cv2.blur(on.astype(np.float32), size)
    total = cv2.blur(colours * on[..., None].astype(np.float32), size)
    there = weight > 1e-4
    return np.asarray(total / np.where(there, weight, 1.0)[..., None], np.float32), np.asarray(there)
