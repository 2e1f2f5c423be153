"""Face encoder of the fine colour network: PointNet++ on coloured vertices, then a 3D U-Net.

Qi et al., PointNet++ (NeurIPS 2017). Batch normalisation takes its statistics per subject, as in published training
with one subject per step, so that a batch gives the same features as single runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from jiff.models.feature_grid import FeatureGrid
from jiff.models.local_pointnet import scatter_to_grid
from jiff.models.unet3d import UNet3d
from jiff.models.unit_cube import voxel_index
from jiff.ops.neighbors import ball_query, farthest_point_sample, gather_points, knn

if TYPE_CHECKING:
    from jiff.models.config import ColorConfig


class SetAbstraction(nn.Module):
    """Group neighbours around sampled points and pool an MLP over each group; without radius, over all points."""

    def __init__(
        self, in_channels: int, widths: Sequence[int], count: int, radius: float | None, k: int
    ) -> None:
        super().__init__()
        self.count, self.radius, self.k = count, radius, k
        channels = [in_channels, *widths]
        self.mlp_convs = nn.ModuleList(nn.Conv2d(a, b, 1) for a, b in zip(channels, widths, strict=False))
        self.mlp_bns = nn.ModuleList(nn.BatchNorm2d(width) for width in widths)

    def forward(self, positions: Tensor, features: Tensor) -> tuple[Tensor, Tensor]:
        """Map positions [1, N, 3] and features [1, N, C] to those of the sampled points."""
        if self.radius is None:
            centers = positions.new_zeros(1, 1, 3)
            grouped = torch.cat((positions, features), dim=-1)[:, None]
        else:
            centers = gather_points(positions, farthest_point_sample(positions, self.count))
            index = ball_query(centers, positions, self.radius, self.k)
            offsets = gather_points(positions, index) - centers[:, :, None]
            grouped = torch.cat((offsets, gather_points(features, index)), dim=-1)
        x = grouped.permute(0, 3, 2, 1)
        for conv, norm in zip(self.mlp_convs, self.mlp_bns, strict=True):
            x = functional.relu(norm(conv(x)))
        return centers, x.amax(dim=2).transpose(1, 2)


class FeaturePropagation(nn.Module):
    """Interpolate features of sparse points at dense ones by the inverse squared distance to the nearest three."""

    def __init__(self, in_channels: int, widths: Sequence[int]) -> None:
        super().__init__()
        channels = [in_channels, *widths]
        self.mlp_convs = nn.ModuleList(nn.Conv1d(a, b, 1) for a, b in zip(channels, widths, strict=False))
        self.mlp_bns = nn.ModuleList(nn.BatchNorm1d(width) for width in widths)

    def forward(self, dense: Tensor, sparse: Tensor, skipped: Tensor | None, features: Tensor) -> Tensor:
        """Return features [1, N, C] at ``dense`` [1, N, 3] from those at ``sparse`` [1, S, 3]."""
        if sparse.shape[1] == 1:
            x = features.expand(-1, dense.shape[1], -1)
        else:
            squared, index = knn(dense, sparse, min(3, sparse.shape[1]))
            weight = 1.0 / (squared + 1e-8)
            weight = weight / weight.sum(dim=-1, keepdim=True)
            x = (gather_points(features, index) * weight[..., None]).sum(dim=2)
        if skipped is not None:
            x = torch.cat((skipped, x), dim=-1)
        x = x.transpose(1, 2)
        for conv, norm in zip(self.mlp_convs, self.mlp_bns, strict=True):
            x = functional.relu(norm(conv(x)))
        return x.transpose(1, 2)


class PointNet2(nn.Module):
    """Two set abstractions, a global one, and the way back to a feature per vertex."""

    def __init__(self, config: ColorConfig, in_channels: int = 6) -> None:
        super().__init__()
        width = config.pointnet2_width
        (count_1, count_2), (k_1, k_2) = config.pointnet2_points, config.pointnet2_neighbors
        radius_1, radius_2 = config.pointnet2_radii
        self.sa1 = SetAbstraction(in_channels + 3, (width, width, 2 * width), count_1, radius_1, k_1)
        self.sa2 = SetAbstraction(2 * width + 3, (2 * width, 2 * width, 4 * width), count_2, radius_2, k_2)
        self.sa3 = SetAbstraction(4 * width + 3, (4 * width, 8 * width, 16 * width), 1, None, 0)
        self.fp3 = FeaturePropagation(20 * width, (4 * width, 4 * width))
        self.fp2 = FeaturePropagation(6 * width, (4 * width, 2 * width))
        self.fp1 = FeaturePropagation(2 * width, (2 * width, 2 * width, config.face_dim))

    def forward(self, vertices: Tensor) -> Tensor:
        """Map one subject's vertices [M, 6] (unit cube, RGB) to features [M, face_dim]."""
        features = vertices[None]
        positions = features[..., :3]
        positions_1, features_1 = self.sa1(positions, features)
        positions_2, features_2 = self.sa2(positions_1, features_1)
        positions_3, features_3 = self.sa3(positions_2, features_2)
        features_2 = self.fp3(positions_2, positions_3, features_2, features_3)
        features_1 = self.fp2(positions_1, positions_2, features_1, features_2)
        return self.fp1(positions, positions_1, None, features_1)[0]


class PointNet2Filter(nn.Module):
    """Coloured vertices in the unit cube to a feature grid."""

    def __init__(self, config: ColorConfig) -> None:
        super().__init__()
        self.resolution = config.grid_resolution
        self.face_dim = config.face_dim
        self.pointnetpp = PointNet2(config)
        self.unet3d = UNet3d(
            config.face_dim, config.mlp_dim_3d_color[0], config.unet_maps, config.unet_groups
        )

    def forward(self, points_unit: Tensor, colors: Tensor, counts: Sequence[int]) -> FeatureGrid:
        """Encode the vertices of a batch, listed item after item.

        Args:
            points_unit: [M, 3] in [0, 1).
            colors: RGB in [0, 1], [M, 3].
            counts: vertices of each item.

        Returns:
            Grids [B, C, R, R, R] with axes z, y, x.
        """
        clouds = torch.cat((points_unit, colors), dim=1).split(list(counts))
        features = [
            self.pointnetpp(cloud) if len(cloud) else cloud.new_zeros(0, self.face_dim) for cloud in clouds
        ]
        items = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(list(counts)))
        index = voxel_index(points_unit, items.to(points_unit.device), self.resolution)
        return self.unet3d(scatter_to_grid(torch.cat(features), index, len(counts), self.resolution))
