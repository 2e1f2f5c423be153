"""``data body`` on a processed set: the truth of synthetic scans, bodies from views and surface, fits of the views."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from posed_body import coat, placed_body
from scipy.spatial.transform import Rotation

from jiff.base.errors import AssetError, DatasetError, InputError
from jiff.base.files import read_json, write_json
from jiff.base.progress import NullProgress
from jiff.body.anny_body import AnnyBody, load_anny_body
from jiff.body.files import read_body
from jiff.body.fit.fitting import UNTOLD
from jiff.body.fit.in_scan import ScanSurface, skin_in_scan
from jiff.body.fit.regressor import SHAPES
from jiff.body.fit.surface import SurfaceFitter, fit_surface
from jiff.body.fit.views import OneView, combine_views
from jiff.body.legs import leg_changes
from jiff.body.placed import PlacedBody
from jiff.body.placing import moved
from jiff.body.skeleton import JOINTS, JointPose
from jiff.check.staleness import stale_stages
from jiff.data.layout import ProcessedSet
from jiff.data.true_body import find_truth, true_body
from jiff.data.view_bodies import ViewBody, read_view_bodies, write_view_bodies
from jiff.geometry.camera import rotation_x, rotation_y
from jiff.options.body import BodyConfig
from jiff.options.check import CheckConfig
from jiff.options.prt import PrtConfig
from jiff.options.render import RenderConfig
from jiff.options.rescale import RescaleConfig
from jiff.options.synth import SynthConfig
from jiff.perception.networks import PersonNetworks
from jiff.pipelines import body_views
from jiff.pipelines.body import run_body
from jiff.pipelines.body_views import training_views
from jiff.pipelines.check import run_check
from jiff.pipelines.prt import run_prt
from jiff.pipelines.render import run_render
from jiff.pipelines.rescale import run_rescale
from jiff.pipelines.synth import run_synth

ANNA = "synth_0000"
YAWS = (0, 90, 180, 270)


@pytest.fixture(scope="module")
def body() -> AnnyBody:
    return load_anny_body()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``raw`` scans, ``scans`` and the processed ``set`` of one person who walks; never written to."""
    root = tmp_path_factory.mktemp("bodies")
    raw, scans, done = (root / name for name in ("raw", "scans", "set"))
    for report in (
        run_synth(SynthConfig(out=raw, count=1, jobs=1, triangles=35_000, texture_size=256), NullProgress()),
        run_rescale(RescaleConfig(input=raw, out=scans, yaw_deg=20.0, jobs=1), NullProgress()),
        run_prt(PrtConfig(input=scans, directions=4, jobs=1), NullProgress()),
        run_render(
            RenderConfig(input=scans, out=done, high_size=0, yaws=YAWS, uv_render=False, jobs=1),
            NullProgress(),
        ),
    ):
        assert not report.failures
    return root


@pytest.fixture
def people(world: Path, tmp_path: Path) -> Path:
    """The same in a folder of the test's own."""
    shutil.copytree(world, tmp_path / "w")
    return tmp_path / "w"


def config(root: Path, views: int = 0, **more: object) -> BodyConfig:
    return BodyConfig(input=root, views=views, jobs=1, **more)  # type: ignore[arg-type]


def test_moving_a_body_moves_its_skin(body: AnnyBody) -> None:
    placed = placed_body()
    linear = 1.3 * rotation_y(0.7) @ rotation_x(-0.4)
    offset = np.array([3.0, -20.0, 5.0])
    there = moved(placed, body, linear, offset)
    wanted = placed.vertices_world(body) @ linear.T + offset
    np.testing.assert_allclose(there.vertices_world(body), wanted, atol=1e-3)
    np.testing.assert_allclose(
        there.joints_world(body), placed.joints_world(body) @ linear.T + offset, atol=1e-3
    )
    for wrong in (np.diag([1.0, 1.0, -1.0]), np.diag([1.0, 2.0, 1.0]), np.zeros((3, 3))):
        with pytest.raises(ValueError, match="rotation times a positive scale"):
            moved(placed, body, wrong, offset)


