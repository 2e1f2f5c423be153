"""Closest points: exact against brute force, on regular and on very uneven triangles."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh

from jiff.geometry.closest import ClosestPointQuery, closest_on_triangles


def _brute(points: np.ndarray, triangles: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Upper bound of the distances by very dense sampling of each triangle, and exact at its corners."""
    weights = rng.dirichlet(np.ones(3), 4000)
    samples = np.einsum("sk,tkd->tsd", weights, triangles).reshape(-1, 3)
    return np.linalg.norm(points[:, None] - samples, axis=2).min(axis=1)


def test_one_triangle_in_every_region(rng: np.random.Generator) -> None:
    triangle = np.array([[0.0, 0, 0], [4, 0, 0], [0, 3, 0]])
    points = rng.uniform(-4, 7, (300, 3))
    a, b, c = (np.broadcast_to(corner, points.shape) for corner in triangle)
    near = closest_on_triangles(points, a, b, c)
    distance = np.linalg.norm(near - points, axis=1)
    sampled = _brute(points, triangle[None], rng)
    assert (distance <= sampled + 1e-12).all()
    assert (sampled - distance).max() < 0.15
    inside = (near[:, 0] >= -1e-12) & (near[:, 1] >= -1e-12) & (near[:, 0] / 4 + near[:, 1] / 3 <= 1 + 1e-9)
    assert inside.all()
    assert np.abs(near[:, 2]).max() < 1e-12


def test_triangles_without_area() -> None:
    point = np.array([[1.0, 2.0, 0.0]])
    zero = np.zeros((1, 3))
    one = np.array([[3.0, 0.0, 0.0]])
    np.testing.assert_allclose(closest_on_triangles(point, zero, zero, zero), zero)
    np.testing.assert_allclose(closest_on_triangles(point, zero, one, one), [[1.0, 0.0, 0.0]])


@pytest.mark.parametrize("kind", ["sphere", "uneven", "single"])
def test_query_equals_looking_at_every_triangle(kind: str, rng: np.random.Generator) -> None:
    if kind == "sphere":
        mesh = trimesh.creation.icosphere(subdivisions=2)
        vertices, faces = np.asarray(mesh.vertices), np.asarray(mesh.faces)
    elif kind == "single":
        vertices, faces = np.eye(3), np.array([[0, 1, 2]])
    else:
        # A floor of two huge triangles under many tiny ones.
        mesh = trimesh.creation.icosphere(subdivisions=2, radius=0.05)
        floor = np.array([[-9.0, -9, -1], [9, -9, -1], [9, 9, -1], [-9, 9, -1]])
        vertices = np.concatenate([mesh.vertices, floor])
        count = len(mesh.vertices)
        faces = np.concatenate([mesh.faces, [[count, count + 1, count + 2], [count, count + 2, count + 3]]])
    points = rng.normal(0, 1.5, (200, 3))
    a, b, c = np.moveaxis(vertices[faces], 1, 0)
    near = closest_on_triangles(points[:, None], a[None], b[None], c[None])
    gaps = np.linalg.norm(near - points[:, None], axis=2)
    found = ClosestPointQuery(vertices, faces).query(points)
    np.testing.assert_allclose(found.distance, gaps.min(axis=1), atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(found.point - points, axis=1), found.distance, atol=1e-12)
    own = gaps[np.arange(len(points)), found.face]
    np.testing.assert_allclose(own, found.distance, atol=1e-12)


def test_sphere_distance_is_known(rng: np.random.Generator) -> None:
    mesh = trimesh.creation.icosphere(subdivisions=5, radius=2.0)
    points = rng.normal(size=(2000, 3)) * 3
    expected = np.abs(np.linalg.norm(points, axis=1) - 2.0)
    found = ClosestPointQuery(mesh.vertices, mesh.faces).query(points)
    np.testing.assert_allclose(found.distance, expected, atol=2e-3)


def test_no_faces_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one triangle"):
        ClosestPointQuery(np.zeros((3, 3)), np.zeros((0, 3), int))
