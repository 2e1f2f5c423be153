"""A U-Net from a picture with the maps of a body to a feature per 2 x 2 pixels (Ronneberger et al., MICCAI 2015)."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

IN_CHANNELS = 11
_GROUP = 8


def _norm(channels: int) -> nn.GroupNorm:
    groups = max(1, channels // _GROUP)
    while channels % groups:
        groups -= 1
    return nn.GroupNorm(groups, channels)


class _Block(nn.Module):
    """Two convolutions around a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm1 = _norm(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norm2 = _norm(outputs)
        plain = stride == 1 and inputs == outputs
        # Every second pixel is picked by hand: PyTorch 2.13 writes beyond its memory where channels-last 1 x 1 convolutions
        # with a stride go back over 8 channels on the processor.
        self._stride = stride
        self.short = nn.Identity() if plain else nn.Conv2d(inputs, outputs, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y = functional.silu(self.norm1(self.conv1(x)))
        short = self.short(x[..., :: self._stride, :: self._stride])
        return functional.silu(self.norm2(self.conv2(y)) + short)


class Encoder(nn.Module):
    """See the module.

    Args:
        channels: per level; the first is at half the picture's size.
        outputs: channels of the feature.
        inputs: channels of the picture.
    """

    def __init__(self, channels: Sequence[int], outputs: int, inputs: int = IN_CHANNELS) -> None:
        super().__init__()
        self.stem = nn.Conv2d(inputs, channels[0], 5, 2, 2, bias=False)
        self.stem_norm = _norm(channels[0])
        self.down = nn.ModuleList(_Block(a, b, 2) for a, b in itertools.pairwise(channels))
        self.deep = _Block(channels[-1], channels[-1])
        self.up = nn.ModuleList(_Block(a + b, b) for a, b in zip(channels[:0:-1], channels[-2::-1]))
        self.out = nn.Conv2d(channels[0], outputs, 1)

    def forward(self, picture: Tensor) -> Tensor:
        """Return features [B, outputs, S/2, S/2] of pictures [B, inputs, S, S]."""
        x = functional.silu(self.stem_norm(self.stem(picture)))
        kept = [x]
        for block in self.down:
            x = block(x)
            kept.append(x)
        x = self.deep(kept.pop())
        for block in self.up:
            skip = kept.pop()
            x = functional.interpolate(x, scale_factor=2.0, mode="nearest")
            x = block(torch.cat([x, skip], dim=1))
        features: Tensor = self.out(x)
        return features
