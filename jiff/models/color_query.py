"""Evaluation of the colour networks at many surface points of one view.

Image features are sampled bilinearly and then multiplied by weights; both are linear, so the weights can come first:
each pixel of the feature map is multiplied once, and points sample the products. A mesh has many points per pixel of
the map, and the part of a layer that sees the image is the larger one. For evaluation only.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from jiff.models.color_coarse import ColorCoarseFeatures, ColorCoarseNetwork
from jiff.models.color_fine import ColorFineFeatures, ColorFineNetwork
from jiff.models.mlp import LEAKY_SLOPE, Layer
from jiff.models.sampling import project, sample_grid, sample_image

_LEAST_POINTS = 4096
"""Fewer points than this are not worth the products of the map."""


class MapProducts:
    """Products of layers with the feature maps of one view, for the pixels that some points touch.

    Args:
        maps: feature maps [1, C, H, W] of one size, whose channels follow each other in the layers' input.
        weight: [O, C in total].
        xy_ndc: [P, 2] all points that will be asked for.
    """

    def __init__(self, maps: Sequence[Tensor], weight: Tensor, xy_ndc: Tensor) -> None:
        self.height, self.width = maps[0].shape[-2:]
        used, inverse = torch.unique(self._corners(xy_ndc)[0], return_inverse=True)
        rows = torch.cat([item[0].flatten(1)[:, used] for item in maps]).t()
        self.table = functional.linear(rows, weight)
        self.rows = inverse
        self.shares = self._corners(xy_ndc)[1]

    def _corners(self, xy_ndc: Tensor) -> tuple[Tensor, Tensor]:
        """Return the four pixels around each point, [P, 4], and their weights (``align_corners=True``)."""
        x = ((xy_ndc[:, 0] + 1) / 2 * (self.width - 1)).clamp(0, self.width - 1)
        y = ((xy_ndc[:, 1] + 1) / 2 * (self.height - 1)).clamp(0, self.height - 1)
        left, top = x.floor().clamp(max=self.width - 2), y.floor().clamp(max=self.height - 2)
        s, t = x - left, y - top
        first = (top * self.width + left).long()
        index = torch.stack((first, first + 1, first + self.width, first + self.width + 1), dim=1)
        return index, torch.stack(((1 - s) * (1 - t), s * (1 - t), (1 - s) * t, s * t), dim=1)

    def sample(self, low: int, high: int) -> Tensor:
        """Return the products [high - low, O] at points ``low`` to ``high``."""
        return functional.embedding_bag(
            self.rows[low:high], self.table, mode="sum", per_sample_weights=self.shares[low:high]
        )


class _Weights:
    """The layers of a surface classifier, their input split into image, point and depth channels."""

    def __init__(self, layers: Sequence[Layer], image: int, point: int, dtype: torch.dtype) -> None:
        width = image + point + 1
        inputs = [
            layer.input_weight
            if layer.input_weight.shape[1]
            else layer.bias.new_zeros(len(layer.bias), width)
            for layer in layers
        ]
        stacked = torch.cat(list(inputs)).detach()
        self.image = stacked[:, :image].contiguous()
        self.point = stacked[:, image : image + point].t().to(dtype).contiguous()
        self.depth = stacked[:, -1].contiguous()
        self.bias = torch.cat([layer.bias for layer in layers]).detach()
        self.sizes = [len(layer.bias) for layer in layers]
        self.hidden = [
            None if layer.hidden_weight is None else layer.hidden_weight.detach().t().to(dtype).contiguous()
            for layer in layers
        ]
        self.dtype = dtype

    def run(self, products: Tensor, depth: Tensor, point: Tensor | None) -> list[Tensor]:
        """Return every layer's activation; ``products`` [P, O] are those with the image."""
        products.addr_(depth, self.depth).add_(self.bias)
        if point is not None:
            if self.dtype == torch.float32:
                products.addmm_(point, self.point)
            else:
                products += torch.mm(point.to(self.dtype), self.point)
        outputs: list[Tensor] = []
        for index, (term, weight) in enumerate(zip(products.split(self.sizes, dim=1), self.hidden)):
            y = term
            if outputs and weight is not None:
                last = outputs[-1]
                if self.dtype == torch.float32:
                    y = torch.addmm(term, last, weight)
                else:
                    y = term + torch.mm(last.to(self.dtype), weight)
            outputs.append(y if index == len(self.sizes) - 1 else functional.leaky_relu(y, LEAKY_SLOPE))
        return outputs


