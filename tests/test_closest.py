"""Closest points for NumPy callers: against every triangle by brute force, on regular and very uneven meshes."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh

from jiff.geometry.closest import MeshBvh


def _to_segment(points: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    along = np.clip((points - a) @ (b - a) / max(float((b - a) @ (b - a)), 1e-30), 0, 1)
    return np.linalg.norm(points - a - along[:, None] * (b - a), axis=1)


def _to_triangle(points: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """Distance by definition: to the plane where the foot lies inside, else to the nearest edge."""
    a, b, c = corners
    edges = np.minimum(
        _to_segment(points, a, b), np.minimum(_to_segment(points, b, c), _to_segment(points, c, a))
    )
    normal = np.cross(b - a, c - a)
    normal = normal / np.linalg.norm(normal)
    height = (points - a) @ normal
    foot = points - height[:, None] * normal
    signs = [np.cross(q - p, foot - p) @ normal >= 0 for p, q in ((a, b), (b, c), (c, a))]
    return np.where(np.logical_and.reduce(signs), np.abs(height), edges)


@pytest.mark.parametrize("kind", ["sphere", "uneven", "single"])
def test_equals_looking_at_every_triangle(kind: str, rng: np.random.Generator) -> None:
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
    gaps = np.stack([_to_triangle(points, corners) for corners in vertices[faces]], axis=1)
    bvh = MeshBvh(vertices, faces)
    found = bvh.closest(points)
    assert np.array_equal(
        np.concatenate([bvh.closest(part).distance for part in np.split(points, 4)]), found.distance
    )
    assert bvh.closest(points[:0]).point.shape == (0, 3)
    np.testing.assert_allclose(found.distance, gaps.min(axis=1), atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(found.point - points, axis=1), found.distance, atol=1e-12)
    np.testing.assert_allclose(gaps[np.arange(len(points)), found.face], found.distance, atol=1e-12)


def test_no_faces_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one triangle"):
        MeshBvh(np.zeros((3, 3)), np.zeros((0, 3), int))


def test_trees_are_built_once_per_mesh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Regression: a face's tree was built for every chunk of points, both trees of an ICP in every round."""
    import igl
    import tiny_person
    import torch

    from jiff.inference.fields import OccupancyField
    from jiff.metrics.alignment import icp_aligned
    from jiff.models.presets import shape_preset
    from jiff.models.shape import ShapeNetwork

    built = []
    whole = igl.AABB

    class Counted:
        def __init__(self) -> None:
            built.append(self)
            self._tree = whole()

        def __getattr__(self, name: str) -> object:
            return getattr(self._tree, name)

    monkeypatch.setattr(igl, "AABB", Counted)
    face = tiny_person.face_mesh()
    network = ShapeNetwork(shape_preset("tiny")).eval()
    with torch.inference_mode():
        features = network.encode(torch.zeros(1, 1, 3, 64, 64), tiny_person.face_input())
        field = OccupancyField(network, features, torch.eye(4) / 100, face_mesh=face)
        field.exact_chunk = 100
        points = torch.from_numpy(np.tile(face.vertices[:50], (20, 1)).astype(np.float32))
        for _ in range(3):
            field(points)
            field.draft(points)
    assert len(built) == 1
    built.clear()
    mesh = tiny_person.figure(48)
    icp_aligned(mesh.transformed(np.eye(3), np.array([1.0, 0.5, 0.0])), mesh)
    assert len(built) == 2