def _view_of(body: AnnyBody, truth: PlacedBody, yaw: float, rng: np.random.Generator) -> OneView:
    """A fit as photos give it: right in the picture, 12 units off in depth, rotations off by some degrees."""
    rotation = rotation_y(np.radians(yaw))
    turns = truth.pose.turns + 0.08 * rng.normal(size=truth.pose.turns.shape)
    # The root is known least about the axes in the picture.
    lean = (
        Rotation.from_matrix(rotation.T)
        * Rotation.from_rotvec([0.15, 0.0, 0.0])
        * Rotation.from_matrix(rotation)
    )
    turns[0] = (lean * Rotation.from_rotvec(truth.pose.turns[0])).as_rotvec()
    seen = PlacedBody(truth.phenotypes, JointPose(turns, truth.pose.hands), truth.scale, truth.offset_world)
    gap = (truth.joints_world(body)[0] - seen.joints_world(body)[0]) + 12.0 * rotation[2]
    seen = PlacedBody(seen.phenotypes, seen.pose, seen.scale, seen.offset_world + gap)
    return OneView(seen, rotation, np.tile([1.5, 1.5, 6.0], (len(JOINTS), 1)), np.full(len(JOINTS), 0.1))


def test_views_together_know_more_than_each_and_a_mixed_up_one_changes_little(
    body: AnnyBody, rng: np.random.Generator
) -> None:
    truth = placed_body()
    truth = replace(truth, phenotypes={"weight": 0.5})
    joints = truth.joints_world(body)
    views = [_view_of(body, truth, yaw, rng) for yaw in range(0, 360, 45)]
    alone = [np.linalg.norm(view.body.joints_world(body) - joints, axis=1).mean() for view in views]
    told = combine_views(views, body)
    together = np.linalg.norm(told.joints - joints, axis=1).mean()
    assert together < 0.35 * min(alone)
    assert np.linalg.norm(told.body.joints_world(body) - joints, axis=1).mean() < 3.5
    assert (told.joint_sigma > 0.9).all() and (told.joint_sigma < 5).all()
    # Seen from behind as if from the front.
    about = Rotation.from_euler("y", 180, degrees=True)
    turns = views[4].body.pose.turns.copy()
    turns[0] = (about * Rotation.from_rotvec(turns[0])).as_rotvec()
    views[4] = replace(views[4], body=replace(views[4].body, pose=JointPose(turns, views[4].body.pose.hands)))
    mixed = combine_views(views, body)
    assert np.linalg.norm(mixed.joints - joints, axis=1).mean() < together + 1.0
    assert np.linalg.norm(mixed.turns[0] - told.turns[0]) < 0.1
    single = combine_views(views[:1], body)
    assert np.isfinite(single.joints).all() and (single.joint_sigma[:, 2] > single.joint_sigma[:, 0]).all()


def test_the_surface_tells_what_views_do_not(body: AnnyBody, rng: np.random.Generator) -> None:
    truth = replace(placed_body(), phenotypes={"weight": 0.7, "gender": 0.2})
    surface = ScanSurface(coat(body, truth, finer=0, offset=1.5))
    views = [_view_of(body, truth, yaw, rng) for yaw in (0, 90, 180, 270)]
    views = [
        replace(view, body=replace(view.body, phenotypes={"weight": 0.5, "gender": 0.5})) for view in views
    ]
    told = combine_views(views, body)
    fit = SurfaceFitter(body).fit(surface, told)
    skin = truth.vertices_world(body)[:13380]

    def off(placed: PlacedBody) -> float:
        return float(np.linalg.norm(placed.vertices_world(body)[:13380] - skin, axis=1).mean())

    assert off(fit.body) < 2.6 and off(fit.body) < 0.7 * off(told.body)
    assert fit.outside_share < 0.03 and fit.bare_distance < 2.0
    lies = skin_in_scan(truth, body, surface)
    assert lies.outside_share < 0.01 and 0.3 < lies.bare_distance < 1.6 and lies.refusal is None
    aside = replace(truth, offset_world=truth.offset_world + [60.0, 0.0, 0.0])
    assert "outside of the scan" in (skin_in_scan(aside, body, surface).refusal or "")
    small = skin_in_scan(replace(truth, scale=0.6 * truth.scale), body, surface)
    assert small.unexplained_share > 0.25 and small.refusal
    # Most views from behind taken for views of the front: one that was not finds its like.
    about = Rotation.from_euler("y", 180, degrees=True)
    for k in range(3):
        wrong = views[k].body.pose.turns.copy()
        wrong[0] = (about * Rotation.from_rotvec(wrong[0])).as_rotvec()
        views[k] = replace(
            views[k], body=replace(views[k].body, pose=JointPose(wrong, placed_body().pose.hands))
        )
    best, _ = fit_surface(views, surface, SurfaceFitter(body))
    assert best.fault < 0.1


