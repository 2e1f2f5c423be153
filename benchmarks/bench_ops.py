"""Operations of ``jiff.ops`` against the plainest way to write them; accelerators serve where they are importable."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from benchmarks.row import Row, best_seconds
from jiff.ops.backend import accelerator
from jiff.ops.mesh_distance import MeshDistanceQuery, closest_barycentric
from jiff.ops.neighbors import ball_query, farthest_point_sample, knn
from jiff.ops.scatter import scatter_max, scatter_mean


class _Case(NamedTuple):
    """One operation: ours and its twin on the same work, or, where the twin is too slow for that, on fewer points.

    Attributes:
        points: of ours and of the twin, where the figure is per point.
    """

    operation: str
    what: str
    ours: Callable[[], object]
    twin: Callable[[], object]
    points: tuple[int, int] | None = None


def _sphere(rings: int) -> tuple[Tensor, Tensor]:
    """Return vertices and faces of a sphere of 4 * rings^2 triangles, radius 1."""
    columns = 2 * rings
    polar = torch.linspace(0, torch.pi, rings + 1)[:, None]
    azimuth = torch.linspace(0, 2 * torch.pi, columns + 1)[None]
    rows = torch.stack(
        [polar.sin() * azimuth.sin(), polar.cos().expand(-1, columns + 1), polar.sin() * azimuth.cos()],
        dim=-1,
    )
    grid = torch.arange((rings + 1) * (columns + 1)).reshape(rings + 1, columns + 1)
    a, b, c, d = grid[:-1, :-1], grid[:-1, 1:], grid[1:, 1:], grid[1:, :-1]
    quads = torch.stack([torch.stack([a, d, c], -1), torch.stack([a, c, b], -1)], dim=2)
    return rows.reshape(-1, 3), quads.reshape(-1, 3)


def _every_triangle(points: Tensor, vertices: Tensor, faces: Tensor) -> Tensor:
    """Return the distance of each point [P, 3] to a mesh by looking at every triangle."""
    corners = vertices[faces]
    nearest = []
    for point in points:
        weights = closest_barycentric(point.expand(len(corners), 3), corners)
        foot = (weights[:, :, None] * corners).sum(dim=1)
        nearest.append((foot - point).square().sum(dim=1).min().sqrt())
    return torch.stack(nearest)


def _sorted_neighbours(queries: Tensor, points: Tensor, k: int) -> Tensor:
    return torch.cdist(queries, points).sort(dim=-1).indices[..., :k]


def _farthest_by_matrix(points: Tensor, count: int) -> list[int]:
    """Farthest points of [N, 3], all chosen ones compared anew at each step."""
    chosen = [0]
    while len(chosen) < count:
        distance = torch.cdist(points, points[chosen]).min(dim=1).values
        chosen.append(int(distance.argmax()))
    return chosen


def _ball_by_query(queries: Tensor, points: Tensor, radius: float, k: int) -> list[Tensor]:
    return [torch.nonzero((points - query).norm(dim=1) <= radius)[:k, 0] for query in queries]


def _grouped(values: Tensor, index: Tensor, size: int, reduce: Callable[[Tensor], Tensor]) -> Tensor:
    """Reduce rows group by group."""
    order = index.argsort()
    groups, counts = index.unique(return_counts=True)
    result = values.new_zeros(size, values.shape[1])
    for group, rows in zip(groups.tolist(), values[order].split(counts.tolist()), strict=True):
        result[group] = reduce(rows)
    return result


def _cases(quick: bool, device: torch.device) -> list[_Case]:
    generator = torch.Generator().manual_seed(0)
    scale = 1 if quick else 10

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator).to(device)

    vertices, faces = (tensor.to(device) for tensor in _sphere(20 if quick else 70))
    near = torch.nn.functional.normalize(normal(20_000 * scale, 3), dim=1) * (1 + 0.05 * normal(1, 3))
    few = near[:50]
    query = MeshDistanceQuery(vertices, faces)
    cloud, queries = normal(1, 1000 * scale, 3), normal(1, 500 * scale, 3)
    values, cells = normal(10_000 * scale, 32), 2000 * scale
    index = torch.randint(cells, (len(values),), generator=generator).to(device)
    return [
        _Case(
            "point_to_mesh_distance",
            f"distance of a point to {len(faces)} triangles, against looking at every triangle",
            lambda: query(near),
            lambda: _every_triangle(few, vertices, faces),
            (len(near), len(few)),
        ),
        _Case(
            "knn",
            f"8 nearest of {cloud.shape[1]} points for {queries.shape[1]}, against sorting all distances",
            lambda: knn(queries, cloud, 8),
            lambda: _sorted_neighbours(queries, cloud, 8),
        ),
        _Case(
            "farthest_point_sample",
            f"128 farthest of {cloud.shape[1]} points, against comparing with all chosen ones",
            lambda: farthest_point_sample(cloud, 128),
            lambda: _farthest_by_matrix(cloud[0], 128),
        ),
        _Case(
            "ball_query",
            f"32 within a radius, {queries.shape[1]} queries, against a loop over the queries",
            lambda: ball_query(queries, cloud, 0.4, 32),
            lambda: _ball_by_query(queries[0], cloud[0], 0.4, 32),
        ),
        _Case(
            "scatter_mean",
            f"means of {len(values)} rows in {cells} groups, against a loop over the groups",
            lambda: scatter_mean(values, index, cells),
            lambda: _grouped(values, index, cells, lambda rows: rows.mean(dim=0)),
        ),
        _Case(
            "scatter_max",
            f"maxima of {len(values)} rows in {cells} groups, against a loop over the groups",
            lambda: scatter_max(values, index, cells),
            lambda: _grouped(values, index, cells, lambda rows: rows.amax(dim=0)),
        ),
    ]


def run(quick: bool) -> list[Row]:
    """Time every operation; ``quick`` takes a tenth of the points."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")

    def timed(function: Callable[[], object]) -> float:
        def waited() -> None:
            function()
            if device.type == "cuda":
                torch.cuda.synchronize(device)

        waited()
        return best_seconds(waited, 2 if quick else 3)

    rows = []
    with torch.inference_mode():
        for case in _cases(quick, device):
            module = accelerator(case.operation, device.type == "cuda")
            by = "plain" if module is None else module.__name__
            ours, twin = timed(case.ours), timed(case.twin)
            row = Row(f"{case.what} ({by}, {device.type})", ours, "s", twin, twin / ours)
            if case.points is not None:
                ours, twin = ours / case.points[0] * 1e6, twin / case.points[1] * 1e6
                row = replace(row, ours=ours, twin=twin, ratio=twin / ours, unit="us")
            rows.append(row)
    return rows
