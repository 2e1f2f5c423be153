"""A posed face."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jiff.face.model import MorphableModel


@dataclass(frozen=True, eq=False)
class FacePose:
    """A posed face: vertices = scale * rotation @ shape(identity, expression) + offset.

    Attributes:
        scale: model to world units.
        rotation: [3, 3].
        offset: [3] world units.
        identity: [K].
        expression: [E].
    """

    scale: float
    rotation: NDArray[np.float64]
    offset: NDArray[np.float64]
    identity: NDArray[np.float64]
    expression: NDArray[np.float64]

    def vertices(self, model: MorphableModel) -> NDArray[np.float64]:
        """Return [V, 3] world vertices."""
        return self.place(model.shape(self.identity, self.expression))

    def place(self, shape: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return model points [N, 3] in the world."""
        return self.scale * shape @ self.rotation.T + self.offset
