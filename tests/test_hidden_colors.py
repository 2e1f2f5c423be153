"""Colours of what no photo shows: flanks without the background, backs without what is open in front."""

from __future__ import annotations

import functools
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from jiff.body.anny_body import load_anny_body
from jiff.body.placed import PlacedBody
from jiff.body.prior import BodyPrior
from jiff.geometry.camera import Camera
from jiff.geometry.mesh import Mesh
from jiff.inference.held_field import HeldField
from jiff.inference.held_texture import color_held, texture_held
from jiff.inference.hidden_colors import HiddenColors, SurfaceColors
from jiff.inference.own_colors import of_sides, own_colors, without_details
from jiff.models.person.network import PersonNetwork
from jiff.models.presets import person_preset
from jiff.photo.test_folder import PersonImage
from jiff.photo.view_inputs import view_inputs
from jiff.render.gbuffer import render_gbuffer
from tests.held_people import inputs, person, prior, snapshot
from tests.known_person import standing_body
from tests.posed_body import coat

WALL = (220, 20, 30)
GREEN, WHITE, BROWN, SKIN = (0.1, 0.4, 0.2), (0.9, 0.9, 0.85), (0.3, 0.2, 0.12), (0.8, 0.6, 0.5)


def test_the_rim_takes_the_colours_that_lie_safely_inside() -> None:
    """A disc that a mask draws 3 pixels too large, and a twig beside it that is all rim."""
    rgb = np.full((200, 200, 3), WALL, np.uint8)
    mask = np.zeros((200, 200), np.uint8)
    cv2.circle(rgb, (80, 100), 50, (40, 60, 90), -1)
    cv2.circle(mask, (80, 100), 53, 255, -1)
    rgb[20:26, 150:190] = (200, 180, 160)
    mask[20:26, 150:190] = 255
    found = own_colors(rgb, mask, 5.0)
    inside = mask > 0
    inside[:40] = False
    assert (found[inside] == (40, 60, 90)).all()
    assert (found[20:26, 150:190] == (200, 180, 160)).all()
    assert (found[100, 135:145] == (40, 60, 90)).all()
    # The middle is as it was.
    rgb[100, 80] = (1, 2, 3)
    assert tuple(own_colors(rgb, mask, 5.0)[100, 80]) == (1, 2, 3)


def test_stripes_leave_the_rim_and_edges_of_garments_stay() -> None:
    mask = np.zeros((120, 120), np.uint8)
    mask[:, 30:90] = 255
    rgb = np.zeros((120, 120, 3), np.uint8)
    rgb[:60], rgb[60:] = (200, 200, 200), (20, 20, 60)
    rgb[10:55:6] = (90, 20, 20)
    found = without_details(rgb, mask, 2.0).astype(int)
    assert np.abs(found[15:50, 30] - 200).max() == 0
    assert np.abs(found[58, 40:80] - 200).max() == 0 and np.abs(found[61, 40:80] - (20, 20, 60)).max() == 0


def before_a_wall(grown_px: int) -> PersonImage:
    """The photo before a red wall, with a mask that takes in so much of it."""
    rgb, mask = snapshot().rgb.copy(), snapshot().mask
    rgb[mask < 128] = WALL
    wider = cv2.dilate(mask, np.ones((2 * grown_px + 1, 2 * grown_px + 1), np.uint8))
    return PersonImage(rgb, np.asarray(wider, np.uint8))


def field_of(photo: PersonImage) -> HeldField:
    """Of a network that has not been trained: colours are the pixels'."""
    torch.manual_seed(0)
    network = PersonNetwork(person_preset("tiny")).eval()
    return HeldField(network, view_inputs(photo.rgb, photo.mask, person()), None, torch.device("cpu"))


def redness(colors: np.ndarray) -> np.ndarray:
    return np.asarray(colors[:, 0] - colors[:, 1:].max(axis=1))


@pytest.mark.parametrize("project", [True, False])
def test_flanks_do_not_take_the_colour_of_the_wall(project: bool) -> None:
    photo = before_a_wall(1)
    clothed, field = coat(load_anny_body(), person(), finer=0, offset=1.8), field_of(photo)
    mesh, _ = texture_held(Mesh(clothed.vertices, clothed.faces), field, 256, photo if project else None)
    side = np.abs(mesh.vertex_normals()[:, 2]) < 0.1
    plain = redness(field.color(mesh.vertices[side]))
    assert mesh.colors is not None and mesh.texture is not None
    assert np.mean(plain > 0.3) > 0.15
    assert np.mean(redness(mesh.colors[side]) > 0.3) < 0.2 * np.mean(plain > 0.3)


