"""What a fitted body says about points and pixels, held against closed forms."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import trimesh
from scipy.spatial.transform import Rotation

from jiff.body.anny_body import load_anny_body
from jiff.body.fit.marks import SKIN_VERTICES
from jiff.body.placed import PlacedBody
from jiff.body.prior import (
    MAP_CHANNELS,
    MOST_DISTANCE,
    POINT_CHANNELS,
    BodyPrior,
    head_camera,
    head_window,
    map_depth_units,
)
from jiff.body.skeleton import JOINTS, JointPose
from jiff.geometry.camera import Camera
from jiff.render.gbuffer import render_gbuffer
from tests.held_people import moved, person, prior
from tests.posed_body import placed_body

_SIDES = {"L": "R", "R": "L"}


def solid_angles(point: np.ndarray, corners: np.ndarray) -> float:
    """Winding number of triangles [T, 3, 3] around a point (Van Oosterom and Strackee, 1983)."""
    a, b, c = np.moveaxis(corners - point, 1, 0)
    la, lb, lc = (np.linalg.norm(v, axis=1) for v in (a, b, c))
    triple = np.einsum("ij,ij->i", a, np.cross(b, c))
    below = la * lb * lc + (a * b).sum(1) * lc + (b * c).sum(1) * la + (c * a).sum(1) * lb
    return float(np.arctan2(triple, below).sum() / (2 * np.pi))


def test_distance_is_that_of_every_triangle_and_its_sign_that_of_the_winding_number(
    rng: np.random.Generator,
) -> None:
    mesh = prior().mesh
    corners = mesh.vertices[mesh.faces]
    points = mesh.vertices[rng.choice(len(mesh.vertices), 40)] + rng.normal(0, 4, (40, 3))
    says = prior().at(points)
    for point, distance in zip(points, says.distance):
        nearest = trimesh.triangles.closest_point(corners, np.broadcast_to(point, (len(corners), 3)))
        sign = 1 if solid_angles(point, corners) > 0.5 else -1
        gap = np.linalg.norm(nearest - point, axis=1).min()
        assert distance == pytest.approx(sign * gap, abs=1e-3)
    assert 5 < (says.distance > 0).sum() < 35


def test_distances_end_at_twenty_units() -> None:
    says = prior().at(np.array([[0.0, 90.0, 300.0], [300.0, 90.0, 0.0], [0.0, 120.0, 7.0]]))
    assert says.distance[:2].tolist() == [-MOST_DISTANCE] * 2
    assert 4 < says.distance[2] < MOST_DISTANCE


@pytest.mark.parametrize("placed", [person(), placed_body()], ids=["standing", "posed"])
def test_normals_are_unit_and_lead_out(placed: PlacedBody, rng: np.random.Generator) -> None:
    asked = BodyPrior(placed)
    points = asked.mesh.vertices[rng.choice(len(asked.mesh.vertices), 3000)] + rng.normal(0, 3, (3000, 3))
    says = asked.at(points)
    np.testing.assert_allclose(np.linalg.norm(says.normal, axis=1), 1, atol=1e-5)
    clear = np.abs(says.distance) > 0.5
    out = asked.at(points + 0.1 * says.normal).distance
    # Along the normal it goes out, except where two parts of the body meet.
    assert (out < says.distance)[clear].mean() > 0.97


def test_skin_knows_its_place_at_rest(rng: np.random.Generator) -> None:
    """Whatever the pose and the shape of the person are."""
    body = load_anny_body()
    rest = body.rest_vertices()
    placed = replace(placed_body(), phenotypes={"weight": 0.9, "height": 0.7, "gender": 0.1})
    asked = BodyPrior(placed)
    picked = rng.choice(SKIN_VERTICES, 500, replace=False)
    says = asked.at(placed.vertices_world(body)[picked])
    gap = np.linalg.norm(says.place - rest[picked], axis=1)
    # Where lips, lids or arms touch the trunk, another piece of skin may be as near.
    assert np.quantile(gap, 0.95) < 1e-4
    np.testing.assert_allclose(says.distance, 0, atol=1e-3)


def test_a_point_between_vertices_lies_between_their_places() -> None:
    mesh, body = prior().mesh, load_anny_body()
    rest = body.rest_vertices()
    # Skin comes first, so that its numbers in the prior's mesh are anny's.
    face = mesh.faces[(mesh.faces < SKIN_VERTICES).all(axis=1)][4321]
    share = np.array([0.2, 0.5, 0.3])
    says = prior().at((share @ mesh.vertices[face])[None])
    np.testing.assert_allclose(says.place[0], share @ rest[face], atol=1e-5)


def test_the_front_is_seen_and_what_the_body_hides_is_not() -> None:
    mesh = prior().mesh
    chest = np.array([0.0, 135.0, mesh.bounds[1, 2]])
    back = np.array([0.0, 135.0, mesh.bounds[0, 2]])
    assert prior().at(np.stack([chest, back])).visible.tolist() == [1.0, 0.0]
    pose = JointPose.rest()
    # Both arms hang; the right one, drawn forward before the trunk, hides a part of it.
    pose.turns[JOINTS.index("upperarm.R")] = [-0.5, 0.0, 1.0]
    crossed = BodyPrior(PlacedBody({}, pose, 100.0, np.array([0.0, 85.0, 0.0])))
    free = BodyPrior(PlacedBody({}, JointPose.rest(), 100.0, np.array([0.0, 85.0, 0.0])))
    trunk = np.flatnonzero(
        (np.abs(free.mesh.vertices[:, 0]) < 15)
        & (np.abs(free.mesh.vertices[:, 1] - 115) < 15)
        & (free.mesh.vertex_normals()[:, 2] > 0.7)
    )
    before = free.at(free.mesh.vertices[trunk]).visible
    after = crossed.at(crossed.mesh.vertices[trunk]).visible
    assert before.mean() > 0.99 and after.mean() < 0.95


def test_skin_that_looks_away_is_not_seen(rng: np.random.Generator) -> None:
    """Even at the outline, where nothing lies before it."""
    mesh = prior().mesh
    says = prior().at(mesh.vertices[rng.choice(len(mesh.vertices), 4000, replace=False)])
    assert not says.visible[says.normal[:, 2] < 0].any()
    assert says.visible[says.normal[:, 2] > 0.5].mean() > 0.8


def test_stacked_holds_everything_in_its_order() -> None:
    says = prior().at(np.array([[3.0, 120.0, 30.0], [0.0, 90.0, -30.0]]))
    stacked = says.stacked()
    assert stacked.shape == (2, POINT_CHANNELS) and stacked.dtype == np.float32
    np.testing.assert_array_equal(stacked[:, 0], says.distance)
    np.testing.assert_array_equal(stacked[:, 1:4], says.normal)
    np.testing.assert_array_equal(stacked[:, 4:7], says.place)
    np.testing.assert_array_equal(stacked[:, 7], says.visible)


@pytest.mark.parametrize("close_up", [False, True])
def test_maps_show_the_body_and_nothing_beside_it(close_up: bool) -> None:
    camera = head_camera(head_window(person()), 96) if close_up else Camera(size=96)
    maps = prior().maps(camera)
    assert maps.shape == (96, 96, MAP_CHANNELS) and maps.dtype == np.uint8
    mesh = prior().mesh
    drawn = render_gbuffer(mesh, camera, 1)
    there = maps[..., 5] == 255
    np.testing.assert_array_equal(there, drawn.mask() > 0)
    assert there.any() and not there.all() and not maps[~there].any()
    front, back = maps[..., 3].astype(int)[there], maps[..., 4].astype(int)[there]
    assert (front >= back).all() and (front > back).mean() > 0.9
    normal = (maps[..., :3].astype(float)[there] - 128) / 127
    np.testing.assert_allclose(np.linalg.norm(normal, axis=1), 1, atol=0.02)
    assert (normal[:, 2] > -0.3).all()
    # Depth as written.
    z = drawn.interpolate(mesh.vertices, mesh.faces)[:, 2]
    written = (maps[..., 3].ravel()[drawn.pixel].astype(float) - 128) / 127 * map_depth_units(camera)
    np.testing.assert_allclose(
        written + float(camera.center_world[2]), z, atol=0.51 * map_depth_units(camera) / 127
    )


def test_depth_between_front_and_back_is_inside() -> None:
    camera = Camera(size=64)
    maps = prior().maps(camera)
    row, column = 24, 32
    units = map_depth_units(camera)
    front, back = ((float(maps[row, column, k]) - 128) / 127 * units for k in (3, 4))
    x, y = camera.pixel_to_world(np.array([column + 0.5, row + 0.5]))[:2]
    depths = np.array([front + 1.5, front - 1.5, (front + back) / 2, back + 1.5, back - 1.5])
    points = np.column_stack([np.full(5, x), np.full(5, y), depths])
    assert (prior().at(points).distance > 0).tolist() == [False, True, True, True, False]


def test_close_up_holds_the_head() -> None:
    body, window = load_anny_body(), head_window(person())
    head = person().vertices_world(body)[body.region_vertices("head")]
    assert (np.abs(head - window[:3])[:, :2] < window[3]).all()
    assert window[3] == pytest.approx(22.5)
    camera = head_camera(window, 128)
    np.testing.assert_allclose(camera.world_to_pixel(window[:3].astype(float)), [64, 64], atol=1e-4)
    np.testing.assert_allclose(head_window(moved(person(), 3, -2, 5)) - window, [3, -2, 5, 0], atol=1e-3)


def mirrored_body(placed: PlacedBody) -> PlacedBody:
    """The body that a mirror at x = 0 shows."""
    turns = np.zeros_like(placed.pose.turns)
    for index, name in enumerate(JOINTS):
        joint, _, side = name.partition(".")
        other = JOINTS.index(f"{joint}.{_SIDES[side]}") if side else index
        turns[other] = placed.pose.turns[index] * [1, -1, -1]
    pose = JointPose(turns, placed.pose.hands[::-1].copy())
    return replace(placed, pose=pose, offset_world=placed.offset_world * [-1, 1, 1])


def test_a_mirrored_body_says_mirrored_things(rng: np.random.Generator) -> None:
    """On which the mirroring of training items relies."""
    placed = placed_body()
    asked, other = BodyPrior(placed), BodyPrior(mirrored_body(placed))
    points = asked.mesh.vertices[rng.choice(len(asked.mesh.vertices), 800)] + rng.normal(0, 2, (800, 3))
    mirror = np.array([-1.0, 1.0, 1.0])
    says, told = asked.at(points), other.at(points * mirror)
    # The fingers of anny's two hands bend a little differently.
    assert (np.quantile(np.abs(told.distance - says.distance), [0.5, 0.95]) <= [1e-3, 0.2]).all()
    close = np.linalg.norm(told.place * mirror - says.place, axis=1)
    assert np.quantile(close, 0.95) < 0.01
    assert np.quantile(np.linalg.norm(told.normal * mirror - says.normal, axis=1), 0.95) < 0.15
    assert (told.visible == says.visible).mean() > 0.95


def test_turned_whole_body_turns_what_it_says() -> None:
    """World axes, not the body's: a quarter turn carries distances along, and normals turn with it."""
    pose = JointPose.rest()
    plain = PlacedBody({}, pose, 100.0, np.array([0.0, 85.0, 0.0]))
    turn = Rotation.from_euler("y", 90, degrees=True)
    turned_pose = JointPose(pose.turns.copy(), pose.hands)
    turned_pose.turns[0] = turn.as_rotvec()
    turned = PlacedBody({}, turned_pose, 100.0, np.array([0.0, 85.0, 0.0]))
    body = load_anny_body()
    first, second = plain.vertices_world(body)[0], turned.vertices_world(body)[0]
    shift = second - turn.apply(first)
    points = BodyPrior(plain).mesh.vertices[::97] + [0.0, 1.0, 2.0]
    says, told = BodyPrior(plain).at(points), BodyPrior(turned).at(turn.apply(points) + shift)
    np.testing.assert_allclose(told.distance, says.distance, atol=2e-3)
    np.testing.assert_allclose(told.normal, turn.apply(says.normal), atol=5e-3)
