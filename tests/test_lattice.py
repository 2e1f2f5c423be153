"""Nodes, cells and cases behind the extraction of surfaces."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from jiff.geometry.camera import Camera
from jiff.geometry.isosurface import (
    Seeds,
    SurfaceOptions,
    _lower,
    extract_surface,
)
from jiff.geometry.lattice import Lattice, NodeValues, contains, sorted_unique
from jiff.geometry.marching import case_table

BOUNDS = np.array([[-102.4, -12.4, -102.4], [102.4, 192.4, 102.4]])


def _smooth(distance: torch.Tensor, width: float = 1.0) -> torch.Tensor:
    return torch.sigmoid(-distance / width)


def _sphere(points: torch.Tensor) -> torch.Tensor:
    return _smooth((points - torch.tensor([3.0, 80.0, -5.0])).norm(dim=1) - 60.0)


def test_case_table_is_complete() -> None:
    table = case_table()
    assert table.count[0] == table.count[255] == 0
    assert (table.count[1:255] >= 1).all()
    assert table.count.max() == 5
    for case in range(256):
        used = set(table.triangles[case, : table.count[case]].ravel().tolist())
        cut = {
            edge
            for edge, (a, b) in enumerate(table.edge_corners)
            if (case >> int(a) & 1) != (case >> int(b) & 1)
        }
        assert used == cut


@pytest.mark.parametrize("resolution", [37, 50, 61, 99])
@pytest.mark.parametrize("shape", [(1.0, 1.0, 1.0), (0.6, 1.0, 0.43), (1.0, 0.7, 0.99)])
def test_places_of_corners_are_those_of_a_search(
    resolution: int, shape: tuple[float, float, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """At every level, past the end of the grid too, with nodes of coarser levels and searched columns in the store."""
    plain, seen = NodeValues.places, []

    def checked(store: NodeValues, lattice: Lattice, cells: np.ndarray, stride: int) -> np.ndarray:
        found, corners = plain(store, lattice, cells, stride), lattice.corner_keys(cells, stride)
        np.testing.assert_array_equal(found, np.searchsorted(store.keys, corners))
        np.testing.assert_array_equal(store.keys[found], corners)
        seen.append((stride, bool((lattice.indices(cells) + stride > np.array(lattice.counts)).any())))
        return found

    monkeypatch.setattr(NodeValues, "places", checked)
    bounds = np.stack([BOUNDS[0], BOUNDS[0] + np.array(shape) * 204.8])

    def field(points_world: torch.Tensor) -> torch.Tensor:
        # Pieces that touch every side, and more than a coarse cell can see.
        return 0.5 + 0.4 * torch.sin(points_world / 17.0).prod(dim=1) + 0.05 * torch.cos(points_world[:, 2])

    face = np.array([bounds[1] - 30.0, bounds[1] + 30.0])
    seeds = Seeds(np.ones((64, 64), bool), Camera(size=64), (face,))
    options = SurfaceOptions(resolution=resolution, coarse_resolution=resolution // 8)
    mesh = extract_surface(field, bounds, options, seeds)
    assert len(mesh.faces) > 0
    assert {stride for stride, _ in seen} == {1, 2, 4, 8} and any(beyond for _, beyond in seen)


def test_lowering_is_the_minimum_at_places_that_repeat() -> None:
    rng = np.random.default_rng(0)
    ours = rng.random(20).astype(np.float32)
    plain, places, values = ours.copy(), rng.integers(0, 20, 200), rng.random(200).astype(np.float32)
    np.minimum.at(plain, places, values)
    _lower(ours, places, values)
    np.testing.assert_array_equal(ours, plain)


def test_lattice_keys_round_trip(rng: np.random.Generator) -> None:
    lattice = Lattice.of_bounds([[0, 0, 0], [10, 7.1, 3]], 20)
    assert lattice.counts == (20, 15, 6)
    index = rng.integers(0, (21, 16, 7), (50, 3))
    np.testing.assert_array_equal(lattice.indices(lattice.keys(index)), index)
    np.testing.assert_allclose(lattice.positions_world(lattice.keys(index)), index * 0.5)
    cells = lattice.all_cells(1)
    assert len(cells) == 20 * 15 * 6
    np.testing.assert_array_equal(cells, np.sort(cells))
    np.testing.assert_array_equal(lattice.children(lattice.all_cells(4), 4), lattice.all_cells(2))
    middle = lattice.keys(np.array([[8, 8, 2]]))
    assert len(lattice.dilated(middle, 2)) == 27
    assert len(lattice.dilated(lattice.keys(np.array([[0, 0, 0]])), 2)) == 8


def test_node_values_are_evaluated_once(rng: np.random.Generator) -> None:
    asked: list[int] = []

    def evaluate(keys: np.ndarray) -> np.ndarray:
        asked.extend(keys.tolist())
        return keys.astype(np.float32) * 2

    store = NodeValues(evaluate)
    for _ in range(5):
        store.require(sorted_unique(rng.integers(0, 100, 40)))
    assert len(asked) == len(set(asked)) == len(store.keys)
    np.testing.assert_array_equal(store.values, store.keys * 2)
    assert contains(store.keys, np.array([store.keys[0], 1000])).tolist() == [True, False]
