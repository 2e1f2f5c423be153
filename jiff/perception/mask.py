"""The soft mask of one person at the photo's own resolution."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from jiff.perception.enclosed import SIZE, without_enclosed
from jiff.perception.landmarks import POSE_LINES
from jiff.perception.mask_parts import without_ground

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from jiff.perception.landmarks import FacePoints, Pose

_LARGEST = 1024
_RADII = (6.0, 3.0)
"""Of the guided filters, one after the other, in pixels of the network's mask."""
_SMOOTHNESS = 1e-4
_CONTRAST = 2.0
_LEAST_PIECE = 0.02
_ASIDE_DEG = 50.0
_UNSURE = (0.05, 0.95)
"""Shares between which the network does not know."""
_LEAST_DOUBT = 0.004
"""Part of the person from which pixels in doubt are settled by their colour."""
_DOUBT_PX, _NEAR_PX = 7, 26
"""Width from which doubt is more than a soft border; around what turns out to be background even sure pixels are asked again."""
_CUTS = 3
_MORE = 1.5
"""Times what was in doubt and is gone that sure pixels around it may go."""


def guided_filter(
    guide: NDArray[np.float32], values: NDArray[np.float32], radius: int, smoothness: float
) -> NDArray[np.float32]:
    """Return values [H, W] whose edges follow those of a colour picture [H, W, 3] in [0, 1].

    He et al., "Guided Image Filtering", PAMI 2013, equation 19 (colour guide).
    """
    import cv2

    size = (2 * radius + 1, 2 * radius + 1)

    def mean(x: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(cv2.blur(x, size, borderType=cv2.BORDER_REFLECT), np.float32)

    mean_guide, mean_values = mean(guide), mean(values)
    cross = mean(guide * values[..., None]) - mean_guide * mean_values[..., None]
    # The six different products of channels; their 3 x 3 systems are solved by cofactors, all pixels at once.
    var = {
        (i, j): mean(guide[..., i] * guide[..., j]) - mean_guide[..., i] * mean_guide[..., j]
        for i in range(3)
        for j in range(i, 3)
    }
    rr, gg, bb = (var[k, k] + smoothness for k in range(3))
    rg, rb, gb = var[0, 1], var[0, 2], var[1, 2]
    c_rr, c_rg, c_rb = gg * bb - gb * gb, gb * rb - rg * bb, rg * gb - gg * rb
    c_gg, c_gb, c_bb = rr * bb - rb * rb, rb * rg - rr * gb, rr * gg - rg * rg
    det = np.maximum(rr * c_rr + rg * c_rg + rb * c_rb, 1e-12)
    x, y, z = cross[..., 0], cross[..., 1], cross[..., 2]
    slope = np.stack(
        [c_rr * x + c_rg * y + c_rb * z, c_rg * x + c_gg * y + c_gb * z, c_rb * x + c_gb * y + c_bb * z],
        axis=-1,
    )
    slope /= det[..., None]
    offset = mean_values - (slope * mean_guide).sum(-1)
    return np.asarray((mean(slope.astype(np.float32)) * guide).sum(-1) + mean(offset), np.float32)


def settled(rgb: NDArray[np.uint8], share: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a network's mask [S, S] in [0, 1] whose doubtful areas, such as ground between legs, follow the picture's colours.

    What is sure teaches the colours of person and background (Rother et al., "GrabCut", SIGGRAPH 2004); masks without
    areas of doubt come back as they are.

    Args:
        rgb: [S, S, 3] what the network saw.
        share: its mask.
    """
    import cv2

    unsure = ((share > _UNSURE[0]) & (share < _UNSURE[1])).astype(np.uint8)
    wide = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (_DOUBT_PX, _DOUBT_PX))
    core = cv2.dilate(cv2.morphologyEx(unsure, cv2.MORPH_OPEN, wide), np.ones((3, 3), np.uint8))
    doubt = np.asarray(core, np.uint8) & unsure
    person = share > 0.5
    if doubt.sum() < _LEAST_DOUBT * max(int(person.sum()), 1):
        return share
    labels = np.where(person, cv2.GC_FGD, cv2.GC_BGD).astype(np.uint8)
    labels[doubt > 0] = np.where(person, cv2.GC_PR_FGD, cv2.GC_PR_BGD)[doubt > 0]
    if not ((labels == cv2.GC_FGD).any() and (labels == cv2.GC_BGD).any()):
        return share

    def cut() -> None:
        # The mixtures of colours begin from random pixels.
        cv2.setRNGSeed(0)
        models = np.zeros((2, 1, 65))
        cv2.grabCut(rgb, labels, (0, 0, 0, 0), models[0], models[1], _CUTS, cv2.GC_INIT_WITH_MASK)

    cut()
    gone = ((doubt > 0) & (labels == cv2.GC_PR_BGD)).astype(np.uint8)
    near = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * _NEAR_PX + 1, 2 * _NEAR_PX + 1))
    around = cv2.dilate(cv2.morphologyEx(gone, cv2.MORPH_OPEN, wide), near) > 0
    labels[around & (labels == cv2.GC_FGD)] = cv2.GC_PR_FGD
    again = around & (labels == cv2.GC_PR_FGD) & (doubt == 0)
    if around.any() and (labels == cv2.GC_FGD).any():
        cut()
        if (again & (labels == cv2.GC_PR_BGD)).sum() > _MORE * gone.sum():
            # So much of what was sure is a person in the background's colours.
            labels[again] = cv2.GC_PR_FGD
    found = np.where(labels == cv2.GC_PR_BGD, 0.0, 1.0)
    asked = (labels == cv2.GC_PR_FGD) | (labels == cv2.GC_PR_BGD)
    return np.where(asked, found, share).astype(np.float32)


def person_mask(rgb: NDArray[np.uint8], pose: Pose, others: Sequence[Pose] = ()) -> NDArray[np.uint8]:
    """Return the mask [H, W] uint8 of one person of a photo [H, W, 3], 255 inside, borders soft.

    The network's mask of 256 pixels is brought to the photo's edges; what other people claim more strongly is theirs.

    Args:
        rgb: the photo.
        pose: of the person.
        others: of the other people of the photo.
    """
    crop = pose.crop
    size = int(np.clip(round(crop.side_px), 256, _LARGEST))
    seen = crop.take(rgb, pose.mask.shape[0])
    matrix = crop.photo_to_crop(pose.mask.shape[0])
    places = pose.points_px @ matrix[:, :2].T + matrix[:, 2]
    bones = [places[list(line)] for line in POSE_LINES]
    sure = without_ground(seen, settled(seen, pose.mask), bones)
    raw, share = (_resized(mask, size) for mask in (pose.mask, sure))
    share = share * _open(rgb, pose, sure, size)
    for other in others:
        shape = (rgb.shape[0], rgb.shape[1])
        theirs = other.crop.paste(other.mask, shape)
        claimed = crop.take(np.rint(theirs * 255).astype(np.uint8), size).astype(np.float32) / 255.0
        share = np.where(claimed > raw, 0.0, share).astype(np.float32)
    guide = crop.take(rgb, size).astype(np.float32) / 255.0
    fine = share
    for radius in _RADII:
        fine = guided_filter(guide, fine, max(2, round(radius * size / 256)), _SMOOTHNESS)
        fine = np.clip((fine - 0.5) * _CONTRAST + 0.5, 0, 1).astype(np.float32)
    placed = crop.paste(fine, (rgb.shape[0], rgb.shape[1]))
    mask = np.rint(placed * 255).astype(np.uint8)
    return _without_specks(mask)


def _resized(values: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    import cv2

    return np.asarray(cv2.resize(values, (size, size), interpolation=cv2.INTER_LINEAR), np.float32)


def _open(rgb: NDArray[np.uint8], pose: Pose, share: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """Return [size, size] 0 in the gaps between limbs that a person's mask holds, 1 elsewhere."""
    crop = pose.crop
    inside = crop.take(np.full(rgb.shape[:2], 255, np.uint8), SIZE) > 250
    matrix = crop.photo_to_crop(SIZE)
    points = pose.points_px @ matrix[:, :2].T + matrix[:, 2]
    before = _resized(share, SIZE)
    after = without_enclosed(crop.take(rgb, SIZE), before, inside, points)
    return _resized(np.where(after < before, np.float32(0), np.float32(1)), size)


def with_seen_face(mask: NDArray[np.uint8], face: FacePoints | None) -> NDArray[np.uint8]:
    """Return a mask [H, W] that holds the face: masks lose foreheads and cheeks before walls of like colour.

    Args:
        mask: 255 inside.
        face: None, or one that looks too far aside for its points to tell its outline, changes nothing.
    """
    import cv2

    if face is None or abs(face.yaw_deg) > _ASIDE_DEG:
        return mask
    # Sixteenths of a pixel; OpenCV counts from pixels' middles.
    points = np.rint((face.points_px[:, :2] - 0.5) * 16).astype(np.int32)
    filled = np.zeros_like(mask)
    cv2.fillConvexPoly(filled, cv2.convexHull(points), 255, cv2.LINE_AA, 4)
    return np.maximum(mask, filled)


def _without_specks(mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the mask without what lies apart from the person and is small."""
    import cv2

    count, labels, stats, _ = cv2.connectedComponentsWithStats((mask >= 64).astype(np.uint8), connectivity=8)
    if count <= 2:
        return mask
    areas = stats[:, cv2.CC_STAT_AREA].astype(np.float64)
    areas[0] = 0
    kept = areas >= _LEAST_PIECE * areas.max()
    kept[0] = True
    return np.where(kept[labels], mask, 0).astype(np.uint8)