def test_fits_of_views_are_read_as_written(tmp_path: Path) -> None:
    path = tmp_path / "BODY" / "a" / "views.npz"
    assert read_view_bodies(path) == []
    placed = replace(placed_body(), phenotypes={"age": 0.7, "weight": 0.4}, local_changes=leg_changes(-0.3))
    sigma = np.arange(63.0).reshape(21, 3)
    good = ViewBody("0_0_00", "", placed, np.eye(3), 2 * sigma, sigma, np.arange(21.0))
    written = [
        good,
        replace_view(good, "5_0_00", "it lies off"),
        ViewBody("90_0_00", "nobody", None, rotation_y(1.0)),
    ]
    write_view_bodies(path, written, ("age", "weight"))
    # What every fit holds is what the set's views are written with.
    assert set(body_views._PHENOTYPES) == {*UNTOLD, *SHAPES} and "cupsize" in UNTOLD
    found = read_view_bodies(path)
    assert [(v.view, v.refused, v.accepted) for v in found] == [
        ("0_0_00", "", True), ("5_0_00", "it lies off", False), ("90_0_00", "nobody", False),
    ]  # fmt: skip
    assert found[0].body is not None and found[0].body.phenotypes == placed.phenotypes
    assert found[0].body.local_changes == placed.local_changes
    np.testing.assert_array_equal(found[0].body.pose.turns, placed.pose.turns)
    np.testing.assert_array_equal(found[0].joint_sigma, sigma)
    assert found[2].body is None and np.isnan(found[2].joints).all()
    np.testing.assert_array_equal(found[2].rotation, rotation_y(1.0))
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DatasetError, match="delete it"):
        read_view_bodies(path)


def replace_view(view: ViewBody, name: str, refused: str) -> ViewBody:
    return ViewBody(name, refused, view.body, view.rotation, view.joints, view.joint_sigma, view.turns_sigma)


def test_the_truth_is_found_beside_the_scans_and_lies_in_the_scan(people: Path, body: AnnyBody) -> None:
    dataset = ProcessedSet(people / "set")
    truth = people / "raw" / ANNA / f"{ANNA}_truth.json"
    assert find_truth(dataset, ANNA) == truth
    report = run_body(config(dataset.root), NullProgress())
    assert not report.failures and report.results[ANNA]["source"] == "truth"
    assert report.results[ANNA]["outside_scan"] < 0.01 and report.results[ANNA]["bare_skin_off_scan"] < 0.1
    assert dataset.body_mesh(ANNA).is_file() and not dataset.body_views(ANNA).exists()
    height = np.ptp(read_body(dataset.body(ANNA)).vertices_world(body)[:13380, 1])
    assert 150 < height < 182
    assert run_body(config(dataset.root), NullProgress()).skipped == [ANNA]
    assert stale_stages(dataset, ANNA) == []
    # Away from its scans the set keeps what it knows, also where it is done again.
    away = people / "away" / "deep" / "set"
    shutil.copytree(dataset.root, away)
    before = dataset.body(ANNA).read_bytes()
    assert find_truth(ProcessedSet(away), ANNA) is None
    assert run_body(config(away), NullProgress()).skipped == [ANNA]
    assert run_body(config(away, overwrite=True), NullProgress()).results[ANNA]["source"] == "truth"
    bodies = [read_body(root.body(ANNA)).joints_world(body) for root in (ProcessedSet(away), dataset)]
    np.testing.assert_allclose(*bodies, atol=2e-3)
    assert find_truth(ProcessedSet(away), ANNA, people / "raw") == truth
    # Another truth: done again, and the old one is named stale before.
    content = read_json(truth)
    content["body"]["facial_actions"]["jawOpen"] = 0.3
    write_json(truth, content)
    assert (
        "truth changed" in stale_stages(dataset, ANNA)[0]
        and "jiff data body" in stale_stages(dataset, ANNA)[0]
    )
    assert list(run_body(config(dataset.root), NullProgress()).results) == [ANNA]
    assert dataset.body(ANNA).read_bytes() != before


def test_a_scan_that_does_not_say_where_it_comes_from_has_no_true_body(people: Path, body: AnnyBody) -> None:
    dataset = ProcessedSet(people / "set")
    scan, truth = dataset.geometry(ANNA), people / "raw" / ANNA / f"{ANNA}_truth.json"
    scan.write_text(scan.read_text().partition("\n")[2])
    with pytest.raises(InputError, match="does not say how it was rescaled"):
        true_body(dataset, ANNA, truth, body)
    write_json(truth, {"seed": 1})
    assert true_body(dataset, ANNA, truth, body) is None
    write_json(truth, {"body": {"turns": 3}})
    with pytest.raises(InputError, match="does not hold a body"):
        true_body(dataset, ANNA, truth, body)


def test_fitting_views_needs_networks(world: Path) -> None:
    with pytest.raises(AssetError, match="jiff assets fetch perception"):
        run_body(config(world / "set", views=1), NullProgress())


