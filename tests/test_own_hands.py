"""Hands of the fitted body in a reconstruction: closed meshes, joined at the wrists, and what is then no hand's."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from jiff.base.errors import MeshError
from jiff.body.anny_body import load_anny_body
from jiff.body.fit.marks import SKIN_VERTICES
from jiff.body.hand_mesh import HAND_BONES, SIDES, capped, hand_mesh
from jiff.body.prior import BodyPrior
from jiff.body.skeleton import JOINTS
from jiff.geometry.camera import Camera
from jiff.geometry.closest import MeshBvh
from jiff.geometry.inside import inside_mesh
from jiff.geometry.mesh import Mesh
from jiff.geometry.raycast import RayScene
from jiff.geometry.simplify import is_watertight
from jiff.geometry.smooth import taubin_smoothed
from jiff.geometry.union import union
from jiff.inference.filling import Filling
from jiff.inference.held import HeldOptions, reconstruct_held
from jiff.inference.held_field import HeldField
from jiff.inference.outline import Outline
from jiff.inference.own_hands import HandChoice, OwnHands, choose_hands
from jiff.models.person.network import PersonNetwork
from jiff.models.presets import person_preset
from jiff.options.mesh_output import MeshOutput
from jiff.photo.test_folder import PersonImage
from jiff.render.gbuffer import render_gbuffer
from tests.held_people import inputs, person, prior, snapshot
from tests.known_person import standing_body


def box(low: float, high: float) -> Mesh:
    corner = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], float)
    sides = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    faces = np.array([t for a, b, c, d in sides for t in ((a, b, c), (a, c, d))])
    return Mesh(low + (high - low) * corner, faces)


def tips(side: str) -> np.ndarray:
    """Vertices of a hand that are farthest from the body."""
    body = load_anny_body()
    hand = np.flatnonzero(body.moved_by(HAND_BONES, side)[:SKIN_VERTICES])
    placed = person().vertices_world(body)[hand]
    return placed[np.argsort(placed[:, 1])[:40]]


def test_boxes_are_joined_to_what_lies_inside_of_one_of_them() -> None:
    joined = union([box(0, 2), box(1, 3)])
    assert is_watertight(joined) and joined.volume == pytest.approx(8 + 8 - 1)
    apart = union([box(0, 1), box(2, 3)])
    assert apart.volume == pytest.approx(2) and len(apart.faces) == 24


def test_open_meshes_are_refused_by_their_number() -> None:
    with pytest.raises(MeshError, match="Mesh 2 of 11 triangles is not closed"):
        union([box(0, 1), replace(box(2, 3), faces=box(2, 3).faces[:-1])])


@pytest.mark.parametrize("left_out", [[0], [0, 1], [6], [0, 1, 4, 5], [0, 1, 2, 3]])
def test_holes_are_closed_in_the_direction_of_the_surface(left_out: list[int]) -> None:
    faces = np.delete(box(0, 1).faces, left_out, axis=0)
    whole = Mesh(box(0, 1).vertices, capped(faces))
    assert is_watertight(whole) and len(whole.faces) == 12 and 0.1 < whole.volume < 1.1
    assert (whole.faces[: len(faces)] == faces).all()


@pytest.mark.parametrize("side", SIDES)
def test_hands_are_closed_and_their_stumps_lie_within_the_arms(side: str) -> None:
    hand, skin = hand_mesh(person(), side), prior().mesh
    assert is_watertight(hand) and 200 < hand.volume < 900
    assert MeshBvh(hand.vertices, hand.faces).closest(tips(side)).distance.max() < 1e-4
    of_hand = prior().of_hands(hand.vertices)
    stump = hand.vertices[~of_hand]
    assert len(stump) > 40 and (hand.vertices[:, 0] * (1 if side == ".L" else -1) > 0).all()
    end = hand.vertices[np.argsort(-hand.vertices[:, 1])[:20]]
    assert inside_mesh(RayScene(skin.vertices, skin.faces), end).all()
    gap = MeshBvh(skin.vertices, skin.faces).closest(end).distance
    assert 0.2 < np.median(gap) < 1.0


def test_hands_are_taken_where_they_are_seen_or_lie_in_the_mask() -> None:
    photo = PersonImage(np.full_like(snapshot().rgb, 150), snapshot().mask)
    nothing, cut = (replace(photo, mask=mask) for mask in (np.zeros_like(photo.mask), photo.mask.copy()))
    unseen, left = np.array([False, False]), np.array([True, False])
    assert choose_hands(person(), photo, unseen) == HandChoice(SIDES)
    assert choose_hands(person(), nothing, unseen) == HandChoice()
    assert choose_hands(person(), nothing, left) == HandChoice((".L",))
    x, y = (int(k) for k in _camera(len(cut.mask)).world_to_pixel(tips(".L").mean(axis=0)[None])[0])
    cut.mask[y - 25 : y + 20, x - 20 : x + 20] = 0
    assert choose_hands(person(), cut, unseen) == HandChoice((".R",))


@pytest.mark.parametrize("shown", ["skin", "cloth", "all alike"])
def test_hands_are_hidden_where_cloth_is_seen_before_which_they_should_be(shown: str) -> None:
    """A hand before the belly, of which the photo shows skin or cloth."""
    body = standing_body(lowerarm_L=(0.0, -1.6, 0.0), upperarm_L=(0.0, 0.0, -0.5))
    skin, camera = BodyPrior(body), _camera(512)
    seen = render_gbuffer(skin.mesh, camera)
    points = seen.interpolate(skin.mesh.vertices, skin.mesh.faces)
    rgb, mask = np.full((512 * 512, 3), 90, np.uint8), np.zeros(512 * 512, np.uint8)
    bare = skin.at(points).place[:, 1] > 0.8 if shown != "all alike" else np.zeros(len(points), bool)
    if shown == "skin":
        bare |= skin.of_hands(points)
    rgb[seen.pixel], mask[seen.pixel] = np.where(bare[:, None], (200, 150, 120), (30, 60, 150)), 255
    photo = PersonImage(rgb.reshape(512, 512, 3), mask.reshape(512, 512))
    choice = choose_hands(body, photo, np.array([False, True]))
    assert choice == (HandChoice((".R",), (".L",)) if shown == "cloth" else HandChoice(SIDES))
    own = OwnHands(body, choice)
    assert own.shape is not None and len(own.meshes) == len(choice.own)
    assert own.shape.at(hand_mesh(body, ".L").vertices[:1]).distance < -2


def test_bodies_without_hands_are_closed_and_elsewhere_the_same() -> None:
    bare = BodyPrior(person(), (".L",))
    left, right = tips(".L"), tips(".R")
    assert bare.at(left).distance.max() < -5 and prior().at(left).distance.max() > -0.1
    np.testing.assert_allclose(bare.at(right).distance, prior().at(right).distance, atol=1e-4)
    assert is_watertight(Mesh(*_welded(bare.mesh)))


def _welded(mesh: Mesh) -> tuple[np.ndarray, np.ndarray]:
    used, faces = np.unique(mesh.faces, return_inverse=True)
    return mesh.vertices[used], faces.reshape(-1, 3)


def test_what_is_put_together_from_both_is_the_whole_body() -> None:
    own = OwnHands(person(), HandChoice(SIDES))
    assert own.shape is not None
    joined = own.joined(Mesh(*_welded(own.shape.mesh)))
    assert is_watertight(joined)
    assert joined.volume == pytest.approx(prior().mesh.volume, rel=2e-3)


def test_hands_of_surfaces_that_are_not_closed_are_pieces_of_their_own() -> None:
    own = OwnHands(person(), HandChoice((".R",)))
    torn = replace(box(0, 1), faces=box(0, 1).faces[1:])
    joined = own.joined(torn)
    assert len(joined.faces) == 11 + len(own.meshes[0].faces)
    np.testing.assert_array_equal(
        joined.vertices[joined.faces[-1]], own.meshes[0].vertices[own.meshes[0].faces[-1]]
    )
    assert OwnHands(person(), HandChoice()).joined(torn) is torn


def test_the_field_clothes_the_body_without_the_hands() -> None:
    torch.manual_seed(0)
    network = PersonNetwork(person_preset("tiny")).eval()
    outline = Outline(snapshot().mask)
    own = OwnHands(person(), HandChoice((".L",)))
    bare = HeldField(network, inputs(), outline, torch.device("cpu"), shape=own.shape)
    whole = HeldField(network, inputs(), outline, torch.device("cpu"))
    left, right = (np.tile(tips(side).mean(axis=0), (4, 1)).astype(np.float32) for side in SIDES)
    assert bare.distance(left).max() < -3 < whole.distance(left).min()
    np.testing.assert_allclose(bare.distance(right), whole.distance(right), atol=1e-3)


def test_beside_hands_only_what_they_hold_is_added() -> None:
    """A bar of five pixels beside each hand, and a ball in the left one."""
    mask = (prior().covered(_camera(512)) * 255).astype(np.uint8)
    places = [_camera(512).world_to_pixel(tips(side).mean(axis=0)[None])[0] for side in SIDES]
    for x, y in places:
        cv2.line(mask, (int(x), int(y)), (int(x), int(y) + 12), 255, 4)
    outline = Outline(mask)
    own = OwnHands(person(), HandChoice(SIDES))
    assert own.near(512)[int(places[0][1]), int(places[0][0])] and own.near(512).mean() < 0.05
    assert not OwnHands(person(), HandChoice()).near(64).any()
    # Fingers that are not where the photo has them are no reason to add any.
    assert Filling(prior().mesh, outline, prior()).missing > 0
    assert Filling(prior().mesh, outline, prior(), own).missing == 0
    cv2.circle(mask, (int(places[0][0]), int(places[0][1]) + 14), 12, 255, -1)
    held = Filling(prior().mesh, Outline(mask), prior(), own)
    assert held.missing > 0.001


def _camera(size: int) -> Camera:
    return Camera(size=size)


def test_reconstructions_have_the_fingers_of_the_body() -> None:
    torch.manual_seed(0)
    network = PersonNetwork(person_preset("tiny")).eval()
    options = HeldOptions(resolution=64, output=MeshOutput(texture="vertex", decimate=10_000))
    photo = PersonImage(snapshot().rgb, snapshot().mask)
    made = reconstruct_held(network, photo, person(), options, hands=HandChoice(SIDES))
    assert made.numbers["watertight"] and made.numbers["hands"] == ["L", "R"]
    assert 9000 < len(made.mesh.faces) <= 10_000
    for side in SIDES:
        surface = MeshBvh(made.mesh.vertices, made.mesh.faces).closest(tips(side))
        assert surface.distance.max() < 0.05
    few = replace(options, output=MeshOutput(texture="vertex", decimate=4000))
    coarse = reconstruct_held(network, photo, person(), few, hands=HandChoice(SIDES))
    assert coarse.numbers["faces"] <= 4000 and coarse.numbers["watertight"]
    formed = reconstruct_held(network, photo, person(), options)
    assert "hands" not in formed.numbers
    surface = MeshBvh(formed.mesh.vertices, formed.mesh.faces).closest(tips(".L"))
    assert np.mean(surface.distance < 0.05) < 0.3


def test_weights_that_differ_between_neighbours_are_softened() -> None:
    """A rough plate of which every other vertex is told to be smoothed."""
    x, y = (part.ravel().astype(float) for part in np.meshgrid(np.arange(30), np.arange(30)))
    corner = (np.arange(29)[:, None] * 30 + np.arange(29)).ravel()
    faces = np.concatenate(
        [
            np.column_stack([corner, corner + 1, corner + 31]),
            np.column_stack([corner, corner + 31, corner + 30]),
        ]
    )
    z = np.random.default_rng(0).normal(0, 0.3, len(x))
    plate = Mesh(np.column_stack([x, y, z]), faces)
    some = (np.arange(len(x)) % 2).astype(float)
    rough, soft = (taubin_smoothed(plate, some, 20, rings).vertices[:, 2].std() for rings in (0, 6))
    assert soft < 0.75 * rough


def test_raw_results_keep_their_pieces_and_their_roughness(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    network = PersonNetwork(person_preset("tiny")).eval()
    photo = PersonImage(snapshot().rgb, snapshot().mask)
    options = HeldOptions(resolution=48, raw=True, output=MeshOutput(texture="vertex"))
    monkeypatch.setattr("jiff.inference.held._finer_head", lambda mesh, field: mesh)
    monkeypatch.setattr("jiff.inference.held.taubin_smoothed", lambda *found: pytest.fail("smoothed"))
    monkeypatch.setattr("jiff.inference.held.OwnHands.joined", lambda own, mesh: two(mesh))
    made = reconstruct_held(network, photo, person(), options, hands=HandChoice(SIDES))
    assert len(np.unique(made.mesh.vertices[:, 1] > 400)) == 2


def two(mesh: Mesh) -> Mesh:
    """The mesh and a box far above it."""
    other = box(500, 510)
    return Mesh(np.concatenate([mesh.vertices, other.vertices]),
                np.concatenate([mesh.faces, other.faces + len(mesh.vertices)]))  # fmt: skip


def test_hands_that_no_arm_reaches_are_left_out_and_told() -> None:
    """A mask that lacks the right forearm."""
    torch.manual_seed(0)
    network = PersonNetwork(person_preset("tiny")).eval()
    mask = snapshot().mask.copy()
    wrist, elbow = (_camera(len(mask)).world_to_pixel(at[None])[0] for at in _forearm())
    cv2.line(
        mask,
        tuple((0.9 * elbow + 0.1 * wrist).astype(int)),
        tuple((0.2 * wrist + 0.8 * elbow).astype(int)),
        0,
        26,
    )
    cv2.line(mask, tuple(elbow.astype(int)), tuple((1.25 * wrist - 0.25 * elbow).astype(int)), 0, 22)
    options = HeldOptions(resolution=64, output=MeshOutput(texture="vertex", decimate=10_000))
    made = reconstruct_held(
        network, PersonImage(snapshot().rgb, mask), person(), options, hands=HandChoice(SIDES)
    )
    assert made.numbers["hands"] == ["L"]
    assert made.notes == ["The right hand is left out: the arm does not reach it."]
    own = OwnHands(person(), HandChoice(SIDES))
    assert own.missing_in(made.mesh) == [".R"] and own.missing_in(prior().mesh) == []


def _forearm() -> tuple[np.ndarray, np.ndarray]:
    joints = person().joints_world(load_anny_body())
    return joints[JOINTS.index("wrist.R")], joints[JOINTS.index("lowerarm.R")]
