"""Bind a surface that lies around a posed body to the body's bones, and carry it from pose to pose.

Linear blend skinning: a point of weights w moves by the sum of w times its bones' transforms; carried back, by the
inverse of that sum, so that there and back is the same place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import sparse
from scipy.spatial import cKDTree

from jiff.geometry.mesh import Mesh

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

INFLUENCES = 4
"""Bones per point that every player of glTF supports."""

_NEIGHBORS = 12
_NORMAL_CM = 2.5
"""Opposite normals count like 5 cm of distance: cloth of the trunk does not take to an arm that lies on it."""
_SMOOTH_STEPS = 10
_SMOOTH_EDGE_CM = 1.0
"""Edges much longer than this do not smooth: what they join is far apart already."""
_SMOOTH_FROM_CM, _SMOOTH_FULL_CM = 0.3, 2.5
"""Bare skin keeps its own weights, cloth as far as this from it is smoothed in full."""
_LEAST_STRETCH = 0.5
"""A blend of opposed turns collapses; its inverse would throw the point away, so it stretches no more than 1 / this."""


class Binding(NamedTuple):
    """How points hang on bones.

    Attributes:
        bones: [N, 4] int64, the strongest first; 0 where the weight is 0.
        weights: [N, 4] float32, not negative, of sum 1.
    """

    bones: NDArray[np.int64]
    weights: NDArray[np.float32]

    def matrix(self, count: int) -> sparse.csr_matrix:
        """Return [N, count] float32, ``count`` bones."""
        points, width = self.weights.shape
        start = np.arange(0, points * width + 1, width)
        return sparse.csr_matrix((self.weights.ravel(), self.bones.ravel(), start), shape=(points, count))

    def taken(self, source: NDArray[np.integer]) -> Binding:
        """Return the binding of points that are copies of these."""
        return Binding(self.bones[source], self.weights[source])


def bind_points(
    points: ArrayLike,
    faces: NDArray[np.integer] | None,
    body_vertices: ArrayLike,
    body_triangles: NDArray[np.integer],
    bone_index: NDArray[np.integer],
    bone_weight: NDArray[np.floating],
    *,
    normals: NDArray[np.floating] | None = None,
    cm: float = 1.0,
) -> Binding:
    """Bind points around a body in the same pose and place.

    Every point takes the weights of the nearest places of the skin, blended; nearness is of place and of normal. Over
    the surface's edges the weights are then smoothed where it is off the skin.

    Args:
        points: [N, 3], any unit.
        faces: [F, 3] of the surface, or None for points alone (no smoothing; ``normals`` are then needed for agreement
            of normals).
        body_vertices: [V, 3], same frame and unit.
        body_triangles: [T, 3] the skin.
        bone_index: [V, K] of the body's vertices.
        bone_weight: [V, K].
        normals: [N, 3] unit; by default those of ``faces``.
        cm: length of a centimetre in this unit, 0.01 for metres.
    """
    near = near_skin(
        points, faces, body_vertices, body_triangles, bone_index, bone_weight, normals=normals, cm=cm
    )
    return smooth_binding(near, points, faces, cm=cm)


class NearSkin(NamedTuple):
    """What lies below points.

    Attributes:
        weights: [N, B] float32 blended from the nearest places of the skin, sum 1.
        distance_cm: [N] how far the nearest is, in place and normal together.
        vertex: [N] the body's vertex there.
    """

    weights: NDArray[np.float32]
    distance_cm: NDArray[np.float64]
    vertex: NDArray[np.int64]


def near_skin(
    points: ArrayLike,
    faces: NDArray[np.integer] | None,
    body_vertices: ArrayLike,
    body_triangles: NDArray[np.integer],
    bone_index: NDArray[np.integer],
    bone_weight: NDArray[np.floating],
    *,
    normals: NDArray[np.floating] | None = None,
    cm: float = 1.0,
) -> NearSkin:
    """Do the first half of ``bind_points``: find and blend the skin below."""
    places = np.ascontiguousarray(points, dtype=np.float64).reshape(-1, 3) / cm
    skin = np.ascontiguousarray(body_vertices, dtype=np.float64) / cm
    if faces is not None:
        surface = np.asarray(faces, dtype=np.int64)
        if normals is None:
            normals = Mesh(places, surface).vertex_normals()
        edges = _edge_weights(places, surface)
        # Folds of cloth turn its normals; the skin below wants their mean.
        for _ in range(_SMOOTH_STEPS // 2):
            normals = edges @ normals
    turned = None if normals is None else _unit(np.asarray(normals, dtype=np.float64))
    return _from_skin(places, turned, skin, body_triangles, bone_index, bone_weight)


def smooth_binding(
    near: NearSkin, points: ArrayLike, faces: NDArray[np.integer] | None, *, cm: float = 1.0
) -> Binding:
    """Do the second half of ``bind_points``: smooth over the edges of ``faces``, keep the strongest bones."""
    if faces is None:
        return strongest(near.weights)
    places = np.ascontiguousarray(points, dtype=np.float64).reshape(-1, 3) / cm
    edges = _edge_weights(places, np.asarray(faces, dtype=np.int64))
    weights = near.weights.copy()
    share = np.clip((near.distance_cm - _SMOOTH_FROM_CM) / (_SMOOTH_FULL_CM - _SMOOTH_FROM_CM), 0.0, 1.0)
    share = share[:, None].astype(np.float32)
    for _ in range(_SMOOTH_STEPS):
        weights += share * (edges @ weights - weights)
    return strongest(weights)


def strongest(weights: NDArray[np.floating]) -> Binding:
    """Return the ``INFLUENCES`` largest of [N, B] weights, made to sum 1."""
    kept = min(INFLUENCES, weights.shape[1])
    index = np.argpartition(weights, -kept, axis=1)[:, -kept:]
    weight = np.maximum(np.take_along_axis(weights, index, axis=1), 0.0).astype(np.float64)
    order = np.argsort(-weight, axis=1, kind="stable")
    index, weight = np.take_along_axis(index, order, axis=1), np.take_along_axis(weight, order, axis=1)
    if kept < INFLUENCES:
        pad = ((0, 0), (0, INFLUENCES - kept))
        index, weight = np.pad(index, pad), np.pad(weight, pad)
    weight = weight / np.maximum(weight.sum(axis=1, keepdims=True), 1e-12)
    weight[weight < 1e-3] = 0.0
    narrow = (weight / weight.sum(axis=1, keepdims=True)).astype(np.float32)
    # What rounding leaves goes to the strongest, so that float32 sums are as near to 1 as they can be.
    narrow[:, 0] += np.float32(1.0) - narrow.sum(axis=1, dtype=np.float32)
    return Binding(np.where(narrow > 0, index, 0).astype(np.int64), narrow)


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12))


def _edge_weights(places: NDArray[np.float64], faces: NDArray[np.int64]) -> sparse.csr_matrix:
    """Return [N, N] float32 rows of sum 1: a point and its neighbours, near ones more."""
    count = len(places)
    ends = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    length = np.linalg.norm(places[ends[:, 0]] - places[ends[:, 1]], axis=1)
    value = np.exp(-0.5 * np.square(length / _SMOOTH_EDGE_CM)).astype(np.float32)
    rows, columns = ends.T
    half = sparse.csr_matrix((value, (rows, columns)), shape=(count, count))
    both = half.maximum(half.T) + sparse.identity(count, dtype=np.float32, format="csr")
    total = np.asarray(both.sum(axis=1)).ravel()
    return (sparse.diags(1.0 / total).astype(np.float32) @ both).tocsr()


def _from_skin(
    places: NDArray[np.float64],
    normals: NDArray[np.float64] | None,
    skin: NDArray[np.float64],
    triangles: NDArray[np.integer],
    bone_index: NDArray[np.integer],
    bone_weight: NDArray[np.floating],
) -> NearSkin:
    # Vertices of the skin and middles of its triangles: where triangles are large, vertices alone lie too far apart.
    used = np.unique(triangles)
    own = Mesh(skin, np.asarray(triangles, dtype=np.int64))
    centers = skin[triangles].mean(axis=1)
    sites = np.concatenate([skin[used], centers])
    bones = int(bone_index.max()) + 1
    width = bone_index.shape[1]
    vertex_weights = sparse.csr_matrix(
        (
            np.asarray(bone_weight, dtype=np.float32).ravel(),
            np.asarray(bone_index, dtype=np.int64).ravel(),
            np.arange(0, bone_index.size + 1, width),
        ),
        shape=(len(bone_index), bones),
    )
    corners = sum(vertex_weights[triangles[:, k]] for k in range(3)) / 3.0
    site_weights = sparse.vstack([vertex_weights[used], corners]).tocsr().astype(np.float32)
    queries = places
    if normals is not None:
        site_normals = np.concatenate([own.vertex_normals()[used], _unit(own.face_cross())])
        sites = np.concatenate([sites, _NORMAL_CM * site_normals], axis=1)
        queries = np.concatenate([places, _NORMAL_CM * normals], axis=1)
    distance, near = cKDTree(sites).query(queries, k=_NEIGHBORS, eps=0.05)
    # Franke and Little's weights: the last neighbour's is 0, so that none comes or goes with a jump.
    radius = distance[:, -1:] * 1.001 + 1e-9
    blend = np.square((radius - distance) / (radius * (distance + 1e-3)))
    blend /= blend.sum(axis=1, keepdims=True)
    start = np.arange(0, near.size + 1, _NEIGHBORS)
    picked = sparse.csr_matrix(
        (blend.astype(np.float32).ravel(), near.ravel(), start), shape=(len(places), len(sites))
    )
    weights = (picked @ site_weights).toarray()
    vertex = np.concatenate([used, triangles[:, 0]])[near[:, 0]]
    return NearSkin(weights / weights.sum(axis=1, keepdims=True), distance[:, 0], vertex.astype(np.int64))


def blended(
    binding: Binding, linear: NDArray[np.floating], offset: NDArray[np.floating]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return [N, 3, 3] and [N, 3] transforms of the points, of [B, 3, 3] and [B, 3] of the bones."""
    bones = np.concatenate([linear.reshape(-1, 9), offset], axis=1).astype(np.float64)
    mixed = binding.matrix(len(bones)) @ bones
    return mixed[:, :9].reshape(-1, 3, 3), mixed[:, 9:]


