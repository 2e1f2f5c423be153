"""The level set of a field as a mesh, from few samples: coarse grid, refinement where the surface runs, marching cubes.

Cells whose corners disagree are split level by level; at each level the surface is followed across faces into cells
that the coarser level missed, so every connected piece of which one cell is known comes out whole. Thin parts that no
coarse node meets are found by seeds: columns of the silhouette in which nothing was found yet, and the face box.
Nothing of the size resolution^3 is ever allocated.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np

from jiff.base.errors import ReconstructionError
from jiff.geometry.lattice import Lattice, NodeValues, contains, sorted_unique
from jiff.geometry.marching import CORNERS, marching_cubes
from jiff.geometry.mesh import Mesh
from jiff.geometry.surface_seeds import Seeds, boxed_cells, footprint, search_columns, silhouette_columns

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray
    from torch import Tensor


LEVEL = 0.5
"""Occupancy of the surface."""

_DILATED_STRIDE = 8
"""Cells of this edge and larger (and those of the first level) are refined together with their neighbours; below,
following the surface suffices."""

_BOXED_STRIDE = 4
"""Cells of this edge and larger are refined wherever they meet a seed box."""


@runtime_checkable
class SizedField(Protocol):
    """A field that knows how much memory it takes: at any time, and for each point of a call."""

    fixed_bytes: int
    bytes_per_point: int

    def __call__(self, points_world: Tensor) -> Tensor:
        """Return [N] values at [N, 3] float32 points."""


@runtime_checkable
class DraftedField(Protocol):
    """A field with a cheaper version for the levels that only steer the refinement; the mesh comes from the field."""

    def __call__(self, points_world: Tensor) -> Tensor:
        """Return [N] values at [N, 3] float32 points."""

    def draft(self, points_world: Tensor) -> Tensor:
        """Return [N] values, about right."""


Field = Callable[["Tensor"], "Tensor"]
"""Maps points [N, 3] (float32, sorted so that points of one x, y column follow each other) to values [N]."""


@dataclass(frozen=True)
class SurfaceOptions:
    """How to extract a surface.

    Attributes:
        resolution: cells along the longest side of the bounds; any number.
        level: value of the surface; larger is inside.
        coarse_resolution: about how many cells the first, dense level has along that side.
        memory_budget_bytes: what the field may take, where it tells its need.
        max_chunk: most points of one call.
        search_stride: largest spacing in cells at which uncovered silhouette columns are searched.
    """

    resolution: int = 512
    level: float = LEVEL
    coarse_resolution: int = 64
    memory_budget_bytes: int = 2 << 30
    max_chunk: int = 65536
    search_stride: int = 2

    def __post_init__(self) -> None:
        if self.resolution < 2:
            raise ReconstructionError(f"A resolution of {self.resolution} gives no surface; use 64 or more.")


@dataclass
class SurfaceStats:
    """What an extraction cost.

    Attributes:
        points: field evaluations.
        cells: stride -> cells that the surface passes through at that level.
        field_seconds: time spent in the field.
        total_seconds: all of it.
        min_value: smallest value met.
        max_value: largest value met.
    """

    points: int = 0
    cells: dict[int, int] = field(default_factory=dict)
    field_seconds: float = 0.0
    total_seconds: float = 0.0
    min_value: float = float("inf")
    max_value: float = float("-inf")


class _Sampler:
    """Evaluates nodes in chunks; nodes on the border of the bounds are outside, which closes the surface there."""

    def __init__(
        self,
        function: Field,
        lattice: Lattice,
        options: SurfaceOptions,
        stats: SurfaceStats,
        draft: bool = False,
    ) -> None:
        self.lattice, self.options, self.stats = lattice, options, stats
        self.function = function.draft if draft and isinstance(function, DraftedField) else function
        chunk = options.max_chunk
        if isinstance(function, SizedField):
            left = options.memory_budget_bytes - function.fixed_bytes
            chunk = max(256, min(chunk, left // function.bytes_per_point))
        self.chunk = int(chunk)

    def __call__(self, keys: NDArray[np.int64]) -> NDArray[np.float32]:
        index = self.lattice.indices(keys)
        inner = ((index > 0) & (index < np.array(self.lattice.counts))).all(axis=1)
        values = np.full(len(keys), self.options.level - 0.5, dtype=np.float32)
        values[inner] = self._evaluate(index[inner])
        return values

    def _evaluate(self, index: NDArray[np.int64]) -> NDArray[np.float32]:
        import torch

        start = time.perf_counter()
        result = np.empty(len(index), dtype=np.float32)
        with torch.inference_mode():
            for low in range(0, len(index), self.chunk):
                part = slice(low, low + self.chunk)
                points = self.lattice.origin_world + index[part] * self.lattice.cell_world
                values = self.function(torch.from_numpy(points.astype(np.float32)))
                result[part] = values.detach().reshape(-1).float().cpu().numpy()
        if not np.isfinite(result).all():
            raise ReconstructionError(
                "The occupancy field holds values that are not numbers; the checkpoint is damaged or diverged, use another."
            )
        self.stats.points += len(index)
        self.stats.field_seconds += time.perf_counter() - start
        if len(result):
            self.stats.min_value = min(self.stats.min_value, float(result.min()))
            self.stats.max_value = max(self.stats.max_value, float(result.max()))
        return result


def _union(first: NDArray[np.int64], second: NDArray[np.int64]) -> NDArray[np.int64]:
    return sorted_unique(np.concatenate([first, second]))


def _crossed(values: NDArray[np.float32], level: float) -> NDArray[np.bool_]:
    inside = values > level
    return np.asarray(inside.any(axis=1) & ~inside.all(axis=1))


def _near(values: NDArray[np.float32], level: float) -> NDArray[np.bool_]:
    """Cells that the surface could enter between nodes: the values vary by more than what lacks to the level."""
    return np.asarray(np.abs(values - level).min(axis=1) < np.ptp(values, axis=1))


def _lower(target: NDArray[np.float32], places: NDArray[np.int64], values: NDArray[np.float32]) -> None:
    """``np.minimum.at`` for places that hardly ever repeat, several times as fast."""
    target[places] = np.minimum(target[places], values)
    lost = values < target[places]
    np.minimum.at(target, places[lost], values[lost])


def _specks(
    store: NodeValues,
    lattice: Lattice,
    cells: NDArray[np.int64],
    values: NDArray[np.float32],
    stride: int,
    level: float,
) -> NDArray[np.int64]:
    """Uncrossed cells in which a piece smaller than the stride may hide: those around a node that comes nearest to the
    level among its neighbours, when the values around it vary by more than what lacks to the level."""
    places = store.places(lattice, cells, stride)
    depth = np.abs(store.values - level)
    least = np.full(len(depth), np.inf, dtype=np.float32)
    low, minus_high = least.copy(), least.copy()
    nearest, lowest, minus_highest = (
        np.abs(values - level).min(axis=1),
        values.min(axis=1),
        -values.max(axis=1),
    )
    # A node is the same corner of one cell only, save on the border.
    for nodes in places:
        _lower(least, nodes, nearest)
        _lower(low, nodes, lowest)
        _lower(minus_high, nodes, minus_highest)
    hiding = (depth <= least) & (depth < -minus_high - low)
    return cells[hiding[places].any(axis=0) & ~_crossed(values, level)]


@functools.cache
def _interpolation() -> NDArray[np.float32]:
    """[27, 8] weights of a cell's corners at the nodes of its half-size children (x + 3 y + 9 z)."""
    places = np.stack(np.meshgrid(*[np.arange(3) / 2] * 3, indexing="ij"), axis=-1).reshape(-1, 3)[:, ::-1]
    weights = np.where(CORNERS[None] == 1, places[:, None], 1.0 - places[:, None])
    return weights.prod(axis=2).astype(np.float32)


