"""The implicit functions' MLP: 1x1 convolutions that see their input again before every layer.

A skip connection by concatenation is a sum of two products. The input's part of every layer is one product of the
input with the stacked weights, so nothing is concatenated, and a caller may reuse that part (see ``pixel_products``).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

LEAKY_SLOPE = 0.01


class Layer:
    """View of a 1x1 convolution as a matrix whose columns split into hidden channels, then skipped input channels."""

    def __init__(self, conv: nn.Module, hidden: int) -> None:
        if not isinstance(conv, nn.Conv1d) or conv.bias is None:
            raise TypeError(f"a layer must be a Conv1d with bias; got {type(conv).__name__}.")
        matrix = conv.weight[:, :, 0]
        self.hidden_weight = matrix[:, :hidden] if hidden else None
        self.input_weight = matrix[:, hidden:]
        self.bias = conv.bias


def input_products(layers: Sequence[Layer], x: Tensor) -> list[Tensor]:
    """Return every layer's bias plus product with the input.

    Args:
        layers: consecutive layers.
        x: [..., C_in].

    Returns:
        One [..., C_out] per layer.
    """
    skipping = [layer for layer in layers if layer.input_weight.shape[1] > 0]
    weight = torch.cat([layer.input_weight for layer in skipping])
    bias = torch.cat([layer.bias for layer in skipping])
    parts = iter(
        functional.linear(x, weight, bias).split([layer.bias.shape[0] for layer in skipping], dim=-1)
    )
    leading = x.shape[:-1]
    return [
        next(parts) if layer.input_weight.shape[1] > 0 else layer.bias.expand(*leading, -1)
        for layer in layers
    ]


def run_layers(
    layers: Sequence[Layer],
    products: Sequence[Tensor],
    initial: Tensor | None = None,
    pool_after: int | None = None,
    activate_last: bool = False,
) -> list[Tensor]:
    """Run the layers given their input products.

    Args:
        layers: consecutive layers.
        products: from ``input_products``, each [V, P, C_l] with views first (or [P, C_l] without views); those past
            ``pool_after`` are averaged over views here.
        initial: hidden input of the first layer, [P, C], where that layer has one.
        pool_after: index of the layer whose activation is averaged over views.
        activate_last: apply the leaky ReLU after the last layer too.

    Returns:
        The activation of every layer.
    """
    y = initial
    outputs: list[Tensor] = []
    pooled = False
    for index, (layer, product) in enumerate(zip(layers, products, strict=True)):
        term = product.mean(dim=0) if pooled else product
        if y is not None and layer.hidden_weight is not None:
            flat = torch.addmm(
                term.reshape(-1, term.shape[-1]), y.reshape(-1, y.shape[-1]), layer.hidden_weight.t()
            )
            term = flat.reshape(term.shape)
        y = term
        if activate_last or index < len(layers) - 1:
            y = functional.leaky_relu(y, LEAKY_SLOPE)
        if pool_after is not None and index == pool_after:
            y = y.mean(dim=0)
            pooled = True
        outputs.append(y)
    return outputs


class SurfaceClassifier(nn.Module):
    """MLP ``channels[0]`` -> ... -> ``channels[-1]`` without its last activation; views are averaged in the middle."""

    def __init__(self, channels: Sequence[int], no_residual: bool = False) -> None:
        super().__init__()
        self.channels = tuple(channels)
        self.no_residual = no_residual
        self.depth = len(channels) - 1
        for index in range(self.depth):
            skip = 0 if no_residual or index == 0 else channels[0]
            self.add_module(f"conv{index}", nn.Conv1d(channels[index] + skip, channels[index + 1], 1))

    @property
    def middle(self) -> int:
        """Index of the layer after which views are averaged, and whose activation is phi."""
        return self.depth // 2

    def layers(self) -> list[Layer]:
        """Return the weights split into hidden and input parts."""
        hidden = [0, *self.channels[1:-1]]
        return [Layer(self.get_submodule(f"conv{index}"), hidden[index]) for index in range(self.depth)]

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Evaluate the MLP.

        Args:
            x: pixel features, [V, P, C].

        Returns:
            The last layer's values [P, C_out], and phi, the (pooled) activation of the middle layer.
        """
        outputs = run_layers(self.layers(), input_products(self.layers(), x), pool_after=self.middle)
        return outputs[-1], outputs[self.middle]
