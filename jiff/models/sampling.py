"""Projection of points and sampling of image and grid features."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def project(points_world: Tensor, calibs: Tensor) -> Tensor:
    """Project points into every view.

    Args:
        points_world: [B, N, 3].
        calibs: [B, V, 4, 4], world to NDC (orthographic).

    Returns:
        NDC, [B, V, N, 3].
    """
    if calibs.ndim != 4 or calibs.shape[-2:] != (4, 4) or calibs.shape[0] != points_world.shape[0]:
        raise ValueError(f"calibs must be [{points_world.shape[0]}, V, 4, 4]; got {tuple(calibs.shape)}.")
    linear, offset = calibs[..., :3, :3], calibs[..., :3, 3]
    return points_world[:, None] @ linear.transpose(-1, -2) + offset[:, :, None]


def inside_image(ndc: Tensor) -> Tensor:
    """Return whether each point [B, V, N, 3] lies within the frame of at least one view: bool [B, N]."""
    within = (ndc[..., :2] >= -1.0) & (ndc[..., :2] <= 1.0)
    return within.all(dim=-1).any(dim=1)


def sample_image(features: Tensor, ndc: Tensor) -> Tensor:
    """Sample feature maps bilinearly, zero outside (``align_corners=True``, as published).

    Args:
        features: [B * V, C, H, W].
        ndc: [B, V, N, 3] or [B, V, N, 2].

    Returns:
        [B, V, N, C].
    """
    batch, views, count = ndc.shape[:3]
    grid = ndc[..., :2].reshape(batch * views, 1, count, 2)
    sampled = functional.grid_sample(
        features, grid, mode="bilinear", padding_mode="zeros", align_corners=True
    )
    return sampled[:, :, 0].transpose(1, 2).reshape(batch, views, count, features.shape[1])


def sample_grid(grid: Tensor, points_unit: Tensor, counts: list[int]) -> Tensor:
    """Sample feature grids trilinearly at points that are listed item after item.

    Args:
        grid: [B, C, D, H, W] with axes z, y, x.
        points_unit: [P, 3] in [0, 1], x, y, z.
        counts: points of each item; they add up to P.

    Returns:
        [P, C].
    """
    rows = []
    for item, points in zip(grid, points_unit.split(counts), strict=True):
        where = (points * 2.0 - 1.0).reshape(1, 1, 1, -1, 3)
        sampled = functional.grid_sample(item[None], where, mode="bilinear", align_corners=False)
        rows.append(sampled[0, :, 0, 0].transpose(0, 1))
    return torch.cat(rows)
