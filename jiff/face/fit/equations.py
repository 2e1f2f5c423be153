"""The linear equations that a fit is made of: moving points of a posed face by changing its parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jiff.face.fit.face_pose import FacePose


@dataclass(frozen=True, eq=False)
class Marks:
    """Points of the face whose places are known.

    Attributes:
        index: [N, K] vertices.
        share: [N, K] their weights, a point is the weighted sum.
        target_world: [N, 3] where it should be.
        weight: [N, 3] of each coordinate's squared error, 1 / noise^2 of independent measurements.
    """

    index: NDArray[np.int64]
    share: NDArray[np.float64]
    target_world: NDArray[np.float64]
    weight: NDArray[np.float64]


def parameter_rows(
    basis: NDArray[np.float32],
    pose: FacePose,
    vertices: NDArray[np.int64],
    arms: NDArray[np.float64],
    directions: NDArray[np.float64],
) -> NDArray[np.float32]:
    """Return [N, 7 + C] how moving each parameter moves each vertex along its direction [N, 3].

    Parameters: rotation vector about ``offset``, offset, logarithm of the scale, coefficients.

    Args:
        basis: [3, V, C].
        pose: of the face.
        vertices: [N] their numbers.
        arms: [N, 3] from ``pose.offset`` to the vertices.
        directions: [N, 3].
    """
    in_model = (pose.scale * directions @ pose.rotation).astype(np.float32)
    rows = np.empty((len(vertices), 7 + basis.shape[2]), dtype=np.float32)
    rows[:, :3] = np.cross(arms, directions)
    rows[:, 3:6] = directions
    rows[:, 6] = np.einsum("ij,ij->i", arms, directions)
    rows[:, 7:] = in_model[:, :1] * basis[0, vertices]
    rows[:, 7:] += in_model[:, 1:2] * basis[1, vertices]
    rows[:, 7:] += in_model[:, 2:] * basis[2, vertices]
    return rows


def add_marks(
    basis: NDArray[np.float32],
    pose: FacePose,
    vertices: NDArray[np.float64],
    marks: Marks,
    normal_matrix: NDArray[np.float64],
    right: NDArray[np.float64],
) -> None:
    """Add the equations of marks to a system, in place.

    Args:
        basis: [3, V, C].
        pose: of the face.
        vertices: [V, 3] of that pose, world.
        marks: see there.
        normal_matrix: [7 + C, 7 + C].
        right: [7 + C].
    """
    count, corners = marks.index.shape
    flat = marks.index.ravel()
    arms = vertices[flat] - pose.offset
    for axis in range(3):
        direction = np.zeros((flat.size, 3))
        direction[:, axis] = 1.0
        rows = parameter_rows(basis, pose, flat, arms, direction).astype(np.float64)
        rows = (rows.reshape(count, corners, -1) * marks.share[..., None]).sum(1)
        error = marks.target_world[:, axis] - (vertices[marks.index, axis] * marks.share).sum(1)
        w = marks.weight[:, axis]
        normal_matrix += rows.T @ (w[:, None] * rows)
        right += rows.T @ (w * error)