def test_the_photos_own_mask_tells_the_wall_where_the_field_has_a_wider_one() -> None:
    wide, own = before_a_wall(5), before_a_wall(0)
    field = field_of(wide)
    at = np.flatnonzero((wide.mask.ravel() >= 128) & (own.mask.ravel() < 128))
    shown = [
        side.features.pictures.view[0, :3].permute(1, 2, 0).reshape(-1, 3)[at].numpy()
        for side in (of_sides(field, wide), of_sides(field, own))
    ]
    assert np.mean(redness(shown[0]) > 0.6) > 0.3 and np.mean(redness(shown[1]) > 0.6) < 0.02


def test_fronts_are_coloured_by_the_photo_as_it_is() -> None:
    rng = np.random.default_rng(0)
    noisy = np.clip(snapshot().rgb.astype(int) + rng.normal(0, 40, snapshot().rgb.shape), 0, 255)
    photo = PersonImage(noisy.astype(np.uint8), snapshot().mask)
    field, skin = field_of(photo), prior().mesh
    mesh, _ = texture_held(Mesh(skin.vertices, skin.faces), field, 128, None)
    front = (skin.vertex_normals()[:, 2] > 0.5) & (inputs().prior.at(skin.vertices).visible > 0)
    assert mesh.colors is not None
    gap = np.abs(mesh.colors[front] - field.color(skin.vertices[front])).max(axis=1)
    assert np.mean(gap < 1e-3) > 0.9


def back(
    opening: tuple[float, float, float] = WHITE, left: tuple[float, float, float] = GREEN
) -> SurfaceColors:
    """A trunk's back in green, as a network colours it that saw something else in its middle; sleeves; a head from behind."""
    x, y = (part.ravel() for part in np.meshgrid(np.linspace(-0.17, 0.17, 60), np.linspace(0.1, 0.76, 120)))
    rgb = np.tile(np.array(GREEN), (len(x), 1))
    rgb[x < -0.06] = left
    rgb[np.abs(x) < 0.06] = opening
    arm = np.column_stack([np.tile([-0.3, 0.3], 40), np.tile(0.55, 80), np.zeros(80)])
    at = np.linspace(0.78, 1.0, 60)
    head = np.column_stack([np.zeros(60), at, np.full(60, -0.03)])
    hair = np.tile(np.array(BROWN), (60, 1))
    hair[(at < 0.84) | ((at > 0.89) & (at < 0.91))] = SKIN
    place = np.concatenate([np.column_stack([x, y, np.zeros(len(x))]), arm, head]).astype(np.float32)
    colors = np.concatenate([rgb, np.tile(GREEN, (80, 1)), hair]).astype(np.float32)
    return SurfaceColors(colors, np.full(len(place), -0.9, np.float32), place)


def of_middle(at: SurfaceColors) -> np.ndarray:
    x, y, _ = at.place.T
    return np.asarray((np.abs(x) < 0.05) & (y > 0.4) & (y < 0.69))


def test_what_is_open_in_front_is_closed_behind() -> None:
    known = back()
    found, middle = HiddenColors(known)(known), of_middle(known)
    np.testing.assert_allclose(found[middle], np.tile(GREEN, (middle.sum(), 1)), atol=0.12)
    flank = np.abs(known.place[:, 0]) > 0.1
    np.testing.assert_array_equal(found[flank], known.rgb[flank])


@pytest.mark.parametrize("change", [{"facing": 0.9}, {"z": 0.12}, {"dim": 0.8}])
def test_what_is_seen_or_of_the_bodys_front_or_in_the_shade_stays(change: dict[str, float]) -> None:
    known = back(tuple(np.array(GREEN) * change["dim"]) if "dim" in change else WHITE)  # type: ignore[arg-type]
    at = replace(known, facing=np.full(len(known.facing), change.get("facing", -0.9), np.float32))
    at.place[:, 2] += change.get("z", 0.0)
    middle = of_middle(at)
    np.testing.assert_allclose(HiddenColors(back())(at)[middle], known.rgb[middle], atol=0.02)


def test_of_two_garments_the_sleeves_one_is_taken_and_without_sleeves_neither() -> None:
    known = back(left=WHITE)
    left = of_middle(replace(known, place=known.place + np.array([0.09, 0, 0], np.float32)))
    assert np.abs(HiddenColors(known)(known)[left] - GREEN).max() < 0.15
    bare = np.where(np.abs(known.place[:, :1]) > 0.2, np.array(SKIN, np.float32), known.rgb)
    known = replace(known, rgb=bare)
    np.testing.assert_allclose(HiddenColors(known)(known)[left], known.rgb[left], atol=1e-6)


