"""Rendered normal maps against closed forms; the surface metrics against another library."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import trimesh
from scipy.integrate import quad

from jiff.geometry.mesh import Mesh
from jiff.metrics.measure import MetricOptions, measure
from jiff.render.normal_maps import NORMAL_MAP_SIZE, normal_map_error, normal_maps


def _ball(radius: float, center: tuple[float, float, float] = (0.0, 90.0, 0.0), cuts: int = 5) -> Mesh:
    ball = trimesh.creation.icosphere(subdivisions=cuts, radius=radius)
    return Mesh(np.asarray(ball.vertices) + center, np.asarray(ball.faces, dtype=np.int64))


def test_maps_of_concentric_spheres_have_a_closed_form() -> None:
    small, large = 30.0, 40.0
    found = normal_map_error(normal_maps(_ball(small)), normal_maps(_ball(large)))
    angle = lambda r: math.asin(r / small) - math.asin(r / large)  # noqa: E731
    degrees, _ = quad(lambda r: math.degrees(angle(r)) * 2 * r / small**2, 0, small)
    assert found.angle_deg == pytest.approx(degrees, rel=0.01)
    # Where both are seen |n - m|^2 / 4; on the ring |n / 2 + 1 / 2|^2, whose x and y parts cancel.
    both, _ = quad(lambda r: (1 - math.cos(angle(r))) / 2 * 2 * math.pi * r, 0, small)
    ring, _ = quad(lambda r: (1 + math.sqrt(1 - (r / large) ** 2) / 2) * 2 * math.pi * r, small, large)
    assert found.l2 == pytest.approx(4 * (both + ring) / 204.8**2, rel=0.01)


def test_equal_meshes_differ_by_nothing_and_normals_of_a_file_do_not_matter() -> None:
    ball = _ball(40.0, cuts=3)
    odd = replace(ball, normals=np.tile([1.0, 0.0, 0.0], (len(ball.vertices), 1)))
    found = normal_map_error(normal_maps(odd), normal_maps(ball))
    assert (found.l2, found.angle_deg) == (0.0, pytest.approx(0.0, abs=0.05))


def test_views_are_front_right_back_and_left() -> None:
    """A box in front of the body is seen by the front view from ahead and by the side views edge-on."""
    box = trimesh.creation.box(extents=(40, 120, 10))
    mesh = Mesh(np.asarray(box.vertices) + (0, 90, 30), np.asarray(box.faces, dtype=np.int64))
    maps = normal_maps(mesh)
    width = [int(view.seen.any(0).sum()) * 204.8 / NORMAL_MAP_SIZE for view in maps]
    assert width == pytest.approx([40, 10, 40, 10], abs=0.5)
    middle = [float(np.flatnonzero(view.seen.any(0)).mean() + 0.5) * 0.4 - 102.4 for view in maps]
    # The subject is turned by +yaw about y: what lies in front (+z) moves to the right of the picture (+x) at 90.
    assert middle == pytest.approx([0, 30, 0, -30], abs=0.3)
    for view in maps:
        center = view.normals_camera[view.seen].mean(0)
        assert center[2] > 0.5 and abs(center[0]) < 0.1


def test_box_limits_the_pixels() -> None:
    truth = _ball(40.0)
    vertices = truth.vertices.copy()
    vertices[vertices[:, 1] < 80, 0] *= 1.3
    pred = Mesh(vertices, truth.faces)
    box = [[-20.0, 100.0, -60.0], [20.0, 120.0, 60.0]]
    assert normal_map_error(normal_maps(pred), normal_maps(truth), box).l2 < 1e-6
    assert normal_map_error(normal_maps(pred), normal_maps(truth)).l2 > 0.01
    nowhere = normal_map_error(normal_maps(pred), normal_maps(truth), [[90.0] * 3, [95.0] * 3])
    assert math.isnan(nowhere.l2) and math.isnan(nowhere.angle_deg)
    face = measure(pred, truth, box, MetricOptions(samples=500, face_samples=500, volume_spacing_cm=2.0))[
        "face"
    ]
    assert face["normal_map_deg"] < 0.01


def _independent(source: Mesh, target: Mesh, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Distances and normal angles of trimesh's samples to trimesh's closest points, every triangle tried."""
    own = trimesh.Trimesh(source.vertices, source.faces, process=False)
    other = trimesh.Trimesh(target.vertices, target.faces, process=False)
    points, face = trimesh.sample.sample_surface(own, count, seed=seed)
    triangles = len(other.faces)
    near = trimesh.triangles.closest_point(
        np.tile(other.triangles, (count, 1, 1)), np.repeat(points, triangles, axis=0)
    )
    distance = np.linalg.norm(near.reshape(count, triangles, 3) - points[:, None], axis=2)
    cosine = np.einsum("ij,ij->i", own.face_normals[face], other.face_normals[distance.argmin(1)])
    return distance.min(1), np.degrees(np.arccos(np.clip(cosine, -1, 1)))


def test_surface_numbers_equal_another_library() -> None:
    """An ellipsoid against a turned one; both means agree within three standard errors."""
    ball = _ball(1.0, (0.0, 0.0, 0.0), cuts=2)
    pred = Mesh(ball.vertices * (30, 60, 20) + (1, 90, 2), ball.faces)
    turn = np.array([[0.8, 0.6, 0.0], [-0.6, 0.8, 0.0], [0.0, 0.0, 1.0]])
    truth = Mesh(ball.vertices * (30, 60, 20) @ turn.T + (0, 90, 0), ball.faces)
    count = 1500
    there, back = _independent(pred, truth, count, 1), _independent(truth, pred, count, 2)
    found = measure(pred, truth, options=MetricOptions(samples=20_000, volume_spacing_cm=2.0))["body"]
    error = [values.std() / math.sqrt(count) for values in (*there, *back)]
    assert found["p2s_cm"] == pytest.approx(there[0].mean(), abs=3 * error[0])
    chamfer = (there[0].mean() + back[0].mean()) / 2
    assert found["chamfer_cm"] == pytest.approx(chamfer, abs=3 * math.hypot(error[0], error[2]) / 2)
    angle = (there[1].mean() + back[1].mean()) / 2
    assert found["normal_deg"] == pytest.approx(angle, abs=3 * math.hypot(error[1], error[3]) / 2)
    inside = [
        np.square((points - m.vertices.mean(0)) @ t / (30, 60, 20)).sum(1) < 1
        for points in [np.random.default_rng(0).uniform([-60, 20, -30], [60, 160, 30], (200_000, 3))]
        for m, t in ((pred, np.eye(3)), (truth, turn))
    ]
    share = (inside[0] & inside[1]).sum() / (inside[0] | inside[1]).sum()
    # The ellipsoids are polyhedra of 320 triangles: a little smaller, both alike.
    assert found["iou"] == pytest.approx(share, abs=0.01)
