"""Points carried in depth with a misplaced body, their labels and colours, and the files that keep them."""

from __future__ import annotations

import zipfile
from dataclasses import fields, replace
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest

from jiff.base.errors import DatasetError
from jiff.body.anny_body import load_anny_body
from jiff.body.fit.marks import SKIN_VERTICES
from jiff.body.placed import PlacedBody
from jiff.body.prior import BodyPrior
from jiff.body.skeleton import JOINTS, JointPose
from jiff.data import person_view, view_labels
from jiff.data.carried import DepthCarrier
from jiff.data.person_view import PersonView, read_view, write_view
from jiff.data.view_labels import ViewLabels, label_view
from jiff.geometry.camera import Camera
from jiff.geometry.closest import MeshBvh
from jiff.geometry.inside import inside_mesh
from jiff.geometry.raycast import RayScene
from jiff.pipelines import photos
from tests import held_people
from tests.held_people import inputs, labels, moved, person, prior, snapshot, view


def bent(placed: PlacedBody, joint: str, turn: tuple[float, float, float]) -> PlacedBody:
    """The body with one joint turned."""
    turns = placed.pose.turns.copy()
    turns[JOINTS.index(joint)] = turn
    return replace(placed, pose=JointPose(turns, placed.pose.hands))


def around(rng: np.random.Generator, count: int = 500) -> np.ndarray:
    mesh = prior().mesh
    return mesh.vertices[rng.choice(len(mesh.vertices), count)] + rng.normal(0, 5, (count, 3))


@pytest.mark.parametrize("depth", [0.0, 7.25, -3.0])
def test_a_body_moved_in_depth_carries_points_by_as_much(depth: float, rng: np.random.Generator) -> None:
    points = around(rng)
    carried = DepthCarrier(person(), moved(person(), z=depth))(points)
    np.testing.assert_allclose(carried - points, np.broadcast_to([0, 0, depth], points.shape), atol=1e-9)


def test_in_the_picture_s_plane_nothing_is_carried(rng: np.random.Generator) -> None:
    points = around(rng)
    fitted = bent(moved(person(), 4.0, -3.0, 5.0), "upperleg.L", (0.4, 0.3, 0.0))
    carried = DepthCarrier(person(), fitted)(points)
    np.testing.assert_array_equal(carried[:, :2], points[:, :2])
    assert np.abs(carried[:, 2] - points[:, 2]).max() > 5


def test_the_points_given_stay_as_they_are(rng: np.random.Generator) -> None:
    points = around(rng).astype(np.float32)
    before = points.copy()
    DepthCarrier(person(), moved(person(), z=9.0))(points)
    np.testing.assert_array_equal(points, before)


def test_a_bent_limb_carries_what_is_near_it_alone() -> None:
    fitted = bent(person(), "lowerarm.L", (-1.0, 0.0, 0.0))
    body = load_anny_body()
    true, found = person().vertices_world(body), fitted.vertices_world(body)
    skin = true[:SKIN_VERTICES]
    by = (found - true)[:SKIN_VERTICES, 2]
    carried = DepthCarrier(person(), fitted)(skin)[:, 2] - skin[:, 2]
    hand = np.argsort(-np.abs(by))[:300]
    assert np.abs(by[hand]).min() > 8
    # The tips of a limb that turned about its joint follow its middle: shapes are not carried.
    share = carried[hand] / by[hand]
    assert share.min() > 0.5 and share.max() < 1.05
    away = (skin[:, 0] < 0) | (skin[:, 1] > 150) | (skin[:, 1] < 60)
    assert away.sum() > 5000
    np.testing.assert_allclose(carried[away], 0, atol=0.05)


def test_as_a_whole_everything_moves_by_what_the_body_is_off_on_average(rng: np.random.Generator) -> None:
    fitted = bent(moved(person(), z=5.0), "lowerarm.L", (-1.0, 0.0, 0.0))
    body = load_anny_body()
    by = (fitted.vertices_world(body) - person().vertices_world(body))[:SKIN_VERTICES, 2].mean()
    points = around(rng)
    carried = DepthCarrier(person(), fitted, whole=True)(points)
    np.testing.assert_allclose(carried - points, np.broadcast_to([0.0, 0.0, by], points.shape), atol=1e-9)
    assert abs(by - 5.0) > 0.05


def test_the_hanging_arm_beside_the_trunk_does_not_draw_it_along() -> None:
    """Averages run along the rest pose, in which arms are away from trunks."""
    fitted = bent(person(), "upperarm.R", (-0.5, 0.0, 0.55))
    skin = person().vertices_world(load_anny_body())[:SKIN_VERTICES]
    trunk = (np.abs(skin[:, 0]) < 8) & (skin[:, 1] > 90) & (skin[:, 1] < 125)
    carried = DepthCarrier(person(), fitted)(skin[trunk])
    np.testing.assert_allclose(carried, skin[trunk], atol=0.3)