def test_a_flank_that_is_known_higher_up_only_says_nothing() -> None:
    """Bands farther than a few away from one whose flanks are known stay as they are."""
    known = back()
    x, y, _ = known.place.T
    seen = (np.abs(x) > 0.1) & (y < 0.5)
    bare = np.where(np.abs(x[:, None]) > 0.2, np.array(SKIN, np.float32), known.rgb)
    hidden = HiddenColors(
        SurfaceColors(bare, np.where(seen, 0.9, known.facing).astype(np.float32), known.place)
    )
    low = of_middle(known) & (y < 0.43)
    high = of_middle(known) & (y > 0.55)
    np.testing.assert_allclose(hidden(known)[low], known.rgb[low], atol=1e-6)
    assert np.abs(hidden(known)[high] - GREEN).max() < 0.15


def test_a_face_does_not_look_through_the_back_of_a_head() -> None:
    known = back()
    found = HiddenColors(known)(known)
    at = known.place[:, 1]
    head = known.place[:, 2] < -0.01
    np.testing.assert_allclose(
        found[head & (at > 0.89)], np.tile(BROWN, ((head & (at > 0.89)).sum(), 1)), atol=0.1
    )
    neck = head & (at < 0.84)
    np.testing.assert_array_equal(found[neck], known.rgb[neck])


def test_surfaces_without_trunk_or_head_stay() -> None:
    few = SurfaceColors(
        np.ones((3, 3), np.float32), -np.ones(3, np.float32), np.full((3, 3), -0.5, np.float32)
    )
    np.testing.assert_array_equal(HiddenColors(few)(few), few.rgb)


@functools.cache
def akimbo() -> tuple[PlacedBody, BodyPrior, PersonImage]:
    """A body with a forearm before the belly: the photo has red arms and is green elsewhere."""
    body = standing_body(lowerarm_L=(0.0, -1.6, 0.0), upperarm_L=(0.0, 0.0, -0.5))
    skin, camera = BodyPrior(body), Camera(size=512)
    seen = render_gbuffer(skin.mesh, camera)
    rgb, mask = np.zeros((512 * 512, 3), np.uint8), np.zeros(512 * 512, np.uint8)
    arms = skin.of_arms(seen.interpolate(skin.mesh.vertices, skin.mesh.faces))
    rgb[seen.pixel], mask[seen.pixel] = np.where(arms[:, None], WALL, (30, 150, 40)), 255
    return body, skin, PersonImage(rgb.reshape(512, 512, 3), mask.reshape(512, 512))


@pytest.mark.parametrize("project", [True, False])
def test_what_lies_behind_an_arm_does_not_take_its_colour(project: bool) -> None:
    body, skin, photo = akimbo()
    torch.manual_seed(0)
    network = PersonNetwork(person_preset("tiny")).eval()
    field = HeldField(network, view_inputs(photo.rgb, photo.mask, body), None, torch.device("cpu"))
    mesh, _ = texture_held(Mesh(skin.mesh.vertices, skin.mesh.faces), field, 512, photo if project else None)
    assert mesh.colors is not None
    red, at = redness(mesh.colors) > 0.1, skin.at(mesh.vertices)
    trunk = ~skin.of_arms(mesh.vertices) & (np.abs(at.place[:, 0]) < 0.12) & (at.place[:, 1] < 0.5)
    pixels = Camera(size=512).world_to_pixel(mesh.vertices[trunk]).astype(int)
    behind = redness(photo.rgb[pixels[:, 1], pixels[:, 0]] / 255.0) > 0.1
    assert behind.sum() > 100 and red[trunk][behind].mean() < 0.02
    # Sleeves and hands keep theirs, all around.
    assert red[skin.of_hands(mesh.vertices)].mean() > 0.9


def test_where_an_arm_covers_all_of_a_picture_the_picture_stays() -> None:
    photo = before_a_wall(0)
    field = field_of(photo)
    plain, covered = (
        of_sides(field, photo, before).features.pictures.view[0, :3].numpy()
        for before in (None, np.ones((64, 64), bool))
    )
    np.testing.assert_array_equal(plain, covered)


def test_colours_of_vertices_are_those_of_the_texture_without_the_photo() -> None:
    photo = before_a_wall(1)
    field, skin = field_of(photo), prior().mesh
    mesh = Mesh(skin.vertices, skin.faces)
    painted, textured = color_held(mesh, field), texture_held(mesh, field, 128, None)[0]
    assert painted.texture is None and painted.colors is not None and textured.colors is not None
    np.testing.assert_allclose(painted.colors, textured.colors, atol=1e-6)
    assert np.abs(painted.colors - field.color(mesh.vertices)).max() > 0.1
