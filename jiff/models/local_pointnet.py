"""Face encoder of the shape network: locally pooled PointNet scattered into a grid, then a 3D U-Net.

Peng et al., Convolutional Occupancy Networks (ECCV 2020), in the form of JIFF.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from jiff.models.feature_grid import FeatureGrid
from jiff.models.unet3d import UNet3d
from jiff.models.unit_cube import voxel_index
from jiff.ops.scatter import scatter_max, scatter_mean

if TYPE_CHECKING:
    from jiff.models.config import ShapeConfig


class ResnetBlockFC(nn.Module):
    """Pre-activation residual block of two linear layers with a projected shortcut."""

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        self.fc_0 = nn.Linear(in_features, out_features)
        self.fc_1 = nn.Linear(out_features, out_features)
        self.shortcut = nn.Linear(in_features, out_features, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map [P, in] to [P, out]."""
        return self.shortcut(x) + self.fc_1(functional.relu(self.fc_0(functional.relu(x))))


def scatter_to_grid(features: Tensor, index: Tensor, batch: int, resolution: int) -> Tensor:
    """Average point features [P, C] into the cells ``index`` [P] of a batch of grids: [B, C, R, R, R] (z, y, x)."""
    cells = resolution**3
    filled, inverse = torch.unique(index, return_inverse=True)
    grid = features.new_zeros(batch * cells, features.shape[1])
    grid = grid.index_copy(0, filled, scatter_mean(features, inverse, filled.shape[0]))
    # Channels-first in memory, too: group norm in 3D is several times slower channels-last on the CPU.
    return grid.reshape(batch, resolution, resolution, resolution, -1).permute(0, 4, 1, 2, 3).contiguous()


class LocalPoolPointnet(nn.Module):
    """Vertices in the unit cube to a feature grid."""

    def __init__(self, config: ShapeConfig) -> None:
        super().__init__()
        hidden = config.face_hidden_dim
        self.resolution = config.grid_resolution
        self.fc_pos = nn.Linear(3, 2 * hidden)
        self.blocks = nn.ModuleList(ResnetBlockFC(2 * hidden, hidden) for _ in range(config.face_blocks))
        self.fc_c = nn.Linear(hidden, config.face_dim)
        self.unet3d = UNet3d(config.face_dim, config.mlp_dim_3d[0], config.unet_maps, config.unet_groups)

    def forward(self, points_unit: Tensor, batch_index: Tensor, batch: int) -> FeatureGrid:
        """Encode the vertices of a batch, listed item after item.

        Args:
            points_unit: [M, 3] in [0, 1).
            batch_index: item of each, [M].
            batch: number of items; one without vertices gets the U-Net's answer to an empty grid.

        Returns:
            Grids [B, C, R, R, R] with axes z, y, x.
        """
        index = voxel_index(points_unit, batch_index, self.resolution)
        filled, voxel = torch.unique(index, return_inverse=True)
        x = self.fc_pos(points_unit)
        for number, block in enumerate(self.blocks):
            if number > 0:
                x = torch.cat((x, scatter_max(x, voxel, filled.shape[0])[voxel]), dim=1)
            x = block(x)
        return self.unet3d(scatter_to_grid(self.fc_c(x), index, batch, self.resolution))
