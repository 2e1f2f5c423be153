"""Integer keys of the nodes and cells of a grid, and a sparse store of node values."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from jiff.geometry.marching import CORNERS

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

_FACES: tuple[tuple[int, int, tuple[int, ...]], ...] = tuple(
    (axis, 2 * side - 1, tuple(c for c in range(8) if c >> axis & 1 == side))
    for axis in range(3)
    for side in (0, 1)
)
"""(axis, direction, corners) of the six faces of a cell."""


@dataclass(frozen=True)
class Lattice:
    """A grid of cubic cells whose nodes have keys that grow along z, then y, then x.

    Attributes:
        origin_world: [3] position of node 0.
        cell_world: edge of a cell.
        counts: number of cells along x, y, z.
    """

    origin_world: NDArray[np.float64]
    cell_world: float
    counts: tuple[int, int, int]

    @classmethod
    def of_bounds(cls, bounds_world: ArrayLike, resolution: int) -> Lattice:
        """Return the lattice with ``resolution`` cells along the longest side of [2, 3] bounds.

        The shorter sides are covered by whole cells, which may reach past the bounds.
        """
        low, high = np.asarray(bounds_world, dtype=np.float64)
        cell = float((high - low).max()) / resolution
        counts = [max(1, math.ceil(side / cell - 1e-6)) for side in high - low]
        return cls(low, cell, (counts[0], counts[1], counts[2]))

    @property
    def steps(self) -> NDArray[np.int64]:
        """[3] growth of a key from node to node along x, y, z (two spare nodes let neighbours be named freely)."""
        ny, nz = self.counts[1] + 3, self.counts[2] + 3
        return np.array([ny * nz, nz, 1], dtype=np.int64)

    def indices(self, keys: NDArray[np.int64]) -> NDArray[np.int64]:
        """[N, 3] node indices of keys."""
        sx, sy, _ = self.steps
        x, rest = np.divmod(keys, sx)
        y, z = np.divmod(rest, sy)
        return np.stack([x, y, z], axis=1)

    def keys(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        """[N] keys of node indices [N, 3]."""
        return indices @ self.steps

    def positions_world(self, keys: NDArray[np.int64]) -> NDArray[np.float64]:
        """[N, 3] positions of nodes."""
        return self.origin_world + self.indices(keys) * self.cell_world

    def corner_keys(self, cells: NDArray[np.int64], stride: int) -> NDArray[np.int64]:
        """[8, C] corner nodes of cells of edge ``stride``; nodes past the end stand for the last one."""
        index = self.indices(cells)
        limit = np.array(self.counts)
        keys = cells + (CORNERS @ self.steps)[:, None] * stride
        beyond = np.flatnonzero((index + stride > limit).any(axis=1))
        for row, corner in enumerate(CORNERS):
            keys[row, beyond] = np.minimum(index[beyond] + corner * stride, limit) @ self.steps
        return keys

    def all_cells(self, stride: int) -> NDArray[np.int64]:
        """Keys of every cell of edge ``stride``, sorted."""
        axes = [np.arange(0, count, stride) * step for count, step in zip(self.counts, self.steps)]
        return (axes[0][:, None, None] + axes[1][:, None] + axes[2]).ravel()

    def within(self, indices: NDArray[np.int64]) -> NDArray[np.bool_]:
        """[...] whether cells that start at indices [..., 3] lie in the grid."""
        return np.asarray(((indices >= 0) & (indices < np.array(self.counts))).all(axis=-1))

    def children(
        self, cells: NDArray[np.int64], stride: int, kept: NDArray[np.bool_] | None = None
    ) -> NDArray[np.int64]:
        """Sorted keys of the cells of edge ``stride / 2`` in cells of edge ``stride``: those ``kept`` [C, 8], or all."""
        index = self.indices(cells)[:, None] + CORNERS * (stride // 2)
        chosen = self.within(index)
        if kept is not None:
            chosen &= kept
        return np.sort(self.keys(index[chosen]))

    def dilated(self, cells: NDArray[np.int64], stride: int) -> NDArray[np.int64]:
        """Cells and all their neighbours (26), sorted."""
        index = self.indices(cells)
        for axis in range(3):
            offset = np.zeros(3, dtype=np.int64)
            offset[axis] = stride
            index = np.concatenate([index, index - offset, index + offset])
            index = self.indices(sorted_unique(self.keys(index[self.within(index)])))
        return self.keys(index)

    def next_across(
        self, cells: NDArray[np.int64], inside: NDArray[np.bool_], stride: int
    ) -> NDArray[np.int64]:
        """Neighbours into which the surface leaves cells with corner labels [C, 8], sorted, without repeats."""
        index = self.indices(cells)
        found = []
        for axis, direction, corners in _FACES:
            labels = inside[:, corners]
            crossing = labels.any(axis=1) & ~labels.all(axis=1)
            neighbour = index[crossing]
            neighbour[:, axis] += direction * stride
            found.append(self.keys(neighbour[self.within(neighbour)]))
        return sorted_unique(np.concatenate(found))


class NodeValues:
    """Values of the nodes that were evaluated so far, by sorted key."""

    def __init__(self, evaluate: Callable[[NDArray[np.int64]], NDArray[np.float32]]) -> None:
        """Args: evaluate: values of sorted, distinct keys."""
        self._evaluate = evaluate
        self.keys = np.zeros(0, dtype=np.int64)
        self.values = np.zeros(0, dtype=np.float32)

    def require(self, keys: NDArray[np.int64]) -> None:
        """Evaluate those of the sorted, distinct ``keys`` that are not known yet."""
        missing = keys[~contains(self.keys, keys)]
        if len(missing):
            self.add(missing, self._evaluate(missing))

    def add(self, keys: NDArray[np.int64], values: NDArray[np.float32]) -> None:
        """Insert values of sorted, distinct keys that are not known yet."""
        places = np.searchsorted(self.keys, keys)
        self.keys = np.insert(self.keys, places, keys)
        self.values = np.insert(self.values, places, values)

    def of_cells(self, lattice: Lattice, cells: NDArray[np.int64], stride: int) -> NDArray[np.float32]:
        """[C, 8] values at the corners of cells, evaluating what is missing."""
        self.require(sorted_unique(lattice.corner_keys(cells, stride)))
        return self.values[self.places(lattice, cells, stride)].T

    def places(self, lattice: Lattice, cells: NDArray[np.int64], stride: int) -> NDArray[np.int64]:
        """[8, C] where ``values`` holds the known corners of cells; no node between two of them may be known."""
        # Keys grow along z: the node that follows a lower corner is the upper one.
        lower = np.searchsorted(self.keys, lattice.corner_keys(cells, stride)[: len(CORNERS) // 2])
        return np.concatenate([lower, lower + 1])


def sorted_unique(keys: NDArray[np.int64]) -> NDArray[np.int64]:
    """Distinct values in order; many times faster than ``np.unique``, which hashes in NumPy 2.3 and later."""
    ordered = np.sort(keys, axis=None)
    first = np.ones(len(ordered), dtype=bool)
    np.not_equal(ordered[1:], ordered[:-1], out=first[1:])
    return ordered[first]


def contains(sorted_keys: NDArray[np.int64], keys: NDArray[np.int64]) -> NDArray[np.bool_]:
    """[N] whether ``keys`` are among ``sorted_keys``."""
    if len(sorted_keys) == 0:
        return np.zeros(len(keys), dtype=bool)
    place = np.minimum(np.searchsorted(sorted_keys, keys), len(sorted_keys) - 1)
    return sorted_keys[place] == keys
