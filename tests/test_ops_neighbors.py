"""Neighbour operations: brute force, invariants, gradients, and agreement with pytorch3d where it is installed."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from jiff.ops.neighbors import (
    ball_query,
    ball_query_torch,
    farthest_point_sample,
    farthest_point_sample_torch,
    gather_points,
    knn,
    knn_torch,
)


def clouds(dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(5)
    return (
        torch.rand(2, 37, 3, generator=generator, dtype=dtype),
        torch.rand(2, 90, 3, generator=generator, dtype=dtype),
    )


def test_knn_equals_sorting_all_distances() -> None:
    queries, points = clouds()
    squared, index = knn(queries, points, 4)
    everything = torch.cdist(queries.double(), points.double()).square()
    expected, order = everything.sort(dim=-1)
    assert torch.equal(index, order[..., :4])
    torch.testing.assert_close(squared.double(), expected[..., :4], rtol=1e-5, atol=1e-7)


def test_knn_keeps_digits_far_from_the_origin() -> None:
    points = torch.tensor([[[1000.0, 0, 0], [1000.01, 0, 0]]])
    assert knn(torch.tensor([[[1000.008, 0, 0]]]), points, 1)[1].item() == 1


def test_knn_gradients() -> None:
    queries, points = (cloud[:, :5].clone().requires_grad_() for cloud in clouds(torch.float64))
    assert torch.autograd.gradcheck(lambda q, p: knn_torch(q, p, 2)[0], (queries, points))


def test_farthest_points_spread() -> None:
    _, points = clouds()
    chosen = farthest_point_sample(points, 20, start=7)
    assert (chosen[:, 0] == 7).all()
    for item, index in zip(points.double(), chosen, strict=True):
        assert len(set(index.tolist())) == 20
        for step in range(1, 20):
            nearest = torch.cdist(item, item[index[:step]]).amin(dim=1)
            assert nearest[index[step]] == pytest.approx(nearest.max().item(), rel=1e-5)


def test_farthest_points_of_a_line_and_more_than_there_are() -> None:
    points = torch.tensor([[[0.0, 0, 0], [1.0, 0, 0], [5.0, 0, 0], [10.0, 0, 0]]])
    assert farthest_point_sample(points, 4).tolist() == [[0, 3, 2, 1]]
    assert set(farthest_point_sample(points, 6)[0].tolist()) == {0, 1, 2, 3}


def test_ball_query_takes_the_first_within_reach() -> None:
    queries, points = clouds()
    index = ball_query(queries, points, 0.25, 6)
    distance = torch.cdist(queries.double(), points.double())
    for item in range(2):
        for query in range(queries.shape[1]):
            within = (distance[item, query] <= 0.25).nonzero()[:, 0].tolist()[:6]
            if not within:
                within = [int(distance[item, query].argmin())]
            expected = within + within[:1] * (6 - len(within))
            assert index[item, query].tolist() == expected
    assert ball_query(queries, points[:, :2], 9.0, 5)[0, 0].tolist() == [0, 1, 0, 0, 0]


def test_gather_points() -> None:
    _, points = clouds()
    index = torch.tensor([[[3, 1], [0, 89]], [[5, 5], [7, 2]]])
    rows = gather_points(points, index)
    assert rows.shape == (2, 2, 2, 3)
    assert torch.equal(rows[1, 1, 0], points[1, 7]) and torch.equal(rows[0, 1, 1], points[0, 89])


def test_wrong_arguments_are_rejected() -> None:
    queries, points = clouds()
    with pytest.raises(ValueError, match="k must be in 1"):
        knn(queries, points, 91)
    with pytest.raises(ValueError, match="agree"):
        knn(queries[:1], points, 1)
    with pytest.raises(ValueError, match=r"\[B, N, D\]"):
        farthest_point_sample(points[0], 3)
    with pytest.raises(ValueError, match="start"):
        farthest_point_sample(points, 3, start=90)
    with pytest.raises(ValueError, match="at least 1"):
        ball_query(queries, points, 0.1, 0)


def test_accelerated_equals_twin(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pytorch3d", reason="pytorch3d is not installed", exc_type=ImportError)
    monkeypatch.setenv("JIFF_OPS", "pytorch3d")
    queries, points = clouds()
    assert torch.equal(ball_query(queries, points, 0.25, 6), ball_query_torch(queries, points, 0.25, 6))
    assert torch.equal(farthest_point_sample(points, 20), farthest_point_sample_torch(points, 20))
    cotangent, gradients = torch.randn(2, 37, 3), []
    for run in (knn, knn_torch):
        ours = queries.clone().requires_grad_(), points.clone().requires_grad_()
        squared, index = run(*ours, 3)
        squared.backward(cotangent)
        gradients.append((squared.detach(), index, ours[0].grad, ours[1].grad))
    for accelerated, twin in zip(*gradients, strict=True):
        torch.testing.assert_close(accelerated, twin)
