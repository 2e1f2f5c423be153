"""Small shared layers: normalisation by name, the hourglass' residual block, weight initialisation."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from jiff.base.errors import ConfigError


def make_norm_2d(kind: str, channels: int, groups: int) -> nn.Module:
    """Return a 2D normalisation layer.

    Args:
        kind: "group" (affine), "batch" (affine, running statistics) or "instance" (no parameters, as published).
        channels: channels of its input.
        groups: groups of "group"; reduced to the greatest common divisor with ``channels``.

    Raises:
        ConfigError: unknown kind.
    """
    if kind == "group":
        return nn.GroupNorm(math.gcd(groups, channels), channels)
    if kind == "batch":
        return nn.BatchNorm2d(channels)
    if kind == "instance":
        return nn.InstanceNorm2d(channels, affine=False, track_running_stats=False)
    raise ConfigError(f"norm must be batch, group or instance; got {kind}.")


class ConvBlock(nn.Module):
    """Pre-activation residual block of three chained 3x3 convolutions whose outputs are concatenated.

    Widths are a half, a quarter and a quarter of ``out_channels`` (Bulat & Tzimiropoulos, ICCV 2017, as used by PIFu).
    """

    def __init__(self, in_channels: int, out_channels: int, norm: str, groups: int) -> None:
        super().__init__()
        half, quarter = out_channels // 2, out_channels // 4
        self.conv1 = nn.Conv2d(in_channels, half, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(half, quarter, 3, padding=1, bias=False)
        self.conv3 = nn.Conv2d(quarter, quarter, 3, padding=1, bias=False)
        self.bn1 = make_norm_2d(norm, in_channels, groups)
        self.bn2 = make_norm_2d(norm, half, groups)
        self.bn3 = make_norm_2d(norm, quarter, groups)
        self.bn4 = make_norm_2d(norm, in_channels, groups)
        self.downsample: nn.Sequential | None = None
        if in_channels != out_channels:
            # Published checkpoints hold this norm under both names; one module registered twice reads either.
            projection = nn.Conv2d(in_channels, out_channels, 1, bias=False)
            self.downsample = nn.Sequential(self.bn4, nn.ReLU(inplace=True), projection)
        else:
            # Present in published checkpoints, never used: no gradient will reach it.
            self.bn4.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, in, H, W] to [B, out, H, W]."""
        first = self.conv1(functional.relu(self.bn1(x)))
        second = self.conv2(functional.relu(self.bn2(first)))
        third = self.conv3(functional.relu(self.bn3(second)))
        residual = x if self.downsample is None else self.downsample(x)
        return torch.cat((first, second, third), dim=1) + residual


def initialize(module: nn.Module, scheme: str, generator: torch.Generator | None = None) -> None:
    """Fill every convolution and linear layer of ``module`` in place; biases become 0.

    Args:
        module: the network.
        scheme: "normal" is N(0, 0.02), as published; "kaiming" is fan-in scaled for rectifiers.
        generator: source of randomness; PyTorch's own when not given.
    """
    for layer in module.modules():
        if isinstance(layer, (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)):
            if scheme == "normal":
                nn.init.normal_(layer.weight, 0.0, 0.02, generator=generator)
            else:
                nn.init.kaiming_normal_(layer.weight, a=0.0, nonlinearity="relu", generator=generator)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        elif isinstance(layer, nn.BatchNorm2d) and scheme == "normal":
            nn.init.normal_(layer.weight, 1.0, 0.02, generator=generator)
            nn.init.zeros_(layer.bias)


def image_layout(images: Tensor, training: bool) -> Tensor:
    """Return ``images`` channels-last for training in float32, as usual otherwise.

    Evaluation keeps the usual layout because PyTorch's channels-last group norm on the CPU takes the variance in one
    float32 pass, which loses digits where the mean is large. So does bfloat16 training on the CPU: there the backward
    pass of a channels-last group norm takes ten times as long.
    """
    bfloat16 = images.device.type == "cpu" and torch.is_autocast_enabled("cpu")
    last = training and not bfloat16
    return images.contiguous(memory_format=torch.channels_last if last else torch.contiguous_format)
