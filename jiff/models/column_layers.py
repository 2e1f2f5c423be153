"""MLP layers over points that share columns along the viewing direction.

Every layer is a sum of a part that depends on the pixel feature, computed once per column, one on the depth, and one on
the hidden activation (see ``mlp``). Half precision enters in one of two ways: for all hidden products (a draft), or
only for the differences between points and a reference point near them, which is evaluated in float32.
For evaluation only; nothing here keeps gradients.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from jiff.models.mlp import LEAKY_SLOPE, Layer

NEIGHBOURHOOD_NDC = (1 / 64, 1 / 64, 1 / 32)
"""Points of a cell of this size share a reference point: 4 x 4 x 8 cells at 512^3. The error of a difference in half
precision grows with it."""


class Scratch:
    """Buffers that successive chunks share: on a CPU fresh pages cost more than the sums that fill them."""

    def __init__(self) -> None:
        self._buffers: dict[tuple[str, torch.dtype], Tensor] = {}

    def get(self, name: str, rows: int, columns: int, like: Tensor, dtype: torch.dtype) -> Tensor:
        """Return an uninitialised [rows, columns] matrix on the device of ``like``; it is ``name``'s until asked again."""
        buffer = self._buffers.get((name, dtype))
        if buffer is None or buffer.numel() < rows * columns or buffer.device != like.device:
            buffer = torch.empty(rows * columns, dtype=dtype, device=like.device)
            self._buffers[name, dtype] = buffer
        return buffer[: rows * columns].view(rows, columns)


class ColumnLayers:
    """Layers whose input is a column feature, a depth and, optionally, features of single points.

    Args:
        layers: consecutive layers; their input channels are column features with the depth among them, then the
            point features.
        depth_channel: index of the depth among the input channels.
        column_channels: number of column features, the depth not counted.
        dtype: of the products with hidden activations; sums stay in float32.
        activate_last: apply the leaky ReLU after the last layer too.
        scratch: buffers, shared between layers that are not evaluated at the same time.
    """

    def __init__(
        self,
        layers: Sequence[Layer],
        depth_channel: int,
        column_channels: int,
        dtype: torch.dtype,
        activate_last: bool = False,
        scratch: Scratch | None = None,
    ) -> None:
        self.dtype, self.activate_last = dtype, activate_last
        self.scratch = scratch or Scratch()
        self.sizes = [layer.bias.shape[0] for layer in layers]
        weights = [layer.input_weight.detach() for layer in layers]
        # Layers without a skip connection (no_residual) see no input; zero columns give them one form.
        width = max(weight.shape[1] for weight in weights)
        weights = [w if w.shape[1] else w.new_zeros(w.shape[0], width) for w in weights]
        split = depth_channel + 1
        column = [
            torch.cat((w[:, :depth_channel], w[:, split : column_channels + 1]), dim=1) for w in weights
        ]
        self.column_weight = torch.cat(column)
        self.bias = torch.cat([layer.bias.detach() for layer in layers])
        self.depth_weights = [w[:, depth_channel].contiguous() for w in weights]
        self.point_weights = [w[:, column_channels + 1 :].t().contiguous() for w in weights]
        hidden = [
            None if layer.hidden_weight is None else layer.hidden_weight.detach().t() for layer in layers
        ]
        self.exact_weights = [None if weight is None else weight.contiguous() for weight in hidden]
        self.hidden_weights = [None if weight is None else weight.to(dtype) for weight in self.exact_weights]

    def products(self, column_features: Tensor) -> list[Tensor]:
        """Return every layer's product with the features [C, column_channels] of C columns, bias included."""
        weights = self.column_weight.split(self.sizes)
        biases = self.bias.split(self.sizes)
        return [functional.linear(column_features, w, b) for w, b in zip(weights, biases, strict=True)]

    def evaluate(
        self,
        products: Sequence[Tensor],
        column: Tensor,
        depth: Tensor,
        point_features: Tensor | None = None,
        initial: Tensor | None = None,
    ) -> Tensor:
        """Run the layers, hidden products in ``dtype``.

        Args:
            products: from ``products``.
            column: column of each point, [P].
            depth: depth feature of each point, [P].
            point_features: [P, C] where the layers take them.
            initial: hidden input of the first layer, [P, C], where it has one.

        Returns:
            The last layer's activation, [P, C_out], float32.
        """
        y = initial
        for index, product in enumerate(products):
            term = self._gathered(product, column, index, last=index == len(products) - 1)
            term.addr_(depth, self.depth_weights[index])
            if point_features is not None:
                term.addmm_(point_features, self.point_weights[index])
            weight = self.hidden_weights[index]
            if y is not None and weight is not None:
                if self.dtype == torch.float32:
                    term.addmm_(y, weight)
                else:
                    term += self._half_product(y, weight)
            if self.activate_last or index < len(products) - 1:
                functional.leaky_relu_(term, LEAKY_SLOPE)
            y = term
        return depth.new_zeros(0) if y is None else y

    def evaluate_differences(
        self, products: Sequence[Tensor], column: Tensor, depth: Tensor, reference: Tensor, group: Tensor
    ) -> Tensor:
        """Run the layers in float32 at reference points, and in ``dtype`` on the differences of the others to them.

        The rounding is that of small differences, not of the activations.

        Args:
            products: from ``products``.
            column: column of each point, [P].
            depth: depth feature of each point, [P].
            reference: index of a point for each group, [G], from ``neighbourhoods``.
            group: group of each point, [P].

        Returns:
            The last layer's values, [P, C_out], float32.
        """
        reference_column, reference_depth = column[reference], depth[reference]
        at_reference = difference = values = depth.new_zeros(0)
        for index, product in enumerate(products):
            last = index == len(products) - 1
            exact = product.index_select(0, reference_column)
            exact.addr_(reference_depth, self.depth_weights[index])
            values = self._gathered(product, column, index, last=last)
            values.addr_(depth, self.depth_weights[index])
            exact_weight, weight = self.exact_weights[index], self.hidden_weights[index]
            if exact_weight is not None and weight is not None:
                hidden = torch.mm(at_reference, exact_weight)
                exact += hidden
                values += self._gathered(hidden, group, index, name="hidden part", last=last)
                values += difference @ exact_weight if last else self._half_product(difference, weight)
            if not last:
                at_reference = functional.leaky_relu_(exact, LEAKY_SLOPE)
                functional.leaky_relu_(values, LEAKY_SLOPE)
                difference = values.sub_(self._gathered(at_reference, group, index, name="reference"))
        return values

    def _gathered(
        self, rows: Tensor, index: Tensor, layer: int, *, last: bool = False, name: str = "term"
    ) -> Tensor:
        if last:
            return rows.index_select(0, index)
        # A layer reads the one before it: two buffers in turn.
        out = self.scratch.get(f"{name} {layer % 2}", index.shape[0], rows.shape[1], rows, rows.dtype)
        return torch.index_select(rows, 0, index, out=out)

    def _half_product(self, y: Tensor, weight: Tensor) -> Tensor:
        rows = y.shape[0]
        half = self.scratch.get("hidden", rows, y.shape[1], y, self.dtype).copy_(y)
        return torch.mm(half, weight, out=self.scratch.get("product", rows, weight.shape[1], y, self.dtype))


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
