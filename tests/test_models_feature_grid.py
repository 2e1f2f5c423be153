"""Sampling before the last convolution, and enlarging by matrices, give what the plain operations give."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from jiff.models.bicubic import bicubic_weights, resize_bicubic
from jiff.models.feature_grid import FeatureGrid


@pytest.mark.parametrize("bias", [True, False])
def test_samples_are_those_of_the_dense_grid_up_to_its_border(bias: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    grid = FeatureGrid(torch.randn(2, 3, 4, 5, 6, generator=generator), nn.Conv3d(3, 7, 1, bias=bias))
    for parameter in grid.final.parameters():
        nn.init.normal_(parameter, generator=generator)
    points = torch.rand(60, 3, generator=generator)
    points[:8] = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * 3)
    counts = [37, 23]
    narrow = grid.narrow.requires_grad_()
    dense = [
        functional.grid_sample(item[None], (part * 2 - 1)[None, None, None], align_corners=False)[
            0, :, 0, 0
        ].t()
        for item, part in zip(grid.dense(), points.split(counts), strict=True)
    ]
    expected, ours = torch.cat(dense), grid.sample(points, counts)
    torch.testing.assert_close(ours, expected)
    weight = torch.randn(ours.shape, generator=generator)
    given = [narrow, *grid.final.parameters()]
    for one, other in zip(
        torch.autograd.grad((ours * weight).sum(), given),
        torch.autograd.grad((expected * weight).sum(), given),
        strict=True,
    ):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("size", [(8, 12), (3, 5), (9, 4)])
def test_matrices_enlarge_as_interpolate_does(size: tuple[int, int], layout: torch.memory_format) -> None:
    x = torch.randn(2, 4, 4, 6, generator=torch.Generator().manual_seed(1)).to(memory_format=layout)
    x.requires_grad_()
    expected = functional.interpolate(x, size=size, mode="bicubic", align_corners=True)
    ours = resize_bicubic(x, *size)
    torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-5)
    assert ours.is_contiguous(memory_format=layout)
    weight = torch.randn(ours.shape, generator=torch.Generator().manual_seed(2))
    gradients = [torch.autograd.grad((y * weight).sum(), x)[0] for y in (ours, expected)]
    torch.testing.assert_close(*gradients, rtol=1e-5, atol=1e-5)


def test_half_precision_sums_in_float32() -> None:
    x = torch.full((1, 1, 16, 16), 0.7578125, dtype=torch.bfloat16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        larger = resize_bicubic(x, 32, 32)
    assert larger.dtype == torch.bfloat16 and (larger == x[0, 0, 0, 0]).all()
    torch.testing.assert_close(bicubic_weights(16, 32, x.float()).sum(dim=1), torch.ones(32))


def test_double_precision_stays_double() -> None:
    x = torch.randn(1, 2, 4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    expected = functional.interpolate(x, size=(8, 10), mode="bicubic", align_corners=True)
    torch.testing.assert_close(resize_bicubic(x, 8, 10), expected, rtol=0, atol=1e-13)
