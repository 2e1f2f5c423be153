"""Keeps a fitted body out of itself: spheres along limbs, trunk and head must not sink into one another."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from numpy.typing import NDArray

_Chain = tuple[str, str, str, tuple[float, ...], float]

_SIDE: tuple[_Chain, ...] = (
    ("arm", "lowerarm01", "wrist", (0.15, 0.4, 0.65, 0.9), 0.042),
    ("arm", "wrist", "finger3-1", (0.3, 0.9), 0.038),
    ("arm", "finger3-1", "finger3-3", (0.3, 1.2), 0.028),
    ("thigh", "upperleg01", "lowerleg01", (0.05, 0.2), 0.088),
    ("thigh", "upperleg01", "lowerleg01", (0.35, 0.5, 0.65, 0.8, 0.95), 0.070),
    ("shin", "lowerleg01", "foot", (0.15, 0.35, 0.55, 0.75, 0.95), 0.046),
    ("shin", "foot", "toe3-1", (0.2, 0.6, 1.0), 0.036),
    ("trunk", "upperleg01", "upperarm01", (0.0, 0.15, 0.3, 0.45, 0.6, 0.75), 0.095),
)
"""Part, bones at whose heads it begins and ends, places between them, radius in metres of the average adult."""
_MIDDLE: tuple[_Chain, ...] = (
    ("trunk", "root", "spine01", (0.0, 0.3, 0.6, 0.9), 0.095),
    ("head", "head", "special06.L", (0.4, 0.9), 0.085),
)
_AGAINST = {("arm", "trunk"), ("arm", "head"), ("arm", "thigh"), ("arm", "arm"), ("arm", "shin"), ("shin", "shin"),
            ("shin", "thigh"), ("shin", "trunk"), ("thigh", "thigh")}  # fmt: skip
_INWARD = 0.35
"""The sides of the trunk lie this share of the way from hips and shoulders to the middle."""
SIGMA_M = 0.01


@lru_cache(maxsize=1)
def _spheres(labels: tuple[str, ...]) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]:
    """Return [S, B] shares of bones in the spheres' centres, [S] radii and [S, S] which may not meet."""
    index = {name: k for k, name in enumerate(labels)}
    rows, radii, parts, sides = [], [], [], []
    for side in ("L", "R", ""):
        for part, first, last, places, radius in _SIDE if side else _MIDDLE:
            ends = [name if "." in name or not side else f"{name}.{side}" for name in (first, last)]
            for place in places:
                row = np.zeros(len(labels), dtype=np.float32)
                row[index[ends[0]]] += 1 - place
                row[index[ends[1]]] += place
                if part == "trunk" and side:
                    other = np.zeros_like(row)
                    for name, share in zip((first, last), (1 - place, place)):
                        for both in "LR":
                            other[index[f"{name}.{both}"]] += share / 2
                    row = row + _INWARD * (other - row)
                rows.append(row)
                radii.append(radius)
                parts.append(part)
                sides.append(side)
    pairs = np.zeros((len(rows), len(rows)), dtype=bool)
    for i in range(len(rows)):
        for j in range(i):
            known = (parts[i], parts[j]) in _AGAINST or (parts[j], parts[i]) in _AGAINST
            # Parts of one side meet at their joints; forearms may still enter the trunk and the legs of their side.
            same = sides[i] == sides[j] and not ("arm" in (parts[i], parts[j]) and parts[i] != parts[j])
            pairs[i, j] = known and not same
    return np.stack(rows), np.array(radii, dtype=np.float32), pairs


class Clearance:
    """Cost of bodies that sink into themselves.

    Args:
        labels: names of anny's bones.
    """

    def __init__(self, labels: tuple[str, ...]) -> None:
        shares, radii, pairs = _spheres(labels)
        self._shares, self._radii = torch.from_numpy(shares), torch.from_numpy(radii)
        first, second = np.nonzero(pairs)
        self._first, self._second = torch.from_numpy(first), torch.from_numpy(second)
        self._least = self._radii[self._first] + self._radii[self._second]

    def __call__(self, bones: Tensor, scale: Tensor, room: float = 1.0) -> Tensor:
        """Return the cost of bones' heads [163, 3] in units of which ``scale`` are a metre.

        Args:
            bones: heads of all bones.
            scale: units per metre.
            room: factor of the spheres' radii.
        """
        centers = self._shares @ bones
        gap = (centers[self._first] - centers[self._second]).norm(dim=1)
        deep = (room * self._least * scale - gap).clamp(min=0) / (SIGMA_M * scale)
        return (deep**2).sum()
