"""The face after rigid alignment of the face alone, so that its shape is told from its place, and its depth.

The NoW benchmark (Sanyal et al., CVPR 2019) aligns each face with its scan before it measures; so does this, without its
scaling, by iterated closest points from where the face is (trimmed: Chetverikov et al., ICPR 2002; towards tangent planes:
Chen and Medioni, 1992). Nothing is drawn at random here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial.transform import Rotation

from jiff.geometry.rigid import RigidMotion
from jiff.metrics.registry import AlignedFace, Directed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jiff.geometry.closest import ClosestPoints, MeshBvh

_SAMPLES = 4000
"""Of each surface in the iterations; the measures use all."""
_ROUNDS = 40
_KEPT = 0.8
"""Share of the pairs, the nearest ones, that count: hair, collars and holes must not pull."""
_POINT_WEIGHT = 0.003
"""Of the distance to the closest point beside that to its tangent plane: a plane alone leaves its points free to slide."""
_SETTLED = 1e-3
"""Radians and centimetres below which a round has changed nothing."""
_LEAST_PAIRS = 30


@dataclass(frozen=True)
class Side:
    """One of the two surfaces, centimetres.

    Attributes:
        face: [N, 3] samples of the face (scan) or of all that may be meant as it (reconstruction).
        face_normals: [N, 3] unit normals there.
        body: [M, 3] samples of the whole surface.
        bvh: for closest points.
        normals: [F, 3] unit normals of the triangles.
    """

    face: NDArray[np.float64]
    face_normals: NDArray[np.float64]
    body: NDArray[np.float64]
    bvh: MeshBvh
    normals: NDArray[np.float64]


def _in_box(points: NDArray[np.float64], box: NDArray[np.float64]) -> NDArray[np.bool_]:
    return np.asarray(((points >= box[0]) & (points <= box[1])).all(axis=1))


def _thinned(points: NDArray[np.float64]) -> NDArray[np.float64]:
    # Samples come in the order of the triangles, so that every n-th ones are spread evenly too.
    return points[:: max(1, len(points) // _SAMPLES)]


def _nearest_pairs(
    place: NDArray[np.float64], goal: NDArray[np.float64], normals: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return the share of the pairs that counts: places [K, 3], ways to go [K, 3], unit normals [K, 3]."""
    way = goal - place
    nearest = np.argsort(np.linalg.norm(way, axis=1), kind="stable")[: int(np.ceil(_KEPT * len(way)))]
    return place[nearest], way[nearest], normals[nearest]


def _step(
    place: NDArray[np.float64],
    way: NDArray[np.float64],
    normals: NDArray[np.float64],
    turning: bool,
) -> tuple[RigidMotion, float]:
    """Return the motion that solves the pairs, turns taken as small, and its size (radians and centimetres).

    Args:
        place: [K, 3] where the points are.
        way: [K, 3] from there to where they should be.
        normals: [K, 3] unit normals.
        turning: False shifts only.
    """
    middle = place.mean(0)
    arm = place - middle
    zero = np.zeros(len(arm))
    # Rows of -[arm]x: what a small turn w about the middle does to a point, w x arm.
    cross = np.stack(
        [
            np.stack([zero, arm[:, 2], -arm[:, 1]], axis=1),
            np.stack([-arm[:, 2], zero, arm[:, 0]], axis=1),
            np.stack([arm[:, 1], -arm[:, 0], zero], axis=1),
        ],
        axis=1,
    )
    points = np.concatenate([cross, np.broadcast_to(np.eye(3), cross.shape)], axis=2)
    if not turning:
        points = points[..., 3:]
    planes = np.einsum("ni,nij->nj", normals, points)
    matrix = planes.T @ planes + _POINT_WEIGHT * np.einsum("nij,nik->jk", points, points)
    right = planes.T @ np.einsum("ni,ni->n", normals, way)
    right += _POINT_WEIGHT * np.einsum("nij,ni->j", points, way)
    found = np.linalg.solve(matrix, right)
    turn, shift = (found[:3], found[3:]) if turning else (np.zeros(3), found)
    rotation = Rotation.from_rotvec(turn).as_matrix()
    return RigidMotion(rotation, middle + shift - rotation @ middle), float(np.abs(found).max())


