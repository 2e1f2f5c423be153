"""MLP layers over points of one image, whose products with the image are sampled from ``pixel_products``.

Every layer is a sum of a part that depends on the pixel feature and the depth, one on features of the single point
where there are any, and one on the hidden activation (see ``mlp``). Half precision enters in one of two ways: for
everything but the last layer (a draft), or only for the differences between points and a reference point near them,
which is evaluated in float32. For evaluation only; nothing here keeps gradients.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from jiff.models.mlp import LEAKY_SLOPE, Layer
from jiff.models.pixel_products import Lookup, PixelProducts

NEIGHBOURHOOD_NDC = (1 / 64, 1 / 64, 1 / 32)
"""Points of a cell of this size share a reference point: 4 x 4 x 8 cells at 512^3. The error of a difference in half
precision grows with it."""


class PixelLayers:
    """Layers whose input is a pixel feature, a depth and, optionally, features of single points.

    Args:
        layers: consecutive layers; their input channels are the map's and the depth, then the point features, or the
            depth last of all.
        feature_map: [1, C, H, W].
        dtype: of everything but the last layer, or of differences; see ``evaluate`` and ``evaluate_differences``.
        differences: prepare ``evaluate_differences`` instead of ``evaluate``.
        activate_last: apply the leaky ReLU after the last layer too.
        depth_last: where the depth stands.
        max_kept_bytes: products with the map are held from call to call unless they take more (``fixed_bytes``).
    """

    def __init__(
        self,
        layers: Sequence[Layer],
        feature_map: Tensor,
        dtype: torch.dtype,
        *,
        differences: bool = False,
        activate_last: bool = False,
        depth_last: bool = False,
        max_kept_bytes: float = float("inf"),
    ) -> None:
        self.activate_last = activate_last
        weights = [layer.input_weight.detach() for layer in layers]
        # Layers without a skip connection (no_residual) see no input; zero columns give them one form.
        width = max(weight.shape[1] for weight in weights)
        weights = [w if w.shape[1] else w.new_zeros(w.shape[0], width) for w in weights]
        channels = feature_map.shape[1]
        depth = width - 1 if depth_last else channels
        points = slice(channels, -1) if depth_last else slice(channels + 1, None)
        # The last layer is narrow, and its values are what counts.
        narrowed = [dtype] * (len(layers) - 1) + [torch.float32]
        types = [torch.float32] * len(layers) if differences else narrowed
        biases = [layer.bias.detach() for layer in layers]
        kept_bytes = PixelProducts.bytes_of(feature_map, biases, types)
        keep = kept_bytes <= max_kept_bytes
        self.fixed_bytes = kept_bytes if keep else 0
        self.products = PixelProducts(
            feature_map,
            [w[:, :channels] for w in weights],
            biases,
            [w[:, depth] for w in weights],
            types,
            keep,
        )
        self.point_weights = [
            w[:, points].t().contiguous().to(t) for w, t in zip(weights, types, strict=True)
        ]
        hidden = [layer.hidden_weight for layer in layers]
        exact = [None if weight is None else weight.detach().t().contiguous() for weight in hidden]
        self.difference_weights = [
            None if weight is None else weight.to(t) for weight, t in zip(exact, narrowed, strict=True)
        ]
        self.hidden_weights = exact if differences else self.difference_weights

    def evaluate(
        self, lookups: Sequence[Lookup], point_features: Tensor | None = None, initial: Tensor | None = None
    ) -> list[Tensor]:
        """Run the layers, all but the last in ``dtype``.

        Args:
            lookups: from ``products``, one per layer.
            point_features: [P, C] where the layers take them.
            initial: hidden input of the first layer, [P, C], where it has one.

        Returns:
            Every layer's activation, [P, C_l]; the last one's are float32.
        """
        y = initial
        outputs: list[Tensor] = []
        for index, (lookup, weight) in enumerate(zip(lookups, self.hidden_weights, strict=True)):
            term = lookup.sample()
            if point_features is not None:
                term.addmm_(point_features.to(term.dtype), self.point_weights[index])
            if y is not None and weight is not None:
                term.addmm_(y.to(term.dtype), weight)
            if self.activate_last or index < len(lookups) - 1:
                functional.leaky_relu_(term, LEAKY_SLOPE)
            y = term
            outputs.append(term)
        return outputs

    def evaluate_differences(
        self,
        lookups: Sequence[Lookup],
        reference: Tensor,
        group: Tensor,
        point_features: Tensor | None = None,
    ) -> Tensor:
        """Run the layers in float32 at reference points, and in ``dtype`` on the differences of the others to them.

        The rounding is that of small differences, not of the activations.

        Args:
            lookups: from ``products``, one per layer.
            reference: index of a point for each group, [G], from ``neighbourhoods``.
            group: group of each point, [P].
            point_features: [P, C] where the layers take them.

        Returns:
            The last layer's values, [P, C_out], float32.
        """
        at_reference = difference = values = torch.zeros(0)
        for index, lookup in enumerate(lookups):
            last = index == len(lookups) - 1
            values = lookup.sample()
            if point_features is not None:
                values.addmm_(point_features, self.point_weights[index])
            exact = values.index_select(0, reference)
            weight, half_weight = self.hidden_weights[index], self.difference_weights[index]
            if weight is not None and half_weight is not None:
                hidden = at_reference @ weight
                exact += hidden
                values += hidden.index_select(0, group)
                values += difference.to(half_weight.dtype) @ half_weight
            if not last:
                at_reference = functional.leaky_relu_(exact, LEAKY_SLOPE)
                functional.leaky_relu_(values, LEAKY_SLOPE)
                difference = values.sub_(at_reference.index_select(0, group))
        return values


def neighbourhoods(points_ndc: Tensor) -> tuple[Tensor, Tensor]:
    """Group points that see nearly the same: those in one cell of a grid of ``NEIGHBOURHOOD_NDC``.

    Args:
        points_ndc: [P, 3].

    Returns:
        Index of one point of each group, [G], and the group of each point, [P].
    """
    cell = (points_ndc / points_ndc.new_tensor(NEIGHBOURHOOD_NDC)).floor().long()
    cell -= cell.amin(dim=0)
    extent = cell.amax(dim=0) + 1
    key = (cell[:, 0] * extent[1] + cell[:, 1]) * extent[2] + cell[:, 2]
    used, group = torch.unique(key, return_inverse=True)
    reference = torch.zeros_like(used)
    reference.scatter_reduce_(0, group, torch.arange(len(key), device=key.device), reduce="amax")
    return reference, group