def test_heads_are_carried_and_keep_their_shape(rng: np.random.Generator) -> None:
    """A head that was fitted with another face, and nods, carries points by whole centimetres, not by its features."""
    nose = replace(person(), local_changes={"head-scale-depth-incr": 1.0})
    body = load_anny_body()
    if not set(nose.local_changes) <= set(body.local_change_labels):
        label = next(name for name in body.local_change_labels if "head" in name and "depth" in name)
        nose = replace(person(), local_changes={label: 1.0})
    fitted = moved(nose, z=6.0)
    head = person().vertices_world(body)[body.region_vertices("head")]
    head = head[head[:, 1] > 165]
    by = (fitted.vertices_world(body) - person().vertices_world(body))[body.region_vertices("head"), 2]
    assert np.ptp(by) > 0.4
    carried = DepthCarrier(person(), fitted)(head)
    moved_by = carried[:, 2] - head[:, 2]
    np.testing.assert_allclose(moved_by, 6.0, atol=1.5)
    first = rng.choice(len(head), 4000)
    second = rng.choice(len(head), 4000)
    gap = np.linalg.norm(head[first] - head[second], axis=1)
    near = (gap > 0.2) & (gap < 3)
    assert near.sum() > 30
    # Neighbours keep their difference to within a twelfth of what lies between them.
    assert (np.abs(moved_by[first] - moved_by[second])[near] < 0.08 * gap[near]).all()


def label_again(rng: np.random.Generator, fitted: PlacedBody | None = None) -> ViewLabels:
    """Labels of person 0, a tenth of the usual points."""
    photo, placed = snapshot(), fitted or person()
    seen = inputs()
    with patch.multiple(view_labels, **held_people._COUNTS):
        return label_view(
            photo.shaded,
            photo.camera,
            photo.env_sh,
            person(),
            placed,
            BodyPrior(placed),
            seen.head_window,
            rng,
        )


def test_labels_of_a_true_body_are_those_of_the_scan() -> None:
    found, mesh = labels(), snapshot().shaded.mesh
    points = found.points.astype(np.float64)
    distance = MeshBvh(mesh.vertices, mesh.faces).closest(points).distance
    np.testing.assert_allclose(np.abs(found.distance.astype(float)), distance, rtol=2e-3, atol=2e-3)
    clear = distance > 0.01
    inside = inside_mesh(RayScene(mesh.vertices, mesh.faces), points)
    np.testing.assert_array_equal((found.distance > 0)[clear], inside[clear])
    assert 0.2 < inside.mean() < 0.8
    np.testing.assert_allclose(found.prior.astype(float), prior().at(points).stacked(), rtol=2e-3, atol=0.02)


def test_labels_of_a_misplaced_body_are_those_before_it_was_carried() -> None:
    found, mesh = labels(depth=8.0), snapshot().shaded.mesh
    back = found.points.astype(np.float64) - [0, 0, 8.0]
    distance = MeshBvh(mesh.vertices, mesh.faces).closest(back).distance
    np.testing.assert_allclose(np.abs(found.distance.astype(float)), distance, rtol=2e-3, atol=5e-3)
    surface = found.surface.astype(np.float64) - [0, 0, 8.0]
    assert MeshBvh(mesh.vertices, mesh.faces).closest(surface).distance.max() < 1e-3
    # The prior is that of the fitted body at the carried point: the coat stands about one unit off it.
    assert np.median(np.abs(found.surface_prior[:, 0].astype(float))) < 1.5
    says = inputs(depth=8.0).prior.at(found.points).stacked()
    np.testing.assert_allclose(found.prior.astype(float), says, rtol=2e-3, atol=0.02)


def test_air_deep_inside_the_fitted_body_is_no_label(rng: np.random.Generator) -> None:
    """A fitted arm before the trunk would be said to be air otherwise."""
    fitted = bent(person(), "upperarm.L", (-0.7, 0.0, 0.3))
    found = label_again(rng, fitted)
    says = BodyPrior(fitted).at(found.points)
    air = found.distance <= 0
    assert says.distance[air].max() < 1.6
    assert len(found.points) < len(labels().points)


def test_colours_are_those_of_the_picture_where_it_shows_the_surface() -> None:
    found, photo = labels(), snapshot()
    camera = Camera(size=photo.rgb.shape[0])
    shown = photo.shaded.render(camera, photo.env_sh).image.astype(float)
    column, row = camera.world_to_pixel(found.surface.astype(np.float64)).T.astype(int)
    drawn = photo.shaded.cast(camera)
    depth = drawn.depth_image()[row, column] * camera.half_width_world
    z = found.surface[:, 2] - float(camera.center_world[2])
    visible = np.abs(depth - z) < 0.5
    assert visible.sum() > 150
    gap = np.abs(shown[row, column] - found.color).max(axis=1)[visible]
    assert np.quantile(gap, 0.9) < 8 and np.median(gap) < 3