def align(
    moving: NDArray[np.float64],
    moving_side: Side,
    fixed: NDArray[np.float64],
    fixed_side: Side,
    box: NDArray[np.float64] | None = None,
    *,
    start: RigidMotion | None = None,
) -> RigidMotion | None:
    """Return the motion of one surface onto another, None when there is too little to go by.

    Args:
        moving: [N, 3] samples of the moving surface.
        moving_side: that surface.
        fixed: [M, 3] samples of the surface that stays.
        fixed_side: that surface.
        box: [2, 3] moving samples count where their closest point on the other surface lies; everywhere without it.
        start: motion to begin with and to refine by turns and shifts; without it the surface is shifted only.
    """
    moving, fixed = _thinned(moving), _thinned(fixed)
    motion, turning = start or RigidMotion(), start is not None
    for _ in range(_ROUNDS):
        moved = motion.apply(moving)
        there: ClosestPoints = fixed_side.bvh.closest(moved)
        chosen = np.ones(len(moved), dtype=bool) if box is None else _in_box(there.point, box)
        back = moving_side.bvh.closest(motion.undo(fixed))
        pairs = (
            _nearest_pairs(moved[chosen], there.point[chosen], fixed_side.normals[there.face[chosen]]),
            _nearest_pairs(motion.apply(back.point), fixed, motion.turn(moving_side.normals[back.face])),
        )
        if min(len(place) for place, _, _ in pairs) < _LEAST_PAIRS:
            return None
        place, way, normals = (np.concatenate(parts) for parts in zip(*pairs, strict=True))
        step, size = _step(place, way, normals, turning)
        motion = motion.then(step)
        if size < _SETTLED:
            break
    return motion


def _angles(normals: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.degrees(np.arccos(np.clip(np.einsum("ij,ij->i", normals, others), -1.0, 1.0)))


def _measured(
    motion: RigidMotion, moving: Side, fixed: Side, box: NDArray[np.float64]
) -> tuple[Directed, Directed]:
    """Return the moved face against the scan, and back."""
    found = fixed.bvh.closest(motion.apply(moving.face))
    forward = Directed(
        found.distance,
        _angles(motion.turn(moving.face_normals), fixed.normals[found.face]),
        found.point,
    )
    back = moving.bvh.closest(motion.undo(fixed.face))
    backward = Directed(
        back.distance,
        _angles(fixed.face_normals, motion.turn(moving.normals[back.face])),
        motion.apply(back.point),
    )
    return forward.where(_in_box(found.point, box)), backward


def _apart(pair: tuple[Directed, Directed]) -> float:
    return float(np.mean([directed.distance.mean() for directed in pair]))


def align_face(moving: Side, fixed: Side, box: NDArray[np.float64]) -> AlignedFace | None:
    """Move the reconstructed face rigidly onto the scan's and measure it there.

    It is shifted first, then turned as well where that brings the surfaces nearer: a featureless face fits in any position,
    and may turn away. The depth compares two plain shifts for the same reason, and because a body that leans
    forward carries its head forward. Samples belong to the face where their closest point on the scan does, before and after
    the motion as in the measures without alignment.

    Args:
        moving: the reconstruction.
        fixed: the scan.
        box: [2, 3] low and high corner of the face.

    Returns:
        The measures' material; None where there is no face to align.
    """
    shift = align(moving.face, moving, fixed.face, fixed, box)
    if shift is None:
        return None
    turned = align(moving.face, moving, fixed.face, fixed, box, start=shift)
    found = [_measured(motion, moving, fixed, box) for motion in (shift, turned) if motion is not None]
    found = [pair for pair in found if len(pair[0].distance)]
    if not found:
        return None
    below = [side.body[side.body[:, 1] < box[0, 1]] for side in (moving, fixed)]
    body = align(below[0], moving, below[1], fixed)
    depth = float("nan") if body is None else float(body.offset[2] - shift.offset[2])
    return AlignedFace(*min(found, key=_apart), depth)
