"""Colours at the border of what a photo shows."""

from __future__ import annotations

import numpy as np
import pytest

from jiff.geometry.mesh import Mesh
from jiff.render.seams import seam_offsets


def strip(length: int, width: int = 4, side: float = 1.0) -> Mesh:
    """A flat strip of squares along x."""
    x, y = (part.ravel() for part in np.meshgrid(np.arange(length + 1), np.arange(width + 1)))
    corner = (np.arange(width)[:, None] * (length + 1) + np.arange(length)).ravel()
    up = corner + length + 1
    faces = np.concatenate(
        [np.column_stack([corner, corner + 1, up + 1]), np.column_stack([corner, up + 1, up])]
    )
    return Mesh(side * np.column_stack([x, y, np.zeros(len(x))]).astype(float), faces)


@pytest.mark.parametrize("side", [1.0, 0.5])
def test_a_difference_goes_on_and_falls_to_a_third_over_its_distance(side: float) -> None:
    plate = strip(round(60 / side), side=side)
    x = plate.vertices[:, 0]
    seen = (x <= 20).astype(float)
    difference = np.where(seen[:, None] > 0, [0.2, -0.1], [9.0, 9.0])
    found = seam_offsets(plate, difference, seen, 8.0)
    np.testing.assert_allclose(found[x < 8], np.tile([0.2, -0.1], (int((x < 8).sum()), 1)), rtol=0.05)
    border, later = (found[np.abs(x - at) < 1e-6].mean(axis=0) for at in (20, 28))
    np.testing.assert_allclose(later / border, np.exp(-1), rtol=0.1)
    assert np.abs(found[x > 55]).max() < 0.01


def test_nothing_is_told_where_nothing_is_seen() -> None:
    plate = strip(10)
    apart = Mesh(np.concatenate([plate.vertices, plate.vertices + [0, 50, 0], [[5.0, 90.0, 0.0]]]),
                 np.concatenate([plate.faces, plate.faces + len(plate.vertices)]))  # fmt: skip
    seen = np.zeros(len(apart.vertices))
    seen[: len(plate.vertices)] = 1
    found = seam_offsets(apart, np.full((len(seen), 3), 0.1), seen, 8.0)
    np.testing.assert_allclose(found[: len(plate.vertices)], 0.1, rtol=0.03)
    assert np.abs(found[len(plate.vertices) :]).max() == 0


def test_single_spots_and_other_things_are_no_light() -> None:
    plate = strip(20, 20)
    seen, difference = np.ones(len(plate.vertices)), np.zeros((len(plate.vertices), 1))
    middle = int(np.abs(plate.vertices - [10, 10, 0]).sum(axis=1).argmin())
    difference[middle] = 0.2
    assert seam_offsets(plate, difference, seen, 8.0)[middle] < 0.05
    assert seam_offsets(plate, np.full_like(difference, 2.0), seen, 8.0).max() < 0.26
