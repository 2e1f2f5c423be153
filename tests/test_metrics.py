"""Metrics against closed forms; repeatability; face region; alignment."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import trimesh
from scipy.integrate import quad

from jiff.base.errors import MeshError
from jiff.geometry.mesh import Mesh
from jiff.geometry.raycast import RayScene
from jiff.metrics.alignment import aligned, rigid_fit
from jiff.metrics.measure import MetricOptions, measure, reached_from_outside, sample_surface, volume_iou

OPTIONS = MetricOptions(samples=8000, face_samples=4000, volume_spacing_cm=0.6, face_volume_spacing_cm=0.6)


def _sphere(radius: float, center: tuple[float, float, float] = (0, 0, 0), subdivisions: int = 4) -> Mesh:
    ball = trimesh.creation.icosphere(subdivisions=subdivisions, radius=radius)
    return Mesh(np.asarray(ball.vertices) + center, np.asarray(ball.faces, dtype=np.int64))


def _box(half: tuple[float, float, float]) -> Mesh:
    box = trimesh.creation.box(extents=2 * np.array(half))
    return Mesh(np.asarray(box.vertices), np.asarray(box.faces, dtype=np.int64))


def test_concentric_spheres() -> None:
    found = measure(_sphere(11.0), _sphere(10.0), options=OPTIONS)["body"]
    assert found["chamfer_cm"] == pytest.approx(1.0, abs=0.015)
    assert found["p2s_cm"] == pytest.approx(1.0, abs=0.015)
    assert found["normal_deg"] < 2.0
    assert found["iou"] == pytest.approx((10 / 11) ** 3, abs=0.01)


def test_shifted_spheres() -> None:
    radius, shift = 10.0, 4.0
    found = measure(_sphere(radius, (shift, 0, 0)), _sphere(radius), options=OPTIONS)["body"]
    # A point of one sphere at angle t from the axis lies sqrt(r^2 + d^2 + 2 r d cos t) from the other's centre.
    expected, _ = quad(
        lambda c: abs(math.sqrt(radius**2 + shift**2 + 2 * radius * shift * c) - radius) / 2,
        -1,
        1,
        points=[-0.2],
    )
    angle, _ = quad(
        lambda c: (
            math.degrees(
                math.acos((radius + shift * c) / math.sqrt(radius**2 + shift**2 + 2 * radius * shift * c))
            )
            / 2
        ),
        -1,
        1,
    )
    lens = math.pi * (4 * radius + shift) * (2 * radius - shift) ** 2 / 12
    ball = 4 / 3 * math.pi * radius**3
    assert found["chamfer_cm"] == pytest.approx(expected, rel=0.02)
    assert found["p2s_cm"] == pytest.approx(expected, rel=0.02)
    assert found["normal_deg"] == pytest.approx(angle, rel=0.05)
    assert found["iou"] == pytest.approx(lens / (2 * ball - lens), abs=0.01)


def test_turned_boxes() -> None:
    """Two long boxes turned by 90 degrees about y: the intersection is a cube."""
    long = _box((20.0, 2.0, 2.0))
    quarter = np.array([[0.0, 0, 1], [0, 1, 0], [-1, 0, 0]])
    found = measure(long.transformed(quarter), long, options=OPTIONS)["body"]
    assert found["iou"] == pytest.approx(64 / (2 * 640 - 64), abs=0.01)
    identical = measure(long, long, options=OPTIONS)["body"]
    assert identical["chamfer_cm"] < 1e-9
    assert identical["normal_deg"] < 1e-3
    assert identical["iou"] == 1.0


def test_numbers_repeat_exactly_and_depend_on_the_seed() -> None:
    pred, truth = _sphere(9.0, (1, 0, 0), 3), _sphere(10.0, subdivisions=3)
    box = [[-4, -4, 5], [4, 4, 12]]
    one, two = measure(pred, truth, box, OPTIONS), measure(pred, truth, box, OPTIONS)
    assert one == two
    assert measure(pred, truth, box, MetricOptions(samples=8000, seed=1))["body"] != one["body"]


def test_direction_of_p2s() -> None:
    """A piece that is missing in the reconstruction costs Chamfer but not P2S."""
    truth = Mesh(
        np.concatenate([_sphere(10.0).vertices, _sphere(10.0).vertices + (100, 0, 0)]),
        np.concatenate([_sphere(10.0).faces, _sphere(10.0).faces + len(_sphere(10.0).vertices)]),
    )
    found = measure(_sphere(10.0), truth, options=OPTIONS)["body"]
    assert found["p2s_cm"] < 1e-9
    assert found["chamfer_cm"] > 20
    assert found["iou"] == pytest.approx(0.5, abs=0.01)


def test_face_region_is_measured_where_the_scan_has_it() -> None:
    """The front of the reconstruction is pushed out by 3; only the face sees it."""
    truth = _sphere(50.0)
    vertices = truth.vertices.copy()
    front = vertices[:, 2] > 40
    vertices[front] *= 53.0 / 50.0
    box = [[-15, -15, 44], [15, 15, 51]]
    found = measure(Mesh(vertices, truth.faces), truth, box, OPTIONS)
    assert found["face"]["p2s_cm"] == pytest.approx(3.0, abs=0.1)
    assert found["face"]["chamfer_cm"] == pytest.approx(3.0, abs=0.1)
    assert found["body"]["p2s_cm"] < 0.5
    x, y = np.meshgrid(np.linspace(-15, 15, 301), np.linspace(-15, 15, 301))
    scan, pushed = (np.clip(np.sqrt(r**2 - x**2 - y**2), 44, 51) - 44 for r in (50.0, 53.0))
    assert found["face"]["iou"] == pytest.approx(scan.sum() / pushed.sum(), abs=0.02)
    coarse = MetricOptions(samples=100, face_samples=500, volume_spacing_cm=2.0)
    far = measure(_sphere(50.0, (0, 150, 0)), truth, box, coarse)["face"]
    assert math.isnan(far["chamfer_cm"]) and far["iou"] == 0.0


def test_hidden_surface_is_left_out(rng: np.random.Generator) -> None:
    inner, outer = _sphere(8.0, subdivisions=3), _sphere(10.0, subdivisions=3)
    both = Mesh(
        np.concatenate([outer.vertices, inner.vertices]),
        np.concatenate([outer.faces, inner.faces + len(outer.vertices)]),
    )
    samples = sample_surface(both, 4000, rng)
    seen = reached_from_outside(RayScene(both.vertices, both.faces), samples, rng)
    radius = np.linalg.norm(samples.points, axis=1)
    assert seen[radius > 9].all()
    assert not seen[radius < 9].any()
    assert measure(outer, both, options=OPTIONS)["body"]["chamfer_cm"] < 1e-6
    everything = MetricOptions(samples=4000, volume_spacing_cm=1.0, outer_only=False)
    assert measure(outer, both, options=everything)["body"]["chamfer_cm"] > 0.3


def test_samples_are_uniform_by_area(rng: np.random.Generator) -> None:
    vertices = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [10, 0, 0], [13, 0, 0], [10, 1, 0]])
    mesh = Mesh(vertices, np.array([[0, 1, 2], [3, 4, 5]]))
    samples = sample_surface(mesh, 40_000, rng)
    second = samples.points[:, 0] >= 10
    assert second.mean() == pytest.approx(0.75, abs=1e-3)
    np.testing.assert_allclose(samples.points[~second].mean(0), [1 / 3, 1 / 3, 0], atol=0.01)
    np.testing.assert_allclose(samples.normals, [[0, 0, 1]] * len(samples))
    with pytest.raises(MeshError, match="no area"):
        sample_surface(Mesh(np.zeros((3, 3)), np.array([[0, 1, 2]])), 5, rng)


def test_volume_of_nothing_is_not_a_number(rng: np.random.Generator) -> None:
    ball = _sphere(1.0)
    scene = RayScene(ball.vertices, ball.faces)
    assert math.isnan(volume_iou(scene, scene, [[5, 5, 5], [6, 6, 6]], 0.2, rng))


def test_alignment_recovers_motion(rng: np.random.Generator) -> None:
    box = trimesh.creation.box(extents=(30, 60, 10)).subdivide().subdivide()
    truth = Mesh(np.asarray(box.vertices), np.asarray(box.faces, dtype=np.int64))
    angle = 0.12
    turn = np.array(
        [[math.cos(angle), -math.sin(angle), 0], [math.sin(angle), math.cos(angle), 0], [0, 0, 1]]
    )
    moved = truth.transformed(turn, (2.0, -3.0, 1.0))
    assert measure(aligned(moved, truth, "none"), truth, options=OPTIONS)["body"]["chamfer_cm"] > 1
    from jiff.metrics.alignment import icp_aligned

    fitted = icp_aligned(moved, truth, samples=1500)
    assert np.abs(fitted.vertices - truth.vertices).max() < 0.2
    scaled = aligned(truth.transformed(np.eye(3) * 0.01, (5, 5, 5)), truth, "scale")
    np.testing.assert_allclose(scaled.vertices, truth.vertices, atol=1e-9)
    source = rng.normal(size=(20, 3))
    rotation, offset = rigid_fit(source, source @ turn.T + [1, 2, 3])
    np.testing.assert_allclose(rotation, turn, atol=1e-12)
    np.testing.assert_allclose(offset, [1, 2, 3], atol=1e-12)


def test_a_metric_is_one_entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Measurement, tables, protocol and the demo's report follow the list."""
    from jiff.metrics import registry, tables
    from jiff.metrics.registry import METRICS, Metric
    from jiff.options.metrics import MetricsConfig
    from jiff.pipelines import demo_report
    from jiff.pipelines import metrics as pipeline

    furthest = Metric(
        "furthest_cm", "Furthest (cm)", "lower", "furthest is the largest distance of a sample",
        lambda region: float(region.forward.distance.max()),
    )  # fmt: skip
    assert len({metric.key for metric in METRICS}) == len(METRICS)
    for module in (registry, tables, pipeline, demo_report):
        monkeypatch.setattr(module, "METRICS", (*METRICS, furthest))
    found = measure(_sphere(11.0), _sphere(10.0), options=OPTIONS)
    assert found["body"]["furthest_cm"] == pytest.approx(1.0, abs=0.1)
    summary = tables.summarise({"a": found, "b": found})
    text = pipeline.protocol(MetricsConfig(tmp_path, tmp_path))
    assert "furthest is the largest distance" in text
    tables.write_tables(tmp_path, summary, text, {})
    for suffix, words in {
        "json": "furthest_cm",
        "csv": "furthest_cm",
        "md": "Furthest (cm)",
        "tex": "Furthest",
    }.items():
        assert words in (tmp_path / f"metrics.{suffix}").read_text(encoding="utf-8"), suffix
    html = demo_report._metric_table({"pifu": found, "jiff": found})
    assert "body: Furthest (cm)" in str(html)