def reposed(
    points: NDArray[np.floating],
    binding: Binding,
    linear: NDArray[np.floating],
    offset: NDArray[np.floating],
) -> NDArray[np.float64]:
    """Return [N, 3] points carried by bones.

    Args:
        points: [N, 3] in the pose that the bones' transforms start from.
        binding: of the points.
        linear, offset: [B, 3, 3] and [B, 3] transforms of the bones.
    """
    turn, shift = blended(binding, linear, offset)
    return np.asarray(np.einsum("nij,nj->ni", turn, points) + shift)


def unposed(
    points: NDArray[np.floating],
    binding: Binding,
    linear: NDArray[np.floating],
    offset: NDArray[np.floating],
) -> NDArray[np.float64]:
    """Return [N, 3] points carried back: what ``reposed`` takes to ``points``, save where the blend collapses.

    Args:
        points: [N, 3] in the pose that the bones' transforms lead to.
        binding: of the points.
        linear: [B, 3, 3] rotations.
        offset: [B, 3].
    """
    turn, shift = blended(binding, linear, offset)
    # The mean of where the bones alone would take it back: near the answer, and safe where the blend collapses.
    alone = np.zeros_like(points, dtype=np.float64)
    for k in range(INFLUENCES):
        bone = binding.bones[:, k]
        back = np.einsum("nji,nj->ni", linear[bone], points - offset[bone])
        alone += binding.weights[:, k, None] * back
    missing = points - shift - np.einsum("nij,nj->ni", turn, alone)
    return np.asarray(alone + np.einsum("nij,nj->ni", _inverse(turn), missing))