def _predicted_children(values: NDArray[np.float32], level: float) -> NDArray[np.bool_]:
    """[C, 8] which children of cells with corner values [C, 8] the trilinear interpolant passes through."""
    inside = values @ _interpolation().T > level
    kept = np.empty(values.shape, dtype=bool)
    for child, offset in enumerate(CORNERS):
        nodes = (CORNERS + offset) @ np.array([1, 3, 9])
        labels = inside[:, nodes]
        kept[:, child] = labels.any(axis=1) & ~labels.all(axis=1)
    return kept


def _follow(
    store: NodeValues,
    lattice: Lattice,
    cells: NDArray[np.int64],
    values: NDArray[np.float32],
    stride: int,
    level: float,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return the crossed cells among ``cells`` and all crossed cells connected to them, with their corner values."""
    kept = _crossed(values, level)
    known, frontier, frontier_values = cells[kept], cells[kept], values[kept]
    all_values = frontier_values
    while len(frontier):
        across = lattice.next_across(frontier, frontier_values > level, stride)
        frontier = across[~contains(known, across)]
        if len(frontier) == 0:
            break
        frontier_values = store.of_cells(lattice, frontier, stride)
        places = np.searchsorted(known, frontier)
        known = np.insert(known, places, frontier)
        all_values = np.insert(all_values, places, frontier_values, axis=0)
    return known, all_values


def _first_stride(options: SurfaceOptions) -> int:
    stride = 1
    while options.resolution // (stride * 2) >= options.coarse_resolution:
        stride *= 2
    return stride


def _finest_cells(
    function: Field, lattice: Lattice, options: SurfaceOptions, seeds: Seeds, stats: SurfaceStats
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return the cells of edge 1 that the surface passes through, sorted, and their corner values."""
    sampler = _Sampler(function, lattice, options, stats, draft=True)
    store = NodeValues(sampler)
    stride = first = _first_stride(options)
    # The levels' strides are powers of two; other spacings are rounded down.
    search = (1 << min(options.search_stride, stride // 2).bit_length()) >> 1
    candidates = lattice.all_cells(stride)
    columns = silhouette_columns(lattice, seeds)
    while True:
        if stride == 1 and isinstance(function, DraftedField):
            # The draft's values end here; every corner of the mesh's cells is the field's own.
            sampler = _Sampler(function, lattice, options, stats)
            store = NodeValues(sampler)
        if stride == search and columns.any():
            uncovered = columns & ~footprint(lattice, candidates, stride)
            extra = search_columns(store, sampler, lattice, uncovered, stride, options.level)
            candidates = _union(candidates, extra)
        at_candidates = store.of_cells(lattice, candidates, stride)
        cells, values = _follow(store, lattice, candidates, at_candidates, stride, options.level)
        stats.cells[stride] = len(cells)
        if stride == 1:
            return cells, values
        boxed = np.zeros(0, dtype=np.int64)
        if stride >= _BOXED_STRIDE:
            boxed = boxed_cells(lattice, seeds.boxes_world, stride)
        specks = _specks(store, lattice, candidates, at_candidates, stride, options.level)
        if stride == first or stride >= _DILATED_STRIDE:
            near = candidates[_near(at_candidates, options.level)]
            whole = lattice.dilated(_union(cells, _union(near, specks)), stride)
            whole = _union(whole, boxed)
            candidates = lattice.children(whole, stride)
        else:
            predicted = lattice.children(cells, stride, _predicted_children(values, options.level))
            candidates = _union(predicted, lattice.children(_union(specks, boxed), stride))
        stride //= 2


def extract_surface_with_stats(
    function: Field,
    bounds_world: ArrayLike,
    options: SurfaceOptions | None = None,
    seeds: Seeds | None = None,
) -> tuple[Mesh, SurfaceStats]:
    """Extract a level set; see ``extract_surface``. Also returns what it cost."""
    options = options or SurfaceOptions()
    begin = time.perf_counter()
    lattice = Lattice.of_bounds(bounds_world, options.resolution)
    stats = SurfaceStats()
    cells, values = _finest_cells(function, lattice, options, seeds or Seeds(), stats)
    if len(cells) == 0:
        side = "empty" if stats.max_value <= options.level else "full"
        raise ReconstructionError(
            f"The field never crosses {options.level:g} (values from {stats.min_value:.3g} to {stats.max_value:.3g},"
            f" all {side}): check that image and mask show one whole person framed as in training, or train longer."
        )
    base, axis, fraction, faces = marching_cubes(cells, values, lattice.steps, options.level)
    index = lattice.indices(base).astype(np.float64)
    index[np.arange(len(index)), axis] += fraction
    stats.total_seconds = time.perf_counter() - begin
    return Mesh(vertices=lattice.origin_world + index * lattice.cell_world, faces=faces), stats


def extract_surface(
    function: Field,
    bounds_world: ArrayLike,
    options: SurfaceOptions | None = None,
    seeds: Seeds | None = None,
) -> Mesh:
    """Extract the level set of a field as a closed mesh.

    The field counts as outside on the border of the bounds, so that the mesh is closed there too.

    Args:
        function: maps [N, 3] points to [N] values, in world units; runs in inference mode.
        bounds_world: [2, 3] smallest and largest corner; cells are cubes.
        options: resolution, level, budget.
        seeds: silhouette and boxes where thin parts may hide; the dense evaluation's mesh is only guaranteed for
            parts that a coarse node meets, that are connected to such parts, or that a seed covers.

    Returns:
        The mesh, triangles facing outward, vertices shared, normals and colours left to the caller.

    Raises:
        ReconstructionError: the field never crosses the level, or is not finite.
    """
    return extract_surface_with_stats(function, bounds_world, options, seeds)[0]
