"""Wrinkles at random: bounded, along the normals, nowhere on the head, the same for the same seed."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import cKDTree

from jiff.geometry.mesh import Mesh
from jiff.synthetic.wrinkles import MOST_HEIGHT, wrinkled

_HEAD = 150.0


def column(radius: float = 20.0, height: float = 180.0) -> Mesh:
    """A closed column as high as a person, with texture coordinates."""
    around, up = 96, 120
    angle = np.linspace(0, 2 * np.pi, around, endpoint=False)
    ring = np.stack([radius * np.cos(angle), np.zeros(around), -radius * np.sin(angle)], axis=1)
    rings = [ring + [0, y, 0] for y in np.linspace(0, height, up)]
    vertices = np.concatenate([*rings, [[0, 0, 0], [0, height, 0]]])
    faces = []
    for row in range(up - 1):
        for i in range(around):
            a, b = row * around + i, row * around + (i + 1) % around
            faces += [[a, b, b + around], [a, b + around, a + around]]
    low, high = len(vertices) - 2, len(vertices) - 1
    top = (up - 1) * around
    for i in range(around):
        faces += [[low, (i + 1) % around, i], [high, top + i, top + (i + 1) % around]]
    uv = vertices[:, :2] / 200 + 0.5
    return Mesh(vertices, np.array(faces), uv=uv, faces_uv=np.array(faces))


@pytest.mark.parametrize("seed", range(6))
def test_wrinkles_are_bounded_run_along_normals_and_leave_the_head(seed: int) -> None:
    plain = column()
    made = wrinkled(plain, np.random.default_rng(seed))
    moved = made.vertices - plain.vertices
    height = np.linalg.norm(moved, axis=1)
    assert height.max() <= MOST_HEIGHT
    np.testing.assert_allclose(np.cross(moved, plain.vertex_normals()), 0, atol=1e-9)
    head = plain.vertices[:, 1] >= _HEAD
    assert np.array_equal(made.vertices[head], plain.vertices[head])
    assert np.array_equal(made.faces, plain.faces) and np.array_equal(made.uv, plain.uv)
    assert np.array_equal(plain.vertices, column().vertices), "the mesh that was given stays"


def test_folds_are_some_millimetres_high() -> None:
    plain = column()
    heights = [
        np.linalg.norm(wrinkled(plain, np.random.default_rng(seed)).vertices - plain.vertices, axis=1).max()
        for seed in range(30)
    ]
    assert 0.3 < np.median(heights) < 0.7 and 0.8 < max(heights) < 1.8


def test_most_people_become_wrinkled_and_normals_tell() -> None:
    plain = column()
    below = plain.vertices[:, 1] < _HEAD - 10
    turns = []
    for seed in range(8):
        made = wrinkled(plain, np.random.default_rng(seed))
        cosine = (made.vertex_normals() * plain.vertex_normals()).sum(axis=1)[below]
        turns.append(float(np.degrees(np.arccos(np.clip(cosine, -1, 1))).mean()))
    assert 3 < np.median(turns) < 40


def test_the_same_seed_gives_the_same_wrinkles_and_another_gives_others() -> None:
    first, again, other = (wrinkled(column(), np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert np.array_equal(first.vertices, again.vertices)
    assert np.abs(first.vertices - other.vertices).max() > 0.1


def test_wrinkles_do_not_depend_on_the_order_of_vertices() -> None:
    plain = column()
    order = np.random.default_rng(0).permutation(len(plain.vertices))
    place = np.argsort(order)
    mixed = Mesh(plain.vertices[order], place[plain.faces])
    first = wrinkled(Mesh(plain.vertices, plain.faces), np.random.default_rng(1))
    second = wrinkled(mixed, np.random.default_rng(1))
    distance, _ = cKDTree(first.vertices).query(second.vertices)
    assert distance.max() < 1e-6
