"""Products of an MLP's layers with a feature map, pixel by pixel.

Image features are sampled bilinearly and then multiplied by weights; both are linear, so the weights can come first:
each pixel of the map is multiplied once, and points sample the products. A surface has many points per pixel, and the
part of a layer that sees the image is a large one. For evaluation only; nothing here keeps gradients.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

_BAG_DEVICES = ("cpu", "cuda")


def pixel_corners(xy_ndc: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Return the four pixels around each point [P, 2] as flat indices [P, 4], and their shares [P, 4].

    ``align_corners=True``; points outside the image take its border.
    """
    x = ((xy_ndc[:, 0] + 1) / 2 * (width - 1)).clamp(0, width - 1)
    y = ((xy_ndc[:, 1] + 1) / 2 * (height - 1)).clamp(0, height - 1)
    left, top = x.floor().clamp(max=max(width - 2, 0)), y.floor().clamp(max=max(height - 2, 0))
    s, t = x - left, y - top
    first = (top * width + left).long()
    right, down = min(width - 1, 1), width * min(height - 1, 1)
    index = torch.stack((first, first + right, first + down, first + down + right), dim=1)
    return index, torch.stack(((1 - s) * (1 - t), s * (1 - t), (1 - s) * t, s * t), dim=1)


def weighted_rows(table: Tensor, index: Tensor, share: Tensor) -> Tensor:
    """Return sums of rows: [P, C] from a table [R, C], indices [P, K] and shares [P, K] of the table's type."""
    if table.device.type in _BAG_DEVICES:
        return functional.embedding_bag(index, table, mode="sum", per_sample_weights=share)
    return (table[index] * share[..., None]).sum(dim=1)


class Lookup:
    """Where points find one layer's products: a table [R, C], indices and shares [P, K]."""

    def __init__(self, table: Tensor, index: Tensor, share: Tensor) -> None:
        self.table, self.index, self.share = table, index, share

    def sample(self) -> Tensor:
        """Return the products at the points, [P, C]."""
        return weighted_rows(self.table, self.index, self.share)


class PixelProducts:
    """Products of layers with the pixels of one feature map, made when a point first touches the pixel.

    A table has one row more than there are pixels: the layer's weights of the depth, whose share is the depth.

    Args:
        feature_map: [1, C, H, W].
        weights: per layer, [O, C].
        biases: per layer, [O]; shares of pixels add up to 1, so the bias is part of every row.
        depth_weights: per layer, [O].
        dtypes: per layer, of the table.
        keep: hold the products for later calls; otherwise they are made anew in each.
    """

    def __init__(
        self,
        feature_map: Tensor,
        weights: Sequence[Tensor],
        biases: Sequence[Tensor],
        depth_weights: Sequence[Tensor],
        dtypes: Sequence[torch.dtype],
        keep: bool = True,
    ) -> None:
        self.height, self.width = feature_map.shape[-2:]
        self._map = feature_map[0].flatten(1)
        self._sizes = [len(bias) for bias in biases]
        self._weight, self._bias = torch.cat(list(weights)), torch.cat(list(biases))
        self._depth_weights, self._dtypes = depth_weights, dtypes
        pixels = self.height * self.width
        self._filled: Tensor | None = None
        self._tables: list[Tensor] = []
        if keep:
            self._filled = torch.zeros(pixels, dtype=torch.bool, device=feature_map.device)
            self._tables = self._empty_tables(pixels)

    @staticmethod
    def bytes_of(feature_map: Tensor, biases: Sequence[Tensor], dtypes: Sequence[torch.dtype]) -> int:
        """Return how much memory kept products of a map take."""
        pixels = feature_map.shape[-2] * feature_map.shape[-1]
        return pixels * sum(len(bias) * dtype.itemsize for bias, dtype in zip(biases, dtypes, strict=True))

    def lookups(self, xy_ndc: Tensor, depth: Tensor) -> list[Lookup]:
        """Return, for each layer, what samples its products at points [P, 2] with ``depth`` [P]."""
        index, share = pixel_corners(xy_ndc, self.height, self.width)
        if self._filled is not None:
            tables = self._tables
            missing = index[~self._filled[index]].unique()
            if len(missing):
                self._fill(tables, missing, missing)
                self._filled[missing] = True
        else:
            used, index = index.unique(return_inverse=True)
            tables = self._empty_tables(len(used))
            self._fill(tables, torch.arange(len(used), device=used.device), used)
        made: dict[torch.dtype, tuple[Tensor, Tensor]] = {}
        result = []
        for table in tables:
            if table.dtype not in made:
                made[table.dtype] = _with_depth(index, share, depth, table)
            result.append(Lookup(table, *made[table.dtype]))
        return result

    def _empty_tables(self, pixels: int) -> list[Tensor]:
        tables = []
        for size, dtype, row in zip(self._sizes, self._dtypes, self._depth_weights, strict=True):
            table = torch.empty(pixels + 1, size, dtype=dtype, device=self._map.device)
            table[-1] = row
            tables.append(table)
        return tables

    def _fill(self, tables: Sequence[Tensor], rows: Tensor, pixels: Tensor) -> None:
        products = functional.linear(self._map[:, pixels].t(), self._weight, self._bias)
        for table, part in zip(tables, products.split(self._sizes, dim=1), strict=True):
            table[rows] = part.to(table.dtype)


def _with_depth(index: Tensor, share: Tensor, depth: Tensor, table: Tensor) -> tuple[Tensor, Tensor]:
    """Append the last row of ``table`` to the indices, and the depth to the shares, which get its type."""
    dtype = table.dtype
    parts = [depth.to(dtype)]
    if dtype != torch.float32:
        # Eight digits do not tell the cells of one column apart; the rest of the depth is a share of its own.
        parts.append((depth - parts[0].float()).to(dtype))
    shares = torch.cat((share.to(dtype), torch.stack(parts, dim=1)), dim=1)
    row = index.new_full((1, 1), len(table) - 1).expand(len(index), len(parts))
    return torch.cat((index, row), dim=1), shares
