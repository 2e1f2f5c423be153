"""Views of people whose bodies are known, as the pose network sees them; what the body fit learns from and is measured on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from jiff.body.fit.observed import Observation

VERTEX_STRIDE = 3
"""Every so many of the skin's vertices are kept."""


@dataclass(frozen=True, eq=False)
class Views:
    """N views, in the photo's frame (frontal canonical camera), world units.

    Attributes:
        points, depth, visibility, presence, metres: [N, 33, ...] as of ``Observation``.
        face: [N, 468, 3] face points, NaN where no face is seen.
        mask: [N, 256, 256] uint8.
        turns: [N, 21, 3] true rotation vectors; the root's holds the photo's turn.
        hands: [N, 2, 3].
        scale: [N] world units per metre of anny's body.
        offset: [N, 3] of the body's origin.
        vertices: [N, V, 3] every third vertex of the bare skin.
        bones: [N, 163, 3] heads of bones.
        phenotypes: [N, 11] in the order of ``phenotype.LABELS``.
        seed: [N] of the person.
    """

    points: NDArray[np.float64]
    depth: NDArray[np.float64]
    visibility: NDArray[np.float64]
    presence: NDArray[np.float64]
    metres: NDArray[np.float64]
    face: NDArray[np.float64]
    mask: NDArray[np.uint8]
    turns: NDArray[np.float64]
    hands: NDArray[np.float64]
    scale: NDArray[np.float64]
    offset: NDArray[np.float64]
    vertices: NDArray[np.float32]
    bones: NDArray[np.float64]
    phenotypes: NDArray[np.float64]
    seed: NDArray[np.int64]

    def observations(self) -> list[Observation]:
        """Return what is seen, view by view."""
        return [self.observation(k) for k in range(len(self.points))]

    def observation(self, k: int) -> Observation:
        """Return what is seen in view ``k``."""
        face = None if np.isnan(self.face[k, 0, 0]) else self.face[k]
        return Observation(
            self.points[k], self.depth[k], self.visibility[k], self.presence[k], self.metres[k], face,
            self.mask[k].astype(np.float32) / 255.0,
        )  # fmt: skip


def drawn_turn(rng: np.random.Generator) -> Rotation:
    """Draw how a person stands to the camera: mostly facing it, a third from any side; some pitch and roll."""
    yaw = float(rng.uniform(-180, 180)) if rng.random() < 0.35 else float(rng.normal(0, 35))
    pitch, roll = float(rng.normal(0, 8)), float(rng.normal(0, 3))
    return Rotation.from_euler("ZXY", [roll, pitch, yaw], degrees=True)


def read_views(paths: list[Path]) -> Views:
    """Return the views of several files as one."""
    names = Views.__dataclass_fields__
    parts = []
    for path in paths:
        with np.load(path, allow_pickle=False) as stored:
            parts.append({name: stored[name] for name in names})
    return Views(**{name: np.concatenate([part[name] for part in parts]) for name in names})