class ColorQuery:
    """Colours of one subject seen in one view; equals the networks' own ``query`` up to rounding.

    Args:
        coarse_network: in evaluation mode.
        coarse: its features.
        fine_network: None gives coarse colours.
        fine: its features.
        calib: [4, 4], world to NDC.
        dtype: of products with hidden activations.
        max_chunk: points at a time.
    """

    def __init__(
        self,
        coarse_network: ColorCoarseNetwork,
        coarse: ColorCoarseFeatures,
        fine_network: ColorFineNetwork | None,
        fine: ColorFineFeatures | None,
        calib: Tensor,
        dtype: torch.dtype,
        max_chunk: int,
    ) -> None:
        self.coarse_network, self.coarse, self.calib, self.max_chunk = (
            coarse_network,
            coarse,
            calib,
            max_chunk,
        )
        self.fine_network = fine_network if fine is not None else None
        self.fine = fine if fine_network is not None else None
        width = coarse.shape.shape[1] + coarse.own.shape[1]
        self.weights = _Weights(coarse_network.surface_classifier.layers(), width, 0, dtype)
        self.fine_weights: _Weights | None = None
        if self.fine_network is not None and fine is not None:
            width = fine.images.shape[1]
            phi = self.fine_network.config.phi_dim
            self.fine_weights = _Weights(self.fine_network.surface_classifier.layers(), width, phi, dtype)

    @staticmethod
    def suits(coarse: ColorCoarseFeatures, points: int) -> bool:
        """Return whether the features are of one subject in one view with maps of one size, and the points many."""
        same = coarse.shape.shape[-2:] == coarse.own.shape[-2:] and min(coarse.own.shape[-2:]) > 1
        return same and coarse.views == 1 and coarse.own.shape[0] == 1 and points >= _LEAST_POINTS

    @torch.inference_mode()
    def __call__(self, points_world: Tensor) -> Tensor:
        """Return RGB in [-1, 1], [P, 3], of points [P, 3] inside the view (others take the colours of its border)."""
        ndc = points_world @ self.calib[:3, :3].t() + self.calib[:3, 3]
        products = MapProducts((self.coarse.shape, self.coarse.own), self.weights.image, ndc[:, :2])
        fine_products = None
        in_face = torch.zeros(len(ndc), dtype=torch.bool, device=ndc.device)
        if self.fine is not None and self.fine_weights is not None and self.fine_network is not None:
            fine_products = MapProducts((self.fine.images,), self.fine_weights.image, ndc[:, :2])
            if self.fine.face is not None and self.fine_network.surface_classifier_joint is not None:
                in_face = self.fine.face.face.mask(points_world[None])[0]
        result = torch.empty_like(points_world)
        depth_scale = self.coarse_network.config.depth_scale
        middle = self.coarse_network.surface_classifier.middle
        for low in range(0, len(ndc), self.max_chunk):
            high = min(low + self.max_chunk, len(ndc))
            outputs = self.weights.run(products.sample(low, high), ndc[low:high, 2] * depth_scale, None)
            rgb = torch.tanh(outputs[-1])
            if fine_products is not None and self.fine_weights is not None:
                rgb = self._fine(fine_products, low, high, ndc, outputs[middle])
                self._face(rgb, points_world[low:high], in_face[low:high], outputs[middle])
            result[low:high] = rgb
        return result

    def _fine(self, products: MapProducts, low: int, high: int, ndc: Tensor, phi: Tensor) -> Tensor:
        if self.fine_network is None or self.fine_weights is None:
            raise ValueError("the fine network is missing.")
        depth = ndc[low:high, 2] * self.fine_network.config.depth_scale_fine
        return torch.tanh(self.fine_weights.run(products.sample(low, high), depth, phi)[-1])

    def _face(self, rgb: Tensor, points: Tensor, inside: Tensor, phi: Tensor) -> None:
        """Replace the colours of points in the face box by the face branch's."""
        index = inside.nonzero()[:, 0]
        head = None if self.fine_network is None else self.fine_network.surface_classifier_joint
        encoded = None if self.fine is None else self.fine.face
        if (
            len(index) == 0
            or self.fine_network is None
            or self.fine is None
            or head is None
            or encoded is None
        ):
            return
        chosen = points[index]
        ndc = project(chosen[None], self.calib[None, None])
        depth = ndc[..., 2:] * self.fine_network.config.depth_scale_fine
        pixel = torch.cat((sample_image(self.fine.images, ndc), phi[None, None, index], depth), dim=-1)
        feature_3d = None
        if encoded.grid is not None:
            unit = encoded.cube.to_unit(
                chosen, torch.zeros(len(index), dtype=torch.int64, device=chosen.device)
            )
            feature_3d = sample_grid(encoded.grid, unit, [len(index)])
        rgb[index] = torch.tanh(head(pixel[0], feature_3d)[-1])
