"""Stacked hourglass image encoder (Newell et al., ECCV 2016, in the form of PIFu)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn
from torch.nn import functional

from jiff.models.bicubic import resize_bicubic
from jiff.models.layers import ConvBlock, image_layout, make_norm_2d

if TYPE_CHECKING:
    from jiff.models.config import ShapeConfig


class Hourglass(nn.Module):
    """One recursive down-up module of constant width."""

    def __init__(self, depth: int, channels: int, norm: str, groups: int) -> None:
        super().__init__()
        self.depth = depth
        for level in range(depth, 0, -1):
            for name in ("b1", "b2", "b3"):
                self.add_module(f"{name}_{level}", ConvBlock(channels, channels, norm, groups))
        self.add_module("b2_plus_1", ConvBlock(channels, channels, norm, groups))

    def _run(self, level: int, x: Tensor) -> Tensor:
        upper = self.get_submodule(f"b1_{level}")(x)
        lower = self.get_submodule(f"b2_{level}")(functional.avg_pool2d(x, 2, stride=2))
        lower = self._run(level - 1, lower) if level > 1 else self.get_submodule("b2_plus_1")(lower)
        lower = self.get_submodule(f"b3_{level}")(lower)
        return upper + resize_bicubic(lower, *upper.shape[-2:])

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, C, H, W] to the same shape."""
        return self._run(self.depth, x)


class HourglassFilter(nn.Module):
    """Image to one feature map per stack, at a quarter of the image's size."""

    def __init__(self, config: ShapeConfig) -> None:
        super().__init__()
        width, groups, norm = config.filter_dim, config.norm_groups, config.norm
        stem, middle = width // 4, width // 2
        self.num_stack = config.num_stack
        self.conv1 = nn.Conv2d(3, stem, 7, stride=2, padding=3)
        self.bn1 = make_norm_2d(norm, stem, groups)
        self.conv2 = ConvBlock(stem, stem if config.hg_down == "conv64" else middle, norm, groups)
        self.down_conv2: nn.Module | None = None
        if config.hg_down == "conv64":
            self.down_conv2 = nn.Conv2d(stem, middle, 3, stride=2, padding=1)
        elif config.hg_down == "conv128":
            self.down_conv2 = nn.Conv2d(middle, middle, 3, stride=2, padding=1)
        self.conv3 = ConvBlock(middle, middle, norm, groups)
        self.conv4 = ConvBlock(middle, width, norm, groups)
        for stack in range(config.num_stack):
            self.add_module(f"m{stack}", Hourglass(config.num_hourglass, width, norm, groups))
            self.add_module(f"top_m_{stack}", ConvBlock(width, width, norm, groups))
            self.add_module(f"conv_last{stack}", nn.Conv2d(width, width, 1))
            self.add_module(f"bn_end{stack}", make_norm_2d(norm, width, groups))
            self.add_module(f"l{stack}", nn.Conv2d(width, config.hourglass_dim, 1))
            if stack < config.num_stack - 1:
                self.add_module(f"bl{stack}", nn.Conv2d(width, width, 1))
                self.add_module(f"al{stack}", nn.Conv2d(config.hourglass_dim, width, 1))

    def forward(self, images: Tensor) -> tuple[list[Tensor], Tensor]:
        """Encode images.

        Args:
            images: [B, 3, H, W] in [-1, 1]; H and W are multiples of ``4 * 2**num_hourglass``.

        Returns:
            One feature map [B, hourglass_dim, H/4, W/4] per stack, and the detached stem [B, filter_dim/4, H/2, W/2].
        """
        x = functional.relu(self.bn1(self.conv1(image_layout(images, self.training))))
        stem = x.detach()
        x = self.conv2(x)
        x = functional.avg_pool2d(x, 2, stride=2) if self.down_conv2 is None else self.down_conv2(x)
        previous = self.conv4(self.conv3(x))
        outputs = []
        for stack in range(self.num_stack):
            x = self.get_submodule(f"m{stack}")(previous)
            x = self.get_submodule(f"top_m_{stack}")(x)
            x = self.get_submodule(f"conv_last{stack}")(x)
            x = functional.relu(self.get_submodule(f"bn_end{stack}")(x))
            feature = self.get_submodule(f"l{stack}")(x)
            outputs.append(feature)
            if stack < self.num_stack - 1:
                back = self.get_submodule(f"al{stack}")(feature)
                previous = previous + self.get_submodule(f"bl{stack}")(x) + back
        return outputs, stem
