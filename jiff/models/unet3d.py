"""3D U-Net over the face feature grid (Cicek et al., MICCAI 2016; norm-convolution-ReLU order)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from jiff.models.feature_grid import FeatureGrid


class SingleConv(nn.Module):
    """Group norm, 3x3x3 convolution, ReLU."""

    def __init__(self, in_channels: int, out_channels: int, groups: int) -> None:
        super().__init__()
        self.groupnorm = nn.GroupNorm(groups if in_channels >= groups else 1, in_channels)
        self.conv = nn.Conv3d(in_channels, out_channels, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, in, D, H, W] to [B, out, D, H, W]."""
        return functional.relu(self.conv(self.groupnorm(x)))


class DoubleConv(nn.Module):
    """Two single convolutions; an encoder's first one widens only half of the way."""

    def __init__(self, in_channels: int, out_channels: int, groups: int, encoder: bool) -> None:
        super().__init__()
        middle = max(out_channels // 2, in_channels) if encoder else out_channels
        self.SingleConv1 = SingleConv(in_channels, middle, groups)
        self.SingleConv2 = SingleConv(middle, out_channels, groups)

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, in, D, H, W] to [B, out, D, H, W]."""
        return self.SingleConv2(self.SingleConv1(x))


class Level(nn.Module):
    """Holds one level's convolutions under the published key name."""

    def __init__(self, in_channels: int, out_channels: int, groups: int, encoder: bool) -> None:
        super().__init__()
        self.basic_module = DoubleConv(in_channels, out_channels, groups, encoder)

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, in, D, H, W] to [B, out, D, H, W]."""
        return self.basic_module(x)


class UNet3d(nn.Module):
    """Max-pooled encoder, nearest-upsampled decoder with concatenation, 1x1x1 output without activation."""

    def __init__(self, in_channels: int, out_channels: int, maps: Sequence[int], groups: int) -> None:
        super().__init__()
        widths = [in_channels, *maps]
        self.encoders = nn.ModuleList(
            Level(narrow, wide, groups, encoder=True) for narrow, wide in pairwise(widths)
        )
        upward = list(reversed(maps))
        self.decoders = nn.ModuleList(
            Level(deep + shallow, shallow, groups, encoder=False) for deep, shallow in pairwise(upward)
        )
        self.final_conv = nn.Conv3d(maps[0], out_channels, 1)

    def forward(self, grid: Tensor) -> FeatureGrid:
        """Map [B, in, D, H, W], whose sides are multiples of 2**(levels - 1), to features of the same size."""
        skips: list[Tensor] = []
        x = grid.contiguous()
        for index, encoder in enumerate(self.encoders):
            if index > 0:
                x = functional.max_pool3d(x, 2)
            x = encoder(x)
            skips.append(x)
        for decoder, skip in zip(self.decoders, reversed(skips[:-1]), strict=True):
            x = functional.interpolate(x, size=skip.shape[-3:], mode="nearest")
            x = decoder(torch.cat((skip, x), dim=1))
        return FeatureGrid(x, self.final_conv)
