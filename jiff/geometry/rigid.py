"""Rigid motions of points: a turn and a shift."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def _identity() -> NDArray[np.float64]:
    return np.eye(3)


def _nowhere() -> NDArray[np.float64]:
    return np.zeros(3)


@dataclass(frozen=True)
class RigidMotion:
    """A turn and a shift: ``rotation @ p + offset``; by default points stay where they are.

    Attributes:
        rotation: [3, 3], determinant 1.
        offset: [3], in the points' unit.
    """

    rotation: NDArray[np.float64] = field(default_factory=_identity)
    offset: NDArray[np.float64] = field(default_factory=_nowhere)

    def apply(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return points [N, 3] moved."""
        return points @ self.rotation.T + self.offset

    def undo(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return points [N, 3] as they were before the motion."""
        return (points - self.offset) @ self.rotation

    def turn(self, directions: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return directions [N, 3] turned."""
        return directions @ self.rotation.T

    def then(self, other: RigidMotion) -> RigidMotion:
        """Return this motion followed by another."""
        return RigidMotion(other.rotation @ self.rotation, other.rotation @ self.offset + other.offset)
