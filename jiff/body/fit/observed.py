"""What is seen of a person, in the photo's world frame, and the numbers that the regressor reads from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from jiff.body.skeleton import JOINTS

if TYPE_CHECKING:
    from numpy.typing import NDArray

LANDMARKS = 33
MIRROR_33 = (0, 4, 5, 6, 1, 2, 3, 8, 7, 10, 9, *(k + 1 if k % 2 else k - 1 for k in range(11, 33)))
"""The landmark on the other side of each of the pose network's."""
FACE_EYES, FACE_CHIN, FACE_BROW = (33, 263), 152, 10
"""Outer corners of right and left eye, chin and top of the forehead among the 468 face points."""
HIPS, SHOULDERS = (23, 24), (11, 12)
FEATURES = LANDMARKS * 7 + 10
HAND_POINTS = 21
"""Wrist, and four points of thumb, index, middle, ring and little finger each, from the hand outwards."""
HAND_KNUCKLES = (5, 9, 13, 17)
"""Where index, middle, ring and little finger begin."""


@dataclass(frozen=True, eq=False)
class SeenHand:
    """One hand as the network of hands sees it; axes as of ``Observation``.

    Attributes:
        points: [21, 3] x and y in the photo's world, z relative to the wrist, world units.
    """

    points: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Observation:
    """One person in the frame of an orthographic photo: x to the right, y up, z towards the viewer, world units.

    Attributes:
        points: [33, 2] landmarks of the pose network.
        depth: [33] its guess of z, relative to the middle of the hips.
        visibility: [33] in [0, 1].
        presence: [33] in [0, 1], whether a landmark lies in the photo.
        metres: [33, 3] its guess of places from the middle of the hips; same axes, metres.
        face: [468, 3] face points, z relative to the face's middle; None where no face is seen.
        mask: [S, S] in [0, 1] share of the person, of the square that ``mask_low`` and ``mask_size`` say; None without.
        mask_low: x and y of the square's lower left corner.
        mask_size: its side.
        photo_low, photo_high: x and y of the photo's corners; beyond them nobody looked.
        hands: left and right hand, None where one is not seen or nobody looked.
    """

    points: NDArray[np.float64]
    depth: NDArray[np.float64]
    visibility: NDArray[np.float64]
    presence: NDArray[np.float64]
    metres: NDArray[np.float64]
    face: NDArray[np.float64] | None = None
    mask: NDArray[np.float32] | None = None
    mask_low: tuple[float, float] = (-102.4, -12.4)
    mask_size: float = 204.8
    photo_low: tuple[float, float] = (-np.inf, -np.inf)
    photo_high: tuple[float, float] = (np.inf, np.inf)
    hands: tuple[SeenHand | None, SeenHand | None] = (None, None)

    @property
    def middle(self) -> NDArray[np.float64]:
        """[2] the middle of the hips."""
        return np.asarray(self.points[list(HIPS)].mean(axis=0))

    @property
    def size(self) -> float:
        """A length that grows with the person: root mean square distance of the landmarks from their middle."""
        gap = self.points - self.points.mean(axis=0)
        return float(max(np.sqrt((gap**2).sum(axis=1).mean()), 1e-3))


def face_axes(face: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return [9] unit vectors of a face [468, 3]: to its left, up and forward."""
    across = face[FACE_EYES[1]] - face[FACE_EYES[0]]
    up = face[FACE_BROW] - face[FACE_CHIN]
    x = across / max(np.linalg.norm(across), 1e-9)
    y = up - (up @ x) * x
    y = y / max(np.linalg.norm(y), 1e-9)
    return np.concatenate([x, y, np.cross(x, y)])


def features(seen: Observation) -> NDArray[np.float32]:
    """Return [241] numbers that do not depend on where in the photo the person is, nor how large."""
    size = seen.size
    face = np.zeros(10) if seen.face is None else np.append(face_axes(seen.face), 1.0)
    parts = [
        (seen.points - seen.middle).ravel() / size,
        seen.depth / size,
        seen.visibility,
        (seen.metres * 2.5).ravel(),
        face,
    ]
    return np.concatenate(parts).astype(np.float32)


def mirrored(seen: Observation) -> Observation:
    """Return the mirror image about x = 0, without the mask."""
    swap = list(MIRROR_33)
    face = None
    if seen.face is not None:
        # Only the four points that ``face_axes`` reads have to be the right ones.
        face = seen.face * [-1.0, 1.0, 1.0]
        right, left = FACE_EYES
        face[[right, left]] = face[[left, right]]
    return Observation(
        seen.points[swap] * [-1.0, 1.0],
        seen.depth[swap],
        seen.visibility[swap],
        seen.presence[swap],
        seen.metres[swap] * [-1.0, 1.0, 1.0],
        face,
    )


_JOINT_MARKS = {
    "head": (0,), "upperarm": (11, 12), "lowerarm": (13, 14), "wrist": (15, 16), "upperleg": (23, 24), "lowerleg": (25, 26),
    "foot": (27, 28), "toes": (31, 32),
}  # fmt: skip
"""Landmarks (left, right) at joints."""
_PRESENT = 0.5


def unseen_joints(seen: Observation) -> NDArray[np.bool_]:
    """Return [21] which of ``JOINTS`` have their landmark outside of the photo."""
    result = np.zeros(len(JOINTS), dtype=bool)
    for k, name in enumerate(JOINTS):
        kind, _, side = name.partition(".")
        if kind in _JOINT_MARKS:
            marks = _JOINT_MARKS[kind]
            mark = marks[-1 if side == "R" else 0]
            outside = (seen.points[mark] < seen.photo_low).any() or (
                seen.points[mark] > seen.photo_high
            ).any()
            result[k] = seen.presence[mark] < _PRESENT or bool(outside)
    return result


def unseen_notes(unseen: NDArray[np.bool_]) -> tuple[str, ...]:
    """Return one sentence that names the parts [21] of ``JOINTS`` which are outside of the photo; none where all are in it."""
    parts = {"head": "head", "upperarm": "shoulders", "lowerarm": "elbows", "wrist": "hands", "upperleg": "hips", "lowerleg": "knees",
             "foot": "feet"}  # fmt: skip
    names = [
        word
        for kind, word in parts.items()
        if any(unseen[k] for k, n in enumerate(JOINTS) if n.partition(".")[0] == kind)
    ]
    if not names:
        return ()
    return (f"Outside of the photo, and so guessed: {', '.join(names)}.",)
