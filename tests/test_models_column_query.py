"""Column-wise evaluation equals the plain query."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from networks import canonical_calib, random_subjects
from torch import Tensor

from jiff.models.column_layers import neighbourhoods
from jiff.models.column_query import ColumnQuery, consecutive_columns
from jiff.models.config import ShapeConfig, shape_preset
from jiff.models.shape import ShapeFeatures, ShapeNetwork

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
    answer = ColumnQuery(network, features, calib, face_distance=distance if blended else None)(points)
    torch.testing.assert_close(answer, expected, rtol=0, atol=1e-5)
    assert expected.std() > 0.05 and (expected == 0).any()
    if options.get("face_branch", True):
        assert prediction.face_mask.sum() > 200


def test_any_order_and_any_camera_give_the_same() -> None:
    network, features = encoded({})
    points, calib = column_points(), canonical_calib()
    calib[0, 2], calib[2, 0] = 0.004, -0.004
    query = ColumnQuery(network, features, calib)
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
    torch.testing.assert_close(ColumnQuery(network, features, calib)(points), plain, rtol=0, atol=1e-5)
    half = ColumnQuery(network, features, calib, dtype=torch.bfloat16)(points)
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
    exact = ColumnQuery(network, features, calib)(points)
    draft = ColumnQuery(network, features, calib, dtype=torch.bfloat16)(points)
    query = ColumnQuery(network, features, calib, difference_dtype=torch.bfloat16)
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


def test_columns_are_runs_of_equal_pixels() -> None:
    xy = torch.tensor([[0.1, 0.2], [0.1 + 1e-8, 0.2], [0.1, 0.3], [0.1, 0.2]])
    starts, column = consecutive_columns(xy)
    assert starts.tolist() == [0, 2, 3] and column.tolist() == [0, 0, 1, 2]


def test_several_subjects_or_views_are_refused() -> None:
    network = ShapeNetwork(shape_preset("tiny")).eval()
    for subjects in (random_subjects(), random_subjects(views=2).item(0)):
        with torch.no_grad():
            features = network.encode(subjects.images, None)
        with pytest.raises(ValueError, match="one subject in one view"):
            ColumnQuery(network, features, canonical_calib())
