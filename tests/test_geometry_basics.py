"""Meshes, rays and the inside test against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh

from jiff.base.errors import DatasetError, MeshError
from jiff.data.layout import parse_view_name, view_name
from jiff.data.scans import find_scans
from jiff.geometry.inside import inside_mesh
from jiff.geometry.mesh import Mesh, check_mesh
from jiff.geometry.raycast import RayScene


def _mesh(shape: trimesh.Trimesh) -> Mesh:
    return Mesh(np.asarray(shape.vertices, dtype=float), np.asarray(shape.faces, dtype=np.int64))


def test_volume_and_normals_of_a_sphere() -> None:
    sphere = _mesh(trimesh.creation.icosphere(5, radius=2.0))
    assert sphere.volume == pytest.approx(4 / 3 * np.pi * 8, rel=2e-3)
    np.testing.assert_allclose(sphere.vertex_normals(), sphere.vertices / 2, atol=5e-3)


def test_reflection_keeps_the_outside_outside() -> None:
    box = _mesh(trimesh.creation.box())
    assert box.transformed(np.diag([-1, 1, 1])).volume == pytest.approx(1.0)


def test_split_at_seams_keeps_every_corner() -> None:
    box = _mesh(trimesh.creation.box())
    rng = np.random.default_rng(0)
    uv = rng.random((len(box.faces) * 3, 2))
    seamed = Mesh(box.vertices, box.faces, uv=uv, faces_uv=np.arange(len(uv)).reshape(-1, 3))
    split, source = seamed.split_at_seams()
    np.testing.assert_array_equal(split.triangles, box.triangles)
    np.testing.assert_array_equal(split.uv[split.faces], uv.reshape(-1, 3, 2))
    np.testing.assert_array_equal(box.vertices[source], split.vertices)


@pytest.mark.parametrize(
    ("vertices", "faces", "words"),
    [
        (np.zeros((0, 3)), np.zeros((0, 3), np.int64), "no triangles"),
        (np.full((3, 3), np.nan), np.array([[0, 1, 2]]), "not finite"),
        (np.zeros((3, 3)), np.array([[0, 1, 3]]), "does not exist"),
    ],
)
def test_damaged_arrays_are_refused(vertices: np.ndarray, faces: np.ndarray, words: str) -> None:
    with pytest.raises(MeshError, match=words):
        check_mesh(Mesh(vertices, faces), "scan.obj")


def test_rays_meet_a_sphere_at_the_right_distance_and_side() -> None:
    sphere = trimesh.creation.icosphere(6)
    scene = RayScene(sphere.vertices, sphere.faces)
    hits = scene.intersect([[0, 0, 3], [0, 0, 0], [0, 5, 3]], [0, 0, -1])
    assert hits.hit.tolist() == [True, True, False]
    assert hits.front.tolist() == [True, False, False]
    np.testing.assert_allclose(hits.distance[:2], [2, 1], atol=1e-3)
    corners = np.asarray(sphere.triangles)[hits.face[0]]
    u, v = hits.barycentric[0]
    np.testing.assert_allclose(
        (1 - u - v) * corners[0] + u * corners[1] + v * corners[2], [0, 0, 1], atol=1e-3
    )


def test_occlusion_respects_the_distance() -> None:
    sphere = trimesh.creation.icosphere(4)
    scene = RayScene(sphere.vertices, sphere.faces)
    assert scene.occluded([[0, 0, 0], [3, 0, 0]], [[0, 0, 1], [1, 0, 0]]).tolist() == [True, False]
    assert scene.occluded([[0, 0, 0]], [0, 0, 1], max_distance=0.5).tolist() == [False]


def test_inside_of_a_sphere_is_exact_away_from_the_facets(rng: np.random.Generator) -> None:
    sphere = trimesh.creation.icosphere(5)
    points = rng.uniform(-1.3, 1.3, (20000, 3))
    radius = np.linalg.norm(points, axis=1)
    clear = np.abs(radius - 1) > 2e-3
    inside = inside_mesh(RayScene(sphere.vertices, sphere.faces), points)
    np.testing.assert_array_equal(inside[clear], radius[clear] < 1)


def test_inside_of_overlapping_and_nested_shells_is_their_union(rng: np.random.Generator) -> None:
    a, b = trimesh.creation.icosphere(4), trimesh.creation.icosphere(4)
    b.apply_translation([0.9, 0, 0])
    core = trimesh.creation.icosphere(4, radius=0.4)
    union = trimesh.util.concatenate([a, b, core])
    points = rng.uniform([-1.3, -1.3, -1.3], [2.2, 1.3, 1.3], (20000, 3))
    radii = np.stack([np.linalg.norm(points, axis=1), np.linalg.norm(points - [0.9, 0, 0], axis=1)])
    clear = (np.abs(radii - 1) > 1e-2).all(0)
    inside = inside_mesh(RayScene(union.vertices, union.faces), points)
    np.testing.assert_array_equal(inside[clear], (radii < 1).any(0)[clear])


def test_inside_tolerates_a_hole(rng: np.random.Generator) -> None:
    sphere = trimesh.creation.icosphere(5)
    open_faces = sphere.faces[sphere.triangles_center[:, 1] < 0.95]
    points = rng.normal(size=(5000, 3))
    points *= (rng.random((5000, 1)) ** (1 / 3)) * 0.8 / np.linalg.norm(points, axis=1, keepdims=True)
    assert inside_mesh(RayScene(sphere.vertices, open_faces), points).mean() > 0.995


def test_view_names_round_trip() -> None:
    assert parse_view_name(view_name(36, -10, 2)) == (36, -10, 2)
    with pytest.raises(DatasetError, match="YAW_PITCH_LIGHT"):
        parse_view_name("front")


def test_scan_layouts_are_found(tmp_path: pytest.TempPathFactory) -> None:
    for path in ("0001/0001.obj", "0002/mesh.glb", "rp_ann_OBJ/rp_ann_30k.obj", "loose.ply", ".hidden/x.obj"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text("")
    assert set(find_scans(tmp_path).scans) == {"0001", "0002", "rp_ann", "loose"}
    with pytest.raises(DatasetError, match="no such folder"):
        find_scans(tmp_path / "missing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match="holds no scans"):
        find_scans(tmp_path / "empty")
