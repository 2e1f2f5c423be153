"""Which parts of a face a fit trusts, and which it is judged by, from its landmarks alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def face_regions(
    vertices: NDArray[np.float64], marks: NDArray[np.float64], eyeball: NDArray[np.bool_] | None = None
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return the weight [V] of each vertex in a fit and the core [V] of the face (see ``MorphableModel``).

    Args:
        vertices: [V, 3] neutral face, world units, facing +z.
        marks: [68, 3] its landmarks.
        eyeball: [V] which vertices belong to eyes.
    """
    eyeball = np.zeros(len(vertices), bool) if eyeball is None else eyeball
    nose = marks[30]
    half_width = 0.5 * float(np.ptp(marks[:17, 0]))
    height = float(marks[17:27, 1].mean() - marks[8, 1])
    brows_y, chin_y = float(marks[17:27, 1].mean()), float(marks[8, 1])
    across = np.abs(vertices[:, 0] - nose[0]) / max(half_width, 1e-6)
    # Hair covers foreheads and temples, beards and collars the jaw; trust falls off towards them.
    above = np.clip((vertices[:, 1] - brows_y) / max(0.37 * height, 1e-6), 0, 1)
    weight = 1.0 - 0.75 * np.maximum(above, np.clip((across - 0.7) / 0.5, 0, 1))
    # Behind the ears or inside the head nothing is fitted.
    behind = vertices[:, 2] < float(marks[:17, 2].min()) - 0.15 * height
    weight = np.where(eyeball, 0.3, np.where(behind, 0.0, weight))
    below = vertices[:, 1] < chin_y - 0.25 * height
    weight = np.where(below, 0.0, weight)
    core = (
        (across < 0.72)
        & (vertices[:, 1] < brows_y + 0.02 * height)
        & (vertices[:, 1] > chin_y + 0.075 * height)
    )
    core &= ~eyeball & ~behind & (vertices[:, 2] > float(marks[[36, 45], 2].mean()) - 0.35 * height)
    return weight.astype(np.float32), core
