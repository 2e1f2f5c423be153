"""Evaluation by shared pixel products equals the plain query."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from networks import canonical_calib, random_subjects
from torch import Tensor

from jiff.inference.fields import OccupancyField
from jiff.models.config import ShapeConfig
from jiff.models.pixel_layers import neighbourhoods
from jiff.models.pixel_products import PixelProducts, weighted_rows
from jiff.models.presets import shape_preset
from jiff.models.shape import ShapeFeatures, ShapeNetwork
from jiff.models.shape_query import ShapeQuery

OPTIONS: list[dict[str, Any]] = [
    {},
    {"skip_hourglass": True, "mlp_dim": [0, 32, 24, 16, 1]},
    {"no_residual": True},
    {"joint_head": False},
    {"single_head": True},
    {"branch_3d": False},
    {"face_branch": False},
]


def column_points() -> Tensor:
    """Points column after column, some of them outside the image, many in the face box."""
    x, y, z = torch.linspace(-110, 60, 19), torch.linspace(0, 180, 23), torch.linspace(-25, 25, 6)
    return torch.stack(torch.meshgrid(x, y, z, indexing="ij"), dim=-1).reshape(-1, 3)


def encoded(options: dict[str, Any]) -> tuple[ShapeNetwork, ShapeFeatures]:
    network = ShapeNetwork(shape_preset("tiny", **options)).eval()
    subject = random_subjects().item(2)
    with torch.no_grad():
        return network, network.encode(subject.images, subject.face)


@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: "-".join(options) or "published")
@pytest.mark.parametrize("blended", [False, True])
def test_equals_plain_query(options: dict[str, Any], blended: bool) -> None:
    network, features = encoded(options)
    points, calib = column_points(), canonical_calib()

    def distance(points_world: Tensor) -> Tensor:
        return (points_world[:, 1] - 130.0).abs() * 0.3

    with torch.no_grad():
        prediction = network.query(features, points[None], calib[None, None])
        expected = prediction.fused(distance(points)[None] if blended else None)[0]
    answer = ShapeQuery(network, features, calib, face_distance=distance if blended else None)(points)
    torch.testing.assert_close(answer, expected, rtol=0, atol=1e-5)
    assert expected.std() > 0.05 and (expected == 0).any()
    if options.get("face_branch", True):
        assert prediction.face_mask.sum() > 200


def test_any_order_and_any_camera_give_the_same() -> None:
    network, features = encoded({})
    points, calib = column_points(), canonical_calib()
    calib[0, 2], calib[2, 0] = 0.004, -0.004
    query = ShapeQuery(network, features, calib)
    order = torch.randperm(len(points), generator=torch.Generator().manual_seed(3))
    in_order = query(points)
    torch.testing.assert_close(query(points[order]), in_order[order], rtol=0, atol=1e-5)
    with torch.no_grad():
        plain = network.query(features, points[None], calib[None, None]).fused()[0]
    torch.testing.assert_close(in_order, plain, rtol=0, atol=1e-5)
    assert query(points[:0]).shape == (0,)


def test_published_size_in_float32_and_bfloat16() -> None:
    network = ShapeNetwork(ShapeConfig(num_stack=1, init="kaiming", grid_resolution=16)).eval()
    subject = random_subjects().item(2)
    points, calib = column_points()[::7], canonical_calib()
    with torch.no_grad():
        features = network.encode(subject.images, subject.face)
        plain = network.query(features, points[None], calib[None, None]).fused()[0]
    torch.testing.assert_close(ShapeQuery(network, features, calib)(points), plain, rtol=0, atol=1e-5)
    half = ShapeQuery(network, features, calib, dtype=torch.bfloat16)(points)
    assert half.dtype == torch.float32
    difference = (half - plain).abs()
    assert 0 < difference.max() < 0.05 and difference.mean() < 0.005


def test_differences_in_half_precision_are_nearly_float32() -> None:
    network = ShapeNetwork(ShapeConfig(num_stack=1, init="kaiming", grid_resolution=16)).eval()
    subject = random_subjects().item(2)
    x, y, z = torch.arange(0, 8, 0.4), torch.arange(100, 108, 0.4), torch.arange(5, 9, 0.4)
    points = torch.stack(torch.meshgrid(x, y, z, indexing="ij"), dim=-1).reshape(-1, 3)
    calib = canonical_calib()
    with torch.no_grad():
        features = network.encode(subject.images, None)
    exact = ShapeQuery(network, features, calib)(points)
    draft = ShapeQuery(network, features, calib, dtype=torch.bfloat16)(points)
    query = ShapeQuery(network, features, calib, difference_dtype=torch.bfloat16)
    values = query(points)
    assert 0 < (values - exact).abs().mean() < 0.1 * (draft - exact).abs().mean()
    assert (values - exact).abs().max() < 1e-3
    order = torch.randperm(len(points), generator=torch.Generator().manual_seed(3))
    torch.testing.assert_close(query(points[order]), values[order], rtol=0, atol=1e-3)
    assert query(points[:0]).shape == (0,)


def test_neighbourhoods_are_cells_of_a_grid() -> None:
    points = torch.tensor([[0.001, 0, 0.001], [0.001, 0, 0.04], [-0.001, 0, 0.001], [0.014, 0.01, 0.03]])
    reference, group = neighbourhoods(points)
    assert group[0] == group[3] and len({int(g) for g in group}) == 3
    assert (group[reference] == torch.arange(3)).all()


def test_several_subjects_or_views_are_refused() -> None:
    network = ShapeNetwork(shape_preset("tiny")).eval()
    for subjects in (random_subjects(), random_subjects(views=2).item(0)):
        with torch.no_grad():
            features = network.encode(subjects.images, None)
        with pytest.raises(ValueError, match="one subject in one view"):
            ShapeQuery(network, features, canonical_calib())


@pytest.mark.parametrize("size", [(5, 7), (1, 1), (1, 4), (6, 1)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_pixel_products_are_those_of_sampled_features(dtype: torch.dtype, size: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(5)
    feature_map = torch.randn(1, 6, *size, generator=generator)
    weights = [torch.randn(4, 6, generator=generator), torch.randn(3, 6, generator=generator)]
    biases, depth_weights = [torch.randn(4), torch.randn(3)], [torch.ones(4), torch.full((3,), -2.0)]
    xy = torch.rand(40, 2, generator=generator) * 2 - 1
    xy[:9] = torch.cartesian_prod(*[torch.tensor([-1.0, 0.0, 1.0])] * 2)
    depth = torch.rand(40, generator=generator)
    sampled = torch.nn.functional.grid_sample(feature_map, xy[None, None], align_corners=True)[0, :, 0].t()
    answers = []
    for keep in (True, False):
        products = PixelProducts(feature_map, weights, biases, depth_weights, [dtype, torch.float32], keep)
        products.lookups(xy[:9], depth[:9])
        answers.append([lookup.sample() for lookup in products.lookups(xy, depth)])
    for layer in range(2):
        expected = sampled @ weights[layer].t() + biases[layer] + depth[:, None] * depth_weights[layer]
        tolerance = 0.05 if dtype == torch.bfloat16 and layer == 0 else 1e-5
        torch.testing.assert_close(answers[0][layer].float(), expected, rtol=0, atol=tolerance)
        assert torch.equal(answers[0][layer], answers[1][layer])


def test_half_precision_keeps_the_depth_of_neighbouring_cells_apart() -> None:
    depth = torch.linspace(0.9, 0.91, 6)
    products = PixelProducts(
        torch.zeros(1, 2, 3, 3), [torch.zeros(1, 2)], [torch.zeros(1)], [torch.ones(1)], [torch.bfloat16]
    )
    index, share = (
        products.lookups(torch.zeros(6, 2), depth)[0].index,
        products.lookups(torch.zeros(6, 2), depth)[0].share,
    )
    assert (index[:, 4:] == 9).all()
    torch.testing.assert_close(share[:, 4:].float().sum(dim=1), depth, rtol=0, atol=2e-5)


def test_weighted_rows_without_bags_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(6)
    table = torch.randn(9, 4, generator=generator)
    index, share = torch.randint(0, 9, (5, 3), generator=generator), torch.rand(5, 3, generator=generator)
    expected = torch.stack([sum(share[p, k] * table[index[p, k]] for k in range(3)) for p in range(5)])  # type: ignore[misc]
    torch.testing.assert_close(weighted_rows(table, index, share), expected)
    monkeypatch.setattr("jiff.models.pixel_products._BAG_DEVICES", ())
    torch.testing.assert_close(weighted_rows(table, index, share), expected)


def test_products_are_kept_only_within_their_share_of_memory() -> None:
    network, features = encoded({})
    points, calib = column_points(), canonical_calib()
    kept = ShapeQuery(network, features, calib)
    pixels = features.images[-1].shape[-1] ** 2
    assert kept.fixed_bytes == pixels * 4 * sum(network.config.mlp_channels[1:])
    assert ShapeQuery(network, features, calib, max_kept_bytes=kept.fixed_bytes).fixed_bytes > 0
    anew = ShapeQuery(network, features, calib, max_kept_bytes=kept.fixed_bytes - 1)
    assert anew.fixed_bytes == 0
    assert torch.equal(anew(points), kept(points))
    poor = OccupancyField(network, features, calib, memory_budget_bytes=4 * kept.fixed_bytes - 4)
    rich = OccupancyField(network, features, calib, memory_budget_bytes=4 * kept.fixed_bytes)
    assert (poor.fixed_bytes, rich.fixed_bytes) == (0, kept.fixed_bytes)
