"""Reduce rows that share an index. Rows that no index names are 0."""

from __future__ import annotations

import torch
from torch import Tensor

from jiff.ops.backend import accelerator


def _check(values: Tensor, index: Tensor) -> None:
    if values.ndim != 2 or index.ndim != 1 or index.shape[0] != values.shape[0]:
        raise ValueError(
            f"values must be [P, C] and index [P]; got {tuple(values.shape)} and {tuple(index.shape)}."
        )
    if index.dtype != torch.int64:
        raise TypeError(f"index must be int64; got {index.dtype}.")


def scatter_mean_torch(values: Tensor, index: Tensor, size: int) -> Tensor:
    """Plain twin of ``scatter_mean``."""
    _check(values, index)
    total = values.new_zeros(size, values.shape[1]).index_add(0, index, values)
    count = values.new_zeros(size).index_add(0, index, values.new_ones(index.shape[0]))
    return total / count.clamp(min=1.0)[:, None]


def scatter_max_torch(values: Tensor, index: Tensor, size: int) -> Tensor:
    """Plain twin of ``scatter_max``; equal maxima share the gradient."""
    _check(values, index)
    target = values.new_zeros(size, values.shape[1])
    rows = index[:, None].expand_as(values)
    return target.scatter_reduce(0, rows, values, "amax", include_self=False)


def scatter_mean(
    values: Tensor,  # [P, C]
    index: Tensor,  # [P]
    size: int,
) -> Tensor:  # [size, C]
    """Average the rows of ``values`` that share an index.

    Args:
        values: rows to reduce, [P, C].
        index: int64 row of the result each belongs to, in [0, size), [P].
        size: rows of the result.

    Returns:
        Means, [size, C]; 0 where no index points.
    """
    module = accelerator("scatter_mean", values.is_cuda)
    if module is None:
        return scatter_mean_torch(values, index, size)
    _check(values, index)
    return module.scatter_mean(values, index, dim=0, dim_size=size)


def scatter_max(
    values: Tensor,  # [P, C]
    index: Tensor,  # [P]
    size: int,
) -> Tensor:  # [size, C]
    """Take the channel-wise maximum of the rows of ``values`` that share an index.

    Among equal maxima the gradient is shared by the twin and goes to one row with torch-scatter.

    Args:
        values: rows to reduce, [P, C].
        index: int64 row of the result each belongs to, in [0, size), [P].
        size: rows of the result.

    Returns:
        Maxima, [size, C]; 0 where no index points.
    """
    module = accelerator("scatter_max", values.is_cuda)
    if module is None:
        return scatter_max_torch(values, index, size)
    _check(values, index)
    return module.scatter_max(values, index, dim=0, dim_size=size)[0]