def test_close_up_points_lie_in_the_close_up() -> None:
    found, window = labels(), inputs().head_window
    assert found.in_head.sum() > 300 and found.surface_in_head.sum() == 250
    for points in (found.points[found.in_head], found.surface[found.surface_in_head]):
        assert (np.abs(points - window[:3])[:, :2] < 0.95 * window[3]).all()
    assert (found.points[:, 1] < 120).sum() > 400


def test_a_head_beside_the_window_leaves_no_points_of_a_head(rng: np.random.Generator) -> None:
    photo = snapshot()
    away = np.array([80.0, 20.0, 0.0, 10.0], np.float32)
    with patch.multiple(view_labels, **held_people._COUNTS):
        found = label_view(photo.shaded, photo.camera, photo.env_sh, person(), person(), prior(), away, rng)
    assert not found.surface_in_head.any() and len(found.surface) == 500


def test_equal_seeds_give_equal_labels() -> None:
    first, second, other = (label_again(np.random.default_rng(seed)) for seed in (5, 5, 6))
    for item in fields(ViewLabels):
        np.testing.assert_array_equal(getattr(first, item.name), getattr(second, item.name))
    assert first.points.shape != other.points.shape or (first.points != other.points).any()


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("view") / "view_0.npz"
    write_view(path, view())
    return path


def test_views_come_back(stored: Path) -> None:
    found, wanted = read_view(stored), view()
    for item in fields(PersonView):
        a, b = getattr(found, item.name), getattr(wanted, item.name)
        assert a.dtype == b.dtype, item.name
        np.testing.assert_array_equal(a, b)
    assert [path.name for path in stored.parent.iterdir()] == ["view_0.npz"]


@pytest.mark.parametrize("part", [0.0, 0.001, 0.3, 0.77, 0.999])
def test_cut_files_are_told_by_name(stored: Path, tmp_path: Path, part: float) -> None:
    path = tmp_path / "cut.npz"
    content = stored.read_bytes()
    path.write_bytes(content[: int(part * len(content))])
    with pytest.raises(DatasetError, match=rf"{path}: .*jiff data photos"):
        read_view(path)


def test_changed_bytes_are_told_by_name_or_change_nothing(stored: Path, tmp_path: Path) -> None:
    """Whatever zlib and NumPy raise on them."""
    content = stored.read_bytes()
    path = tmp_path / "hit.npz"
    refused = 0
    for seed in range(120):
        rng = np.random.default_rng(seed)
        hit = bytearray(content)
        # Half of them in the headers of members, where most kinds of errors come from.
        places = [m.header_offset + int(rng.integers(0, 160)) for m in zipfile.ZipFile(stored).infolist()]
        place = int(rng.choice(places)) if seed % 2 else int(rng.integers(len(content)))
        hit[place] ^= int(rng.integers(1, 256))
        path.write_bytes(bytes(hit))
        try:
            np.testing.assert_array_equal(read_view(path).points, view().points)
        except DatasetError as error:
            assert str(path) in str(error)
            refused += 1
    assert refused > 60


def test_files_of_other_versions_and_other_kinds_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    older = tmp_path / "older.npz"
    monkeypatch.setattr(person_view, "FORMAT", 0)
    write_view(older, view())
    monkeypatch.undo()
    lacking = tmp_path / "lacking.npz"
    np.savez(lacking, format=np.array(person_view.FORMAT), rgb=view().rgb)
    lone = tmp_path / "lone.npz"
    with open(lone, "wb") as handle:
        np.save(handle, np.zeros(3))
    pickled = tmp_path / "pickled.npz"
    np.savez(pickled, format=np.array([{}], dtype=object))
    (tmp_path / "folder.npz").mkdir()
    for path in (older, lacking, lone, pickled, tmp_path / "folder.npz", tmp_path / "none.npz"):
        with pytest.raises(DatasetError, match=str(path)):
            read_view(path)


@pytest.mark.parametrize("face", [True, False])
@pytest.mark.parametrize("carried", [True, False])
def test_what_ablations_leave_out_is_left_out(
    face: bool, carried: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The face on the body, and points that follow its limbs."""
    asked: list[tuple[PlacedBody, bool]] = []

    def label(*arguments: object, carried: bool, **_: object) -> ViewLabels:
        body = arguments[4]
        assert isinstance(body, PlacedBody)
        asked.append((body, carried))
        return labels()

    monkeypatch.setattr(photos, "label_view", label)
    monkeypatch.setattr(photos, "with_face", lambda body, identity, expression: moved(body, x=1.0))
    shot = snapshot()
    nobody = (np.zeros(3), np.zeros(2))
    found = photos.Photographed(shot, person(), shot.mask, person(), nobody)
    view = photos.label_photo(found, np.random.default_rng(0), face=face, carried=carried)
    np.testing.assert_array_equal(view.points, labels().points)
    ((fitted, limbs),) = asked
    assert limbs == carried
    assert fitted.offset_world[0] - person().offset_world[0] == (1.0 if face else 0.0)
