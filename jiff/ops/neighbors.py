"""Neighbours among point clouds: k nearest, farthest-point sampling, fixed-radius groups."""

from __future__ import annotations

import torch
from torch import Tensor

from jiff.ops.backend import accelerator

_CHUNK_ELEMENTS = 1 << 24


def _check_clouds(**clouds: Tensor) -> None:
    for name, cloud in clouds.items():
        if cloud.ndim != 3:
            raise ValueError(f"{name} must be [B, N, D]; got {tuple(cloud.shape)}.")
    shapes = {(cloud.shape[0], cloud.shape[2]) for cloud in clouds.values()}
    if len(shapes) > 1:
        raise ValueError(f"{' and '.join(clouds)} must agree in batch and dimension; got {sorted(shapes)}.")


def _squared_distances(queries: Tensor, points: Tensor) -> Tensor:
    # Differences, not the expanded square: the latter loses digits that decide ties and radii.
    return (queries[:, :, None] - points[:, None]).square().sum(dim=-1)


def knn_torch(queries: Tensor, points: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Plain twin of ``knn``."""
    _check_clouds(queries=queries, points=points)
    if not 1 <= k <= points.shape[1]:
        raise ValueError(f"k must be in 1..{points.shape[1]}; got {k}.")
    rows = max(1, _CHUNK_ELEMENTS // max(1, points.shape[0] * points.shape[1] * points.shape[2]))
    with torch.no_grad():
        parts = [
            _squared_distances(part, points).topk(k, dim=-1, largest=False).indices
            for part in queries.split(rows, dim=1)
        ]
        index = torch.cat(parts, dim=1)
    neighbours = gather_points(points, index)
    return (queries[:, :, None] - neighbours).square().sum(dim=-1), index


def farthest_point_sample_torch(points: Tensor, count: int, start: int = 0) -> Tensor:
    """Plain twin of ``farthest_point_sample``."""
    _check_clouds(points=points)
    if points.shape[1] == 0 or not 0 <= start < points.shape[1]:
        raise ValueError(f"start must be in 0..{points.shape[1] - 1}; got {start}.")
    batch = torch.arange(points.shape[0], device=points.device)
    chosen = torch.zeros(points.shape[0], count, dtype=torch.int64, device=points.device)
    with torch.no_grad():
        nearest = torch.full(points.shape[:2], torch.inf, dtype=points.dtype, device=points.device)
        current = torch.full_like(batch, start)
        for step in range(count):
            chosen[:, step] = current
            distance = (points - points[batch, current][:, None]).square().sum(dim=-1)
            nearest = torch.minimum(nearest, distance)
            current = nearest.argmax(dim=-1)
    return chosen


def ball_query_torch(queries: Tensor, points: Tensor, radius: float, k: int) -> Tensor:
    """Plain twin of ``ball_query``."""
    _check_clouds(queries=queries, points=points)
    if k < 1 or points.shape[1] == 0:
        raise ValueError(f"k and the number of points must be at least 1; got {k} and {points.shape[1]}.")
    count = points.shape[1]
    order = torch.arange(count, device=points.device)
    rows = max(1, _CHUNK_ELEMENTS // (points.shape[0] * count * points.shape[2]))
    parts = []
    with torch.no_grad():
        for part in queries.split(rows, dim=1):
            distance = _squared_distances(part, points)
            rank = torch.where(distance <= radius**2, order, count)
            index = rank.topk(min(k, count), dim=-1, largest=False, sorted=True).values
            # A query with an empty ball takes its nearest point, so that every index is valid.
            first = torch.where(
                index[..., :1] == count, distance.argmin(dim=-1, keepdim=True), index[..., :1]
            )
            index = torch.where(index == count, first, index)
            if k > count:
                index = torch.cat((index, first.expand(*index.shape[:2], k - count)), dim=-1)
            parts.append(index)
    return torch.cat(parts, dim=1)


def gather_points(values: Tensor, index: Tensor) -> Tensor:
    """Return rows of ``values`` [B, N, D] at ``index`` [B, ...]: [B, ..., D]."""
    flat = index.reshape(index.shape[0], -1)
    rows = torch.gather(values, 1, flat[..., None].expand(-1, -1, values.shape[-1]))
    return rows.reshape(*index.shape, values.shape[-1])


def knn(
    queries: Tensor,  # [B, Q, D]
    points: Tensor,  # [B, N, D]
    k: int,
) -> tuple[Tensor, Tensor]:  # [B, Q, k], [B, Q, k]
    """Find the ``k`` nearest points of each query, nearest first.

    Args:
        queries: [B, Q, D].
        points: [B, N, D].
        k: in 1..N.

    Returns:
        Squared distances [B, Q, k], differentiable in both clouds, and int64 indices into ``points``.
    """
    module = accelerator("knn", queries.is_cuda)
    if module is None:
        return knn_torch(queries, points, k)
    from pytorch3d.ops import knn_points

    result = knn_points(queries, points, K=k, return_sorted=True)
    return result.dists, result.idx


def farthest_point_sample(
    points: Tensor,  # [B, N, D]
    count: int,
    start: int = 0,
) -> Tensor:  # [B, count]
    """Choose points one after another, each the farthest from those chosen (PointNet++, NeurIPS 2017, Sec. 3.2).

    When ``count`` exceeds the number of distinct points, some are chosen again.

    Args:
        points: [B, N, D].
        count: number to choose.
        start: index of the first.

    Returns:
        int64 indices, [B, count].
    """
    module = accelerator("farthest_point_sample", points.is_cuda)
    # pytorch3d starts at 0 or at random, and pads with -1 past N.
    if module is None or start != 0 or count > points.shape[1]:
        return farthest_point_sample_torch(points, count, start)
    from pytorch3d.ops import sample_farthest_points

    return sample_farthest_points(points, K=count, random_start_point=False)[1]


def ball_query(
    queries: Tensor,  # [B, Q, D]
    points: Tensor,  # [B, N, D]
    radius: float,
    k: int,
) -> Tensor:  # [B, Q, k]
    """Return the first ``k`` points, by index, within ``radius`` of each query.

    Where there are fewer, the first found is repeated; where there is none, the nearest point.

    Args:
        queries: [B, Q, D].
        points: [B, N, D].
        radius: in the units of the points, borders included.
        k: group size.

    Returns:
        int64 indices into ``points``, [B, Q, k].
    """
    module = accelerator("ball_query", queries.is_cuda)
    if module is None:
        return ball_query_torch(queries, points, radius, k)
    from pytorch3d.ops import ball_query as accelerated

    index = accelerated(queries, points, K=k, radius=radius, return_nn=False).idx
    first = index[..., :1]
    nearest = knn(queries, points, 1)[1]
    first = torch.where(first < 0, nearest, first)
    return torch.where(index < 0, first, index)
