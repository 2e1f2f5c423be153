"""What the face network makes of faces, undone: it draws everybody towards the faces it knows, more so from aside.

Learnt by ``python -m benchmarks.learn_face_habits`` on renders of synthetic people with known skin: a linear map from the
points that the network says, in the frame of the face, to where they are. Its answer is an expectation: what the
network cannot tell about a face stays the mean's.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import TYPE_CHECKING

import numpy as np

from jiff.face.landmarks import similarity

if TYPE_CHECKING:
    from numpy.typing import NDArray

VERSION = 1
"""Of the map and of how fits use it: part of what decides the bytes of a face."""
_FILE = "anny_habits.npz"


@dataclass(frozen=True, eq=False)
class Habits:
    """A linear map between points of the face, N of them, in world units at the mean's size.

    Attributes:
        places: [N, 3] of the points on anny's mean face, whose frame is that of the map.
        spread: [N] standard deviation of what the network says.
        said: [N, 3] mean displacement from the places that the network says.
        true: [N, 3] mean displacement where it says so.
        directions: [Q, N, 3] in which what it says is read.
        answers: [Q, N, 3] displacement for one unit along each.
        left: [N] standard deviation of what remains unknown.
    """

    places: NDArray[np.float64]
    spread: NDArray[np.float64]
    said: NDArray[np.float64]
    true: NDArray[np.float64]
    directions: NDArray[np.float64]
    answers: NDArray[np.float64]
    left: NDArray[np.float64]

    def undone(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return where points [N, 3] of the network are: right-handed axes of a camera, depths to an offset, any size."""
        scale, rotation, offset, said = in_face_frame(self.places, self.spread, points)
        strength = np.tensordot(self.directions, said - self.said, axes=2)
        true = self.true + np.tensordot(strength, self.answers, axes=1)
        return np.asarray(scale * (self.places + true) @ rotation.T + offset)


def in_face_frame(
    places: NDArray[np.float64], spread: NDArray[np.float64], points: NDArray[np.float64]
) -> tuple[float, NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return size, turn [3, 3] and offset [3] that bring places [N, 3] onto points, and what displaces them there [N, 3]."""
    scale, rotation, offset = similarity(places, points, 1.0 / spread**2)
    return scale, rotation, offset, (points - offset) @ rotation / scale - places


@lru_cache(maxsize=1)
def learnt_habits() -> Habits:
    """Return the habits of the embedded face network, of the points of ``jiff.face.points.learnt_points``."""
    with (
        (resources.files("jiff.face") / _FILE).open("rb") as file,
        np.load(file, allow_pickle=False) as stored,
    ):
        return Habits(**{name: stored[name].astype(np.float64) for name in Habits.__dataclass_fields__})
