"""Facial landmarks: the 68 of iBUG, the 5 of detectors, and the similarity that aligns two sets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from jiff.base.errors import InputError
from jiff.base.files import read_text

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

RIGHT_EYE = slice(36, 42)
"""The subject's right eye, on the left of a frontal image."""
LEFT_EYE = slice(42, 48)
NOSE_TIP = 30
RIGHT_MOUTH_CORNER, LEFT_MOUTH_CORNER = 48, 54

MIRROR_68 = np.array(
    [*range(16, -1, -1), *range(26, 16, -1), 27, 28, 29, 30, 35, 34, 33, 32, 31, 45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40]
    + [54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55, 64, 63, 62, 61, 60, 67, 66, 65]
)  # fmt: skip
"""Index of each landmark's mirror image."""


def five_of(points: ArrayLike) -> NDArray[np.float64]:
    """Return [5, D] right eye, left eye, nose tip, right and left mouth corner of [68, D] (or [5, D]) landmarks."""
    points = np.asarray(points, dtype=np.float64)
    if len(points) == 5:
        return points
    return np.stack(
        [
            points[RIGHT_EYE].mean(0),
            points[LEFT_EYE].mean(0),
            points[NOSE_TIP],
            points[RIGHT_MOUTH_CORNER],
            points[LEFT_MOUTH_CORNER],
        ]
    )


def five_weights(landmarks68: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return vertex indices [5, 6] and weights [5, 6] whose weighted sums are the five landmarks of a model."""
    index = np.zeros((5, 6), dtype=np.int64)
    weight = np.zeros((5, 6))
    index[0], weight[0] = landmarks68[RIGHT_EYE], 1 / 6
    index[1], weight[1] = landmarks68[LEFT_EYE], 1 / 6
    for row, mark in ((2, NOSE_TIP), (3, RIGHT_MOUTH_CORNER), (4, LEFT_MOUTH_CORNER)):
        index[row], weight[row, 0] = landmarks68[mark], 1.0
    return index, weight


def similarity(
    source: ArrayLike, target: ArrayLike, weights: ArrayLike | None = None
) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
    """Return scale, rotation [3, 3] and offset [3] that best take ``source`` [N, 3] to ``target`` [N, 3].

    Umeyama, "Least-squares estimation of transformation parameters", PAMI 1991, weighted.
    """
    source, target = np.asarray(source, dtype=np.float64), np.asarray(target, dtype=np.float64)
    w = np.ones(len(source)) if weights is None else np.asarray(weights, dtype=np.float64)
    w = w / w.sum()
    mean_s, mean_t = w @ source, w @ target
    s, t = source - mean_s, target - mean_t
    u, singular, vt = np.linalg.svd(t.T @ (w[:, None] * s))
    sign = np.ones(source.shape[1])
    sign[-1] = np.sign(np.linalg.det(u) * np.linalg.det(vt)) or 1.0
    rotation = u @ np.diag(sign) @ vt
    scale = float((singular * sign).sum() / max((w[:, None] * s * s).sum(), 1e-12))
    return scale, rotation, mean_t - scale * rotation @ mean_s


def check_five(points_px: ArrayLike) -> str | None:
    """Return why five image landmarks [5, 2] (y down) cannot be a face seen roughly upright, or None."""
    p = np.asarray(points_px, dtype=np.float64)
    eyes, mouth = p[:2].mean(0), p[3:].mean(0)
    down = mouth - eyes
    height = float(np.linalg.norm(down))
    if height < 2:
        return "the landmarks lie on one another"
    right = p[1] - p[0]
    # With y down, a subject seen from the front has the left eye on the right of the line from eyes to mouth.
    side_eyes = float(right[0] * down[1] - right[1] * down[0]) / height
    across = p[4] - p[3]
    side_mouth = float(across[0] * down[1] - across[1] * down[0]) / height
    if side_eyes <= 0 or side_mouth <= 0:
        return "left and right landmarks are exchanged"
    if down[1] < 0.35 * height:
        return "the face is not upright"
    if not 0.15 * height < side_eyes < 3.0 * height:
        return "the eyes and the mouth do not fit one another"
    nose = float((p[2] - eyes) @ down) / height**2
    if not 0.05 < nose < 1.1:
        return "the nose is not between the eyes and the mouth"
    return None


def read_landmarks(path: Path | str) -> NDArray[np.float64]:
    """Read ``<name>_landmarks.txt``: 5 or 68 lines "x y", continuous pixels of the image.

    Raises:
        InputError: missing file, or not 5 or 68 pairs of numbers.
    """
    fields = read_text(path).replace(",", " ").split()
    try:
        numbers = np.array(fields, dtype=np.float64)
    except ValueError as error:
        raise InputError(f"{path}: holds something that is not a number; give lines of x and y.") from error
    if numbers.size not in (10, 136) or not np.isfinite(numbers).all():
        raise InputError(f"{path}: holds {numbers.size} numbers; give 5 or 68 lines of x and y in pixels.")
    return numbers.reshape(-1, 2)
