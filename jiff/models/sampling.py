"""Projection of points and sampling of image features."""

from __future__ import annotations

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