def reposed_normals(
    normals: NDArray[np.floating],
    binding: Binding,
    linear: NDArray[np.floating],
    offset: NDArray[np.floating],
    *,
    back: bool = False,
) -> NDArray[np.float64]:
    """Return [N, 3] unit normals carried by bones, or ``back`` as by ``unposed``."""
    turn, _ = blended(binding, linear, offset)
    matrix = turn.transpose(0, 2, 1) if back else _inverse(turn).transpose(0, 2, 1)
    return _unit(np.einsum("nij,nj->ni", matrix, normals))


def _inverse(turn: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the inverses of [N, 3, 3] blends of rotations, those of collapsed ones held."""
    # A blend of two turns about one axis shrinks two directions alike.
    collapsed = np.linalg.det(turn) < _LEAST_STRETCH**2 * 1.3
    safe = np.where(collapsed[:, None, None], np.eye(3), turn)
    inverse = np.linalg.inv(safe)
    if collapsed.any():
        left, size, right = np.linalg.svd(turn[collapsed])
        # A blend of rotations must not mirror.
        left[:, :, 2] *= np.sign(np.linalg.det(left) * np.linalg.det(right))[:, None]
        size = 1.0 / np.maximum(size, _LEAST_STRETCH)
        inverse[collapsed] = np.einsum("nji,nj,nkj->nik", right, size, left)
    return np.asarray(inverse)
