"""The coarse colour network (``netC`` coarse of JIFF, ``netC`` of PIFu): RGB at surface points."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from jiff.models.config import ColorConfig
from jiff.models.layers import initialize
from jiff.models.mlp import SurfaceClassifier
from jiff.models.resnet_filter import ResnetFilter
from jiff.models.sampling import project, sample_image
from jiff.models.shape import ShapeFeatures


@dataclass(frozen=True)
class ColorCoarseFeatures:
    """The shape network's last feature map and the network's own, each [B * V, C, H, W], and V."""

    shape: Tensor
    own: Tensor
    views: int


@dataclass(frozen=True)
class ColorCoarsePrediction:
    """RGB in [-1, 1], [B, N, 3], and phi, the middle activation that the fine network receives, [B, N, C]."""

    rgb: Tensor
    phi: Tensor


class ColorCoarseNetwork(nn.Module):
    """Colour from the frozen shape feature, an own image feature and depth."""

    def __init__(self, config: ColorConfig) -> None:
        super().__init__()
        self.config = config
        self.image_filter = ResnetFilter(config)
        self.surface_classifier = SurfaceClassifier(
            (config.coarse_dim, *config.mlp_dim_color[1:]), config.no_residual
        )
        initialize(self, config.init)

    def encode(self, images: Tensor, shape_features: ShapeFeatures) -> ColorCoarseFeatures:
        """Extract image features.

        Args:
            images: the image that the shape network saw, [B, V, 3, H, W] in [-1, 1].
            shape_features: from the frozen ``ShapeNetwork.encode``.

        Returns:
            Features for ``query``.
        """
        return ColorCoarseFeatures(
            shape_features.images[-1].detach(), self.image_filter(images.flatten(0, 1)), images.shape[1]
        )

    def query(
        self, feats: ColorCoarseFeatures, points_world: Tensor, calibs: Tensor
    ) -> ColorCoarsePrediction:
        """Predict colour.

        Args:
            feats: from ``encode``.
            points_world: surface points, [B, N, 3], frontal world units.
            calibs: [B, V, 4, 4], world to NDC.

        Returns:
            RGB and phi.
        """
        ndc = project(points_world, calibs)
        depth = ndc[..., 2:] * self.config.depth_scale
        pixel = torch.cat((sample_image(feats.shape, ndc), sample_image(feats.own, ndc), depth), dim=-1)
        values, phi = self.surface_classifier(pixel.transpose(0, 1).flatten(1, 2))
        shape = points_world.shape[:2]
        return ColorCoarsePrediction(torch.tanh(values).unflatten(0, shape), phi.unflatten(0, shape))

    def loss(self, pred: ColorCoarsePrediction, rgb: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the mean error of ``pred`` against ``rgb`` [B, N, 3] in [-1, 1], and {"body"} (detached)."""
        loss = color_error(pred.rgb, rgb, self.config.color_loss_type).mean()
        return loss, {"body": loss.detach()}


def color_error(predicted: Tensor, target: Tensor, kind: str) -> Tensor:
    """Return the error of each colour, [...]: mean absolute ("l1") or squared ("mse") difference of the channels."""
    difference = predicted - target
    return (difference.abs() if kind == "l1" else difference.square()).mean(dim=-1)
