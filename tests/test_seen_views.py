"""One face from the network's points in several views: closed forms, habits undone, and a processed set."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from face_people import distance_to_truth, model, person, write_subject

from jiff.base.errors import FitError
from jiff.base.progress import NullProgress
from jiff.data.layout import ProcessedSet
from jiff.face.detect.points_detector import PointsDetector
from jiff.face.fit.fitting import FacePose
from jiff.face.fit.points_fit import PointsView, fit_points, fit_views
from jiff.face.fit.scan_fit import fit_scan
from jiff.face.habits import in_face_frame, learnt_habits
from jiff.face.points import anny_points
from jiff.geometry.camera import Camera, rotation_x, rotation_y
from jiff.geometry.io.mesh_io import load_mesh, save_image
from jiff.options.face import FaceConfig
from jiff.perception.networks import PersonNetworks
from jiff.pipelines import face
from jiff.pipelines.face import run_face
from jiff.pipelines.seen_views import turned_views


def _true_pose() -> FacePose:
    m = model()
    return FacePose(
        1.1, rotation_y(0.2) @ rotation_x(0.1), np.array([3.0, 160.0, 7.0]),
        0.7 * np.random.default_rng(2).normal(size=len(m.identity)), np.zeros(len(m.expression)),
    )  # fmt: skip


def _view(pose: FacePose, yaw_deg: float) -> PointsView:
    """Exact points; their depths have an offset of the view's own."""
    points, camera = anny_points(model(), habits=False), Camera.at_yaw(yaw_deg)
    world = points.on(pose.vertices(model()))
    mesh = np.zeros((468, 3))
    mesh[points.which, :2] = camera.world_to_pixel(world)
    depth = world @ camera.rotation[2]
    mesh[points.which, 2] = -(depth - depth.mean() + yaw_deg) / (2 * camera.half_width_world / camera.size)
    return PointsView(camera, mesh)


def test_views_that_differ_tell_the_depth_and_more_of_the_form() -> None:
    truth, m = _true_pose(), model()
    points = anny_points(m, habits=False)
    views = [_view(truth, yaw) for yaw in (0.0, -30.0, 30.0)]
    found = fit_views(m, points, views)
    gap = np.linalg.norm((found.pose.vertices(m) - truth.vertices(m))[m.core], axis=1)
    assert np.median(gap) < 0.2 and found.residual < 0.25
    np.testing.assert_allclose(found.pose.offset, truth.offset, atol=0.6)
    alone = fit_points(m, points, views[0].camera, views[0].mesh_px)
    # Depth unknown: nearer to the truth only where the guess happens to be.
    flat = np.linalg.norm((alone.pose.vertices(m) - truth.vertices(m))[m.core][:, :2], axis=1)
    assert np.median(flat) < 0.3
    assert abs(alone.pose.offset[2] - 5.0) < 1e-6


def test_the_order_of_views_and_one_view_twice_change_little() -> None:
    truth, m = _true_pose(), model()
    points = anny_points(m, habits=False)
    a, b = _view(truth, -30.0), _view(truth, 30.0)
    one, other = fit_views(m, points, [a, b]).pose, fit_views(m, points, [b, a]).pose
    np.testing.assert_allclose(one.vertices(m), other.vertices(m), atol=0.02)
    single, twice = fit_views(m, points, [a]).pose, fit_views(m, points, [a, a]).pose
    np.testing.assert_allclose(single.vertices(m), twice.vertices(m), atol=1e-6)


def test_habits_do_not_depend_on_place_size_and_turn(rng: np.random.Generator) -> None:
    habits = learnt_habits()
    points = habits.places + habits.said + 0.1 * rng.normal(size=habits.places.shape)
    turn, offset = rotation_y(0.5) @ rotation_x(-0.3), np.array([4.0, -2.0, 30.0])
    plain, moved = habits.undone(points), habits.undone(1.3 * points @ turn.T + offset)
    np.testing.assert_allclose(moved, 1.3 * plain @ turn.T + offset, atol=1e-6)
    # What the network says on average becomes what is true on average.
    scale, rotation, shift, said = in_face_frame(habits.places, habits.spread, habits.places + habits.said)
    undone = (habits.undone(habits.places + habits.said) - shift) @ rotation / scale - habits.places
    assert np.abs(undone - habits.true).max() < 2 * np.abs(said - habits.said).max() + 0.05


def test_what_differs_in_a_face_is_kept_and_its_identity_taken_from_the_undone_points() -> None:
    habits, m = learnt_habits(), model()
    points = anny_points(m)
    assert points.habits is habits
    truth = replace(_true_pose(), rotation=np.eye(3))
    view = _view(truth, 0.0)
    with_habits = fit_points(m, points, view.camera, view.mesh_px)
    without = fit_points(m, replace(points, habits=None), view.camera, view.mesh_px)
    assert not np.allclose(with_habits.pose.identity, without.pose.identity, atol=0.05)
    assert with_habits.residual < 1.0


@pytest.fixture(scope="module")
def turned_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("turned")
    write_subject(root, "anna", person().mesh, yaws=(0, 28, 60, 330))
    return root


def test_the_turned_pictures_of_a_set_join_the_fit(networks: PersonNetworks, turned_set: Path) -> None:
    dataset = ProcessedSet(turned_set)
    assert turned_views(dataset, "anna") == ["330_0_00", "28_0_00"]
    report = run_face(FaceConfig(input=turned_set, jobs=1), NullProgress())
    assert not report.failures
    assert report.results["anna"]["views"] == 3
    face = load_mesh(dataset.face_mesh("anna"))
    gap = distance_to_truth(face.vertices[model().core], person().face)
    assert np.median(gap) < 0.03
    assert run_face(FaceConfig(input=turned_set, jobs=1), NullProgress()).skipped == ["anna"]
    # Another turned picture is another input, and one without a face is left out.
    save_image(dataset.render("anna", "28_0_00"), np.full((512, 512, 3), 90, np.uint8))
    again = run_face(FaceConfig(input=turned_set, jobs=1), NullProgress())
    assert again.results["anna"]["views"] == 2


@pytest.mark.parametrize("fallback_finds", [True, False])
def test_cascades_look_where_the_networks_were_refused(
    networks: PersonNetworks, turned_set: Path, monkeypatch: pytest.MonkeyPatch, fallback_finds: bool
) -> None:
    tried: list[str] = []

    def refusing(
        fitter: Any, scene: Any, camera: Any, picture: Any, mask: Any, detector: Any, *rest: Any, **more: Any
    ) -> Any:
        tried.append(detector.name)
        if isinstance(detector, PointsDetector) or not fallback_finds:
            raise FitError(f"refused {detector.name}")
        return fit_scan(fitter, scene, camera, picture, mask, detector, *rest, **more)

    monkeypatch.setattr(face, "fit_scan", refusing)
    report = run_face(FaceConfig(input=turned_set, overwrite=True, jobs=1), NullProgress())
    assert len(tried) == 2 and tried[0] == PointsDetector(networks).name != tried[1]
    if fallback_finds:
        assert len(report.results) == 1 and not report.failures
    else:
        assert [tried[0] in reason for reason in report.failures.values()] == [True], (
            "the networks' reason is told"
        )