def test_views_of_training_are_those_of_file_number(people: Path) -> None:
    dataset = ProcessedSet(people / "set")
    assert training_views(dataset, ANNA, 1) == [f"{yaw}_0_00" for yaw in YAWS]
    assert training_views(dataset, ANNA, 3) == ["0_0_00", "270_0_00"]
    assert training_views(dataset, ANNA, 0) == []
    dataset.file_number(ANNA).parent.mkdir(parents=True)
    dataset.file_number(ANNA).write_text("0\n270\n")
    assert training_views(dataset, ANNA, 1) == ["0_0_00", "270_0_00"]


def test_views_are_fitted_once_and_a_killed_run_goes_on(
    networks: PersonNetworks, people: Path, body: AnnyBody, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = ProcessedSet(people / "set")
    done, fit_view = [], body_views.fit_view

    def counted(dataset: ProcessedSet, subject: str, view: str) -> ViewBody:
        if len(done) == 1 and not dataset.body_views(subject).is_file():
            raise AssertionError("the first view was not kept")
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(view)
        return fit_view(dataset, subject, view)

    monkeypatch.setattr(body_views, "_SAVE_EVERY", 1)
    monkeypatch.setattr(body_views, "fit_view", counted)
    with pytest.raises(KeyboardInterrupt):
        run_body(config(dataset.root, views=1), NullProgress())
    assert not dataset.body(ANNA).exists() and len(read_view_bodies(dataset.body_views(ANNA))) == 2
    done.clear()
    done.append("")
    report = run_body(config(dataset.root, views=3), NullProgress())
    # The front was there already.
    assert done[1:] == ["270_0_00"] and report.results[ANNA]["views"] == 3
    assert report.results[ANNA]["source"] == "truth" and report.results[ANNA]["joints_off"] < 12
    assert run_body(config(dataset.root, views=3), NullProgress()).skipped == [ANNA]
    truth = read_body(dataset.body(ANNA)).joints_world(body)
    front = read_view_bodies(dataset.body_views(ANNA))[0]
    assert front.accepted and front.body is not None
    np.testing.assert_allclose(front.body.joints_world(body), front.joints, atol=1e-6)
    for view in read_view_bodies(dataset.body_views(ANNA)):
        in_picture = (view.joints - truth) @ view.rotation.T
        assert np.linalg.norm(in_picture[:, :2], axis=1).mean() < (4 if view is front else 8), view.view
    # Another truth is another body, and nothing to the views.
    path = people / "raw" / ANNA / f"{ANNA}_truth.json"
    write_json(path, {**read_json(path), "more": 1})
    assert run_body(config(dataset.root, views=3), NullProgress()).results[ANNA]["views"] == 3
    assert done[1:] == ["270_0_00"]


def test_without_truth_views_and_surface_give_the_body(
    networks: PersonNetworks, people: Path, body: AnnyBody, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = ProcessedSet(people / "set")
    path = people / "raw" / ANNA / f"{ANNA}_truth.json"
    truth = true_body(dataset, ANNA, path, body)
    assert truth is not None
    # A truth of somebody else is not believed.
    content = read_json(path)
    content["body"]["offset"][0] += 0.5
    write_json(path, content)
    progress = NullProgress()
    report = run_body(config(dataset.root), progress)
    assert not report.failures and report.results[ANNA]["source"] == "views and surface"
    assert "is not of this scan" in progress.warnings[0] and str(path) in progress.warnings[0]
    assert report.results[ANNA]["views"] == 4
    record = read_json(dataset.body(ANNA))
    assert "outside of the scan" in record["notes"][0] and record["joint_sigma_world"]["wrist.L"][0] > 0.5
    found = read_body(dataset.body(ANNA))
    assert np.linalg.norm(found.joints_world(body) - truth.joints_world(body), axis=1).mean() < 4.5
    gap = found.vertices_world(body)[:13380] - truth.vertices_world(body)[:13380]
    assert np.linalg.norm(gap, axis=1).mean() < 5
    assert run_body(config(dataset.root), NullProgress()).skipped == [ANNA]
    # Nobody is seen: no body, and the old one does not stay.
    monkeypatch.setattr(body_views, "look_at", lambda *_: None)
    report = run_body(config(dataset.root, overwrite=True), NullProgress())
    assert "no view of it shows a person" in report.failures[ANNA]
    assert not dataset.body_mesh(ANNA).exists()
    checked = run_check(CheckConfig(dataset.root, jobs=1, silhouettes=1, face=False), NullProgress())
    assert "Body refused: no view" in checked.results[ANNA].sentence()
    assert stale_stages(dataset, ANNA) == []
    with pytest.raises(InputError, match="no view of it shows"):
        read_body(dataset.body(ANNA))
