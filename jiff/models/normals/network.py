"""The network of normals: a photo and its mask to the normal of what each pixel shows, in the camera's frame.

A U-Net answers per pixel from the features of 2 x 2 pixels; what looks at the picture in its own size corrects that.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from jiff.models.normals.config import NormalConfig
from jiff.models.person.encoder import Encoder

IN_CHANNELS = 4
_FINE, _MIXED = 8, 16
"""Channels that look at the picture in its own size."""


def normals_picture(rgb: Tensor, mask: Tensor) -> Tensor:
    """Return [B, 4, H, W]: RGB on gray and the mask, all in [-1, 1].

    Args:
        rgb: [B, 3, H, W] in [0, 1].
        mask: [B, 1, H, W] in [0, 1].
    """
    return torch.cat([(rgb * 2 - 1) * mask, mask * 2 - 1], dim=1)


class NormalNetwork(Encoder):
    """See the module."""

    def __init__(self, config: NormalConfig) -> None:
        super().__init__(config.channels, 3 * 2 * 2, inputs=IN_CHANNELS)
        self.config = config
        self.fine = nn.Conv2d(IN_CHANNELS, _FINE, 3, 1, 1)
        self.mix = nn.Conv2d(_FINE + 3, _MIXED, 3, 1, 1)
        self.last = nn.Conv2d(_MIXED, 3, 3, 1, 1)

    def forward(self, picture: Tensor) -> Tensor:
        """Return normals of length one [B, 3, H, W] (x right, y up, z to the camera), those of nobody's pixels included.

        Args:
            picture: [B, 4, H, W] see ``normals_picture``; H and W are multiples of ``config.multiple``.

        Raises:
            ValueError: the picture is of another shape.
        """
        multiple = self.config.multiple
        shape = tuple(picture.shape)
        if len(shape) != 4 or shape[1] != IN_CHANNELS or shape[2] % multiple or shape[3] % multiple:
            raise ValueError(
                f"picture must be [B, {IN_CHANNELS}, H, W], sides multiples of {multiple}; got {list(shape)}."
            )
        coarse = functional.pixel_shuffle(super().forward(picture), 2)
        fine = functional.silu(self.fine(picture))
        change = self.last(functional.silu(self.mix(torch.cat([coarse, fine], dim=1))))
        return functional.normalize((coarse + change).float(), dim=1)


def normals_loss(found: Tensor, wanted: Tensor, counted: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the loss of answered normals and its parts: the difference, and half of one minus the cosine.

    Args:
        found: [B, 3, H, W] of length one.
        wanted: [B, 3, H, W] of length one where they count.
        counted: [B, 1, H, W] 1 for pixels that count, else 0.
    """
    count = counted.sum().clamp(min=1)
    difference = ((found - wanted).abs().sum(dim=1, keepdim=True) * counted).sum() / count
    turn = ((1 - (found * wanted).sum(dim=1, keepdim=True)) * counted).sum() / count
    return difference + 0.5 * turn, {"difference": difference.detach(), "turn": turn.detach()}


def mean_angle_deg(found: Tensor, wanted: Tensor, counted: Tensor) -> float:
    """Return the mean angle between normals, degrees; arguments as of ``normals_loss``, 0 where nothing counts."""
    # Half angles: the arc cosine of a rounded product knows no small angle.
    half = ((found - wanted).norm(dim=1, keepdim=True) / 2).clamp(max=1)
    angle = torch.rad2deg(2 * torch.asin(half))
    return float((angle * counted).sum() / counted.sum().clamp(min=1))
