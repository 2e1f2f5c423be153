"""A face's feature grid, whose last linear layer is applied to samples instead of cells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class FeatureGrid:
    """Feature grids before their last 1x1x1 convolution.

    The convolution and trilinear sampling can be exchanged. A face has some hundred points and a grid 64^3 cells with
    four times as many channels behind the convolution as before it, so points come first.

    Attributes:
        narrow: [B, C, D, H, W] with axes z, y, x.
        final: the convolution to C_out channels.
    """

    narrow: Tensor
    final: nn.Conv3d

    def dense(self) -> Tensor:
        """Return the grids as published, [B, C_out, D, H, W]."""
        wide: Tensor = self.final(self.narrow)
        return wide

    def sample(self, points_unit: Tensor, counts: list[int]) -> Tensor:
        """Sample the grids trilinearly, zero outside, at points that are listed item after item.

        Args:
            points_unit: [P, 3] in [0, 1], x, y, z.
            counts: points of each item; they add up to P.

        Returns:
            [P, C_out].
        """
        rows = []
        for item, points in zip(self.narrow, points_unit.split(counts), strict=True):
            where = (points * 2.0 - 1.0).reshape(1, 1, 1, -1, 3)
            sampled = functional.grid_sample(item[None], where, mode="bilinear", align_corners=False)
            rows.append(sampled[0, :, 0, 0].transpose(0, 1))
        values = functional.linear(torch.cat(rows), self.final.weight.flatten(1))
        if self.final.bias is None:
            return values
        # Half a cell from the border a part of the interpolated grid lies outside, where the bias is missing, too.
        size = points_unit.new_tensor(list(self.narrow.shape[:1:-1]))
        place = points_unit * size - 0.5
        inside = torch.minimum(place + 1.0, size - place).clamp(0.0, 1.0).prod(dim=1)
        return values + inside[:, None] * self.final.bias
