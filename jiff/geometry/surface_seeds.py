"""Where a surface may hide between the nodes of a coarse grid: the person's silhouette and given boxes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from jiff.geometry.lattice import Lattice, NodeValues, contains, sorted_unique

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jiff.geometry.camera import Camera

_POINTS_AT_ONCE = 262_144
"""So many nodes are searched before those outside are forgotten."""


@dataclass(frozen=True)
class Seeds:
    """Where a thin part may hide between coarse nodes.

    Attributes:
        silhouette: [H, W] bool, the person as seen by ``camera``; None for no search.
        camera: a camera that looks along -z without turn.
        boxes_world: [2, 3] low and high corners that are refined whatever the coarse level says (the face).
    """

    silhouette: NDArray[np.bool_] | None = None
    camera: Camera | None = None
    boxes_world: tuple[NDArray[np.float64], ...] = ()


def footprint(lattice: Lattice, cells: NDArray[np.int64], stride: int) -> NDArray[np.bool_]:
    """[X, Y] columns of finest cells that cells of edge ``stride`` stand in."""
    nx, ny, _ = lattice.counts
    coarse = np.zeros((-(-nx // stride), -(-ny // stride)), dtype=bool)
    index = lattice.indices(cells) // stride
    coarse[index[:, 0], index[:, 1]] = True
    return coarse.repeat(stride, axis=0).repeat(stride, axis=1)[:nx, :ny]


def silhouette_columns(lattice: Lattice, seeds: Seeds) -> NDArray[np.bool_]:
    """[X, Y] columns of finest cells whose centre is seen in the silhouette."""
    nx, ny, _ = lattice.counts
    if seeds.silhouette is None or seeds.camera is None:
        return np.zeros((nx, ny), dtype=bool)
    x = lattice.origin_world[0] + (np.arange(nx) + 0.5) * lattice.cell_world
    y = lattice.origin_world[1] + (np.arange(ny) + 0.5) * lattice.cell_world
    points = np.stack(np.broadcast_arrays(x[:, None], y, 0.0), axis=-1)
    height, width = seeds.silhouette.shape
    pixel = np.floor(seeds.camera.with_size(width).world_to_pixel(points)).astype(np.int64)
    within = (pixel >= 0).all(-1) & (pixel[..., 0] < width) & (pixel[..., 1] < height)
    pixel = np.where(within[..., None], pixel, 0)
    return within & seeds.silhouette[pixel[..., 1], pixel[..., 0]]


def search_columns(
    store: NodeValues,
    evaluate: Callable[[NDArray[np.int64]], NDArray[np.float32]],
    lattice: Lattice,
    columns: NDArray[np.bool_],
    stride: int,
    level: float,
) -> NDArray[np.int64]:
    """Return cells of edge ``stride`` around the inside nodes met in columns [X, Y], looking every ``stride`` cells."""
    nx, ny, nz = lattice.counts
    padded = np.zeros((-(-nx // stride) * stride, -(-ny // stride) * stride), dtype=bool)
    padded[:nx, :ny] = columns
    blocks = padded.reshape(padded.shape[0] // stride, stride, padded.shape[1] // stride, stride)
    wanted = np.argwhere(blocks.any(axis=(1, 3)))
    heights = np.arange(stride, nz, stride)
    found = [np.zeros(0, dtype=np.int64)]
    if len(heights) == 0:
        return found[0]
    per_batch = max(1, _POINTS_AT_ONCE // len(heights))
    for low in range(0, len(wanted), per_batch):
        part = wanted[low : low + per_batch] * stride
        index = np.concatenate(
            [
                np.repeat(part, len(heights), axis=0),
                np.tile(heights, len(part))[:, None],
            ],
            axis=1,
        )
        keys = lattice.keys(index)
        keys = keys[~contains(store.keys, keys)]
        values = evaluate(keys)
        inside = values > level
        store.add(keys[inside], values[inside])
        found.append(keys[inside])
    # A node is a corner of the eight cells around it; the one that starts there and its neighbours cover them.
    nodes = np.concatenate(found)
    return lattice.dilated(nodes, stride) if len(nodes) else nodes


def boxed_cells(lattice: Lattice, boxes: tuple[NDArray[np.float64], ...], stride: int) -> NDArray[np.int64]:
    """Keys of cells of edge ``stride`` that meet one of the boxes, sorted."""
    found = [np.zeros(0, dtype=np.int64)]
    for box in boxes:
        corner = (np.asarray(box, dtype=np.float64) - lattice.origin_world) / lattice.cell_world / stride
        low = np.maximum(np.floor(np.nan_to_num(corner[0], neginf=-1e6)), 0).astype(np.int64)
        high = np.floor(np.nan_to_num(corner[1], posinf=1e6)).astype(np.int64)
        last = (np.array(lattice.counts) - 1) // stride
        axes = [np.arange(a, b + 1) * stride for a, b in zip(low, np.minimum(high, last))]
        grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
        found.append(lattice.keys(grid))
    return sorted_unique(np.concatenate(found))
