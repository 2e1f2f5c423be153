"""Residual image encoder of the colour networks (Johnson et al., ECCV 2016, without its upsampling half)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

from jiff.models.layers import image_layout, make_norm_2d

if TYPE_CHECKING:
    from jiff.models.config import ColorConfig


class ResnetBlock(nn.Module):
    """Two reflection-padded 3x3 convolutions with a shortcut; the encoder's last block ends without a norm."""

    def __init__(self, channels: int, norm: str, groups: int, last: bool) -> None:
        super().__init__()
        # Only the parameter-free instance norm leaves a bias something to do.
        bias = norm == "instance"
        layers: list[nn.Module] = [
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, 3, bias=bias),
            make_norm_2d(norm, channels, groups),
            nn.ReLU(inplace=True),
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, 3, bias=bias),
        ]
        if not last:
            layers.append(make_norm_2d(norm, channels, groups))
        self.conv_block = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, C, H, W] to the same shape."""
        return x + self.conv_block(x)


class ResnetFilter(nn.Module):
    """Image [B, 3, H, W] to features [B, 4 * ngf, H/4, W/4]."""

    def __init__(self, config: ColorConfig) -> None:
        super().__init__()
        norm, groups, width = config.norm_color, config.norm_groups, config.ngf
        bias = norm == "instance"
        layers: list[nn.Module] = [
            nn.ReflectionPad2d(3),
            nn.Conv2d(3, width, 7, bias=bias),
            make_norm_2d(norm, width, groups),
            nn.ReLU(inplace=True),
        ]
        for scale in (1, 2):
            layers += [
                nn.Conv2d(width * scale, width * scale * 2, 3, stride=2, padding=1, bias=bias),
                make_norm_2d(norm, width * scale * 2, groups),
                nn.ReLU(inplace=True),
            ]
        count = config.num_resnet_blocks
        layers += [ResnetBlock(width * 4, norm, groups, last=index == count - 1) for index in range(count)]
        if config.use_tanh:
            layers.append(nn.Tanh())
        self.model = nn.Sequential(*layers)

    def forward(self, images: Tensor) -> Tensor:
        """Encode [B, 3, H, W] in [-1, 1]."""
        return self.model(image_layout(images, self.training))
