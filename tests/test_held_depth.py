"""Depth beside what is seen: how far a person reaches, how deep a head may be carved, what is filled, how it is smoothed."""

from __future__ import annotations

import atexit
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch

from jiff.body.prior import BodyPrior
from jiff.geometry.camera import Camera
from jiff.geometry.mesh import Mesh
from jiff.geometry.refine import refined_inside, unique_edges
from jiff.geometry.simplify import is_watertight
from jiff.geometry.smooth import taubin_smoothed
from jiff.inference.between_legs import BetweenLegs
from jiff.inference.depth_guess import DepthGuess, guess_depth
from jiff.inference.filling import Filling
from jiff.inference.held import HeldOptions, reconstruct_held
from jiff.inference.held_field import HeldField
from jiff.inference.outline import Outline
from jiff.inference.reach import Reach
from jiff.models.person.network import PersonNetwork
from jiff.models.presets import person_preset
from jiff.options.mesh_output import MeshOutput
from jiff.photo.test_folder import PersonImage
from tests.held_people import inputs, person, prior, snapshot

CAMERA = Camera(size=256)
OFF = 9.0
"""World units that clothes may stand off."""
EVERYWHERE = np.array([[-900.0, -900, -900], [900, 900, 900]])


@cache
def sphere() -> Mesh:
    """Of radius one, about 2000 corners."""
    mesh = Mesh(
        np.array([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]], dtype=np.float64),
        np.array([[0, 2, 4], [2, 1, 4], [1, 3, 4], [3, 0, 4], [2, 0, 5], [1, 2, 5], [3, 1, 5], [0, 3, 5]]),
    )
    for _ in range(4):
        mesh = refined_inside(mesh, EVERYWHERE, 1e-9)
        mesh = replace(mesh, vertices=mesh.vertices / np.linalg.norm(mesh.vertices, axis=1, keepdims=True))
    return mesh


def box(low: tuple[float, float, float], high: tuple[float, float, float]) -> Mesh:
    corners = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], dtype=np.float64)
    sides = [[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]]
    faces = [[s[0], *pair] for s in sides for pair in (s[1:3], s[2:4])]
    return Mesh(np.array(low) + corners * np.subtract(high, low), np.array(faces))


class ArmsBeyond(BodyPrior):
    """All that lies beyond some x is an arm."""

    def __init__(self, x: float) -> None:
        self.x = x

    def of_arms(self, points_world: np.ndarray) -> np.ndarray:
        return np.asarray(points_world)[:, 0] > self.x


def at(image: np.ndarray, x: float, y: float) -> float:
    column, row = CAMERA.world_to_pixel(np.array([x, y, 0.0]))[:2].astype(int)
    return float(image[row, column])


def guess_beside_an_arm(arms_beyond: float) -> DepthGuess:
    """A trunk in the middle, an arm beside it stretched out 40 units towards the camera."""
    trunk, arm = box((-15, 60, -10), (15, 140, 10)), box((25, 80, 36), (33, 120, 44))
    mesh = Mesh(np.concatenate([trunk.vertices, arm.vertices]), np.concatenate([trunk.faces, arm.faces + 8]))
    return guess_depth(mesh, CAMERA, ArmsBeyond(arms_beyond))


def test_depth_is_the_meshs_own_where_it_is_seen_and_goes_on_beside_it() -> None:
    # A slanted ellipsoid: its middle lies on the plane z = 7 + x / 5.
    vertices = sphere().vertices * [40, 50, 12] + [0, 90, 7]
    vertices[:, 2] += vertices[:, 0] / 5
    guess = guess_depth(Mesh(vertices, sphere().faces), CAMERA, ArmsBeyond(1e9))
    x, y = np.meshgrid(*(np.arange(256) + 0.5 for _ in range(2)))
    x, y = (x / 256 * 2 - 1) * 102.4, 90 - (y / 256 * 2 - 1) * 102.4
    share = (x / 40) ** 2 + ((y - 90) / 50) ** 2
    assert guess.covered[share < 0.97].all() and not guess.covered[share > 1.03].any()
    inner = share < 0.8
    np.testing.assert_allclose(guess.middle[inner], (7 + x / 5)[inner], atol=0.25)
    # As thick as within some pixels: at its rim it is thin.
    own = 12 * np.sqrt(np.maximum(1 - share, 0))
    assert (guess.half[inner] > own[inner] - 0.3).all() and guess.half.max() < 12.1
    np.testing.assert_allclose(at(guess.half, 0, 90), 12, atol=0.2)
    assert 3 < at(guess.half, 39, 90) < 9
    for side in (-1, 1):
        assert at(guess.middle, side * 44, 90) == pytest.approx(7 + side * 8, abs=1.5)
        assert np.sign(at(guess.middle, side * 80, 90) - 7) == side
    assert np.isfinite(guess.middle).all() and np.isfinite(guess.half).all()


def test_depth_goes_on_from_the_trunk_sooner_than_from_an_arm_beside() -> None:
    aside, alike = guess_beside_an_arm(20.0), guess_beside_an_arm(1e9)
    # What is seen stays: the arm is where it is.
    for guess in (aside, alike):
        assert at(guess.middle, 0, 100) == pytest.approx(0, abs=0.1)
        assert at(guess.middle, 29, 100) > 37
    assert at(aside.middle, 20, 100) < 17 < 20 < at(alike.middle, 20, 100)
    for x, y in ((16, 100), (18, 100), (18, 70), (22, 70), (22, 130), (29, 70), (40, 100), (50, 70)):
        assert at(aside.middle, x, y) < at(alike.middle, x, y) - 0.5


@cache
def reach() -> Reach:
    return Reach(prior())


def reached(points: np.ndarray) -> np.ndarray:
    return reach().distance(points, prior().at(points))


def test_a_person_reaches_as_far_as_clothes_stand_off() -> None:
    mesh = prior().mesh
    skin, normals = mesh.vertices[::17], mesh.vertex_normals()[::17]
    off = prior().at(skin).above
    assert (reached(skin) > off - 0.1).all() and off.min() < 2.1 and off.max() == OFF
    assert (reached(skin + 1.5 * normals) > off - 1.6).all()
    # On lines of sight that meet the body: outside 40 units before and behind it, and the farther the more so.
    seen = prior().at(skin + 0.01 * normals).visible > 0
    trunk = (np.abs(skin[:, 0]) < 12) & (np.abs(skin[:, 1] - 135) < 20)
    for way, start in (
        (1, skin[seen & trunk & (normals[:, 2] > 0.5)]),
        (-1, skin[trunk & (normals[:, 2] < -0.8)]),
    ):
        lines = np.stack([reached(start + [0.0, 0.0, way * step]) for step in np.arange(0.0, 45, 4)])
        assert len(start) > 10 and (lines[0] > OFF - 0.5).all() and (lines[10] < -8).all()
        assert (np.diff(lines, axis=0) <= 0.05).all()
        # Somewhere on the way by as much as the step, until distances to the body are clamped.
        assert (np.diff(lines, axis=0) < -3.4).any(axis=0).mean() > 0.9
    # Beside the trunk, too, there is only so much depth.
    for side in (-1.0, 1.0):
        beside = np.array([[side * 60, 120, z] for z in np.linspace(-90, 110, 81)])
        inside = reached(beside) > 0
        assert 2 * OFF < inside.sum() * 2.5 < 2 * OFF + 40 and np.abs(np.diff(inside.astype(int))).sum() == 2


def network(said: float) -> PersonNetwork:
    """One that adds ``said`` world units everywhere to the body's distance."""
    torch.manual_seed(0)
    made = PersonNetwork(person_preset("tiny")).eval()
    for head in filter(None, (made.view_head, made.head_head)):
        last = head.distance[-1]
        assert isinstance(last, torch.nn.Linear)
        torch.nn.init.constant_(last.bias, said / 6.0)
    return made


@cache
def field(said: float, bounded: bool = True, face: bool = True) -> HeldField:
    """In a picture that shows the person nearly everywhere."""
    mask = np.full((256, 256), 255, np.uint8)
    mask[-4:] = 0
    outline = Outline(mask) if bounded else None
    return HeldField(network(said), inputs(), outline, torch.device("cpu"), face=face)


# Trees that outlive the interpreter are reported as leaks.
for cached in (reach, field):
    atexit.register(cached.cache_clear)


def test_a_network_that_says_inside_everywhere_is_bounded_in_depth() -> None:
    x, y = np.meshgrid(np.linspace(-80, 80, 17), np.linspace(10, 170, 17))
    for z, there in ((7.0, True), (90.0, False), (-80.0, False)):
        points = np.column_stack([x.ravel(), y.ravel(), np.full(x.size, z)]).astype(np.float32)
        assert (field(200.0, bounded=False).distance(points) > 100).all()
        inside = field(200.0).distance(points) > 0
        assert inside.mean() > 0.6 if there else not inside.any()
        np.testing.assert_allclose(
            field(200.0, face=False).distance(points), np.minimum(bound(points), border(points)), atol=1e-3
        )


def bound(points: np.ndarray) -> np.ndarray:
    """Where a person can be: near the body, and, as the picture shows no gap between them, between the legs."""
    legs = BetweenLegs(prior(), field(200.0).outline or Outline(np.zeros((256, 256), np.uint8)))
    assert legs.found
    return np.maximum(reached(points), legs.distance(points, border(points)))


def border(points: np.ndarray) -> np.ndarray:
    outline = field(0.0).outline
    assert outline is not None
    return outline.distance(points)


def test_a_network_that_says_outside_everywhere_keeps_a_fitted_head_and_most_of_the_body() -> None:
    mesh = prior().mesh
    place = prior().at(mesh.vertices).place
    normals = mesh.vertex_normals()
    trunk = (np.abs(place[:, 0]) < 0.12) & (place[:, 1] > 0.2) & (place[:, 1] < 0.55)
    # Where the body is thick and smooth enough that a little below the skin is a little below the skin.
    for head, below, keeps in (
        (place[:, 1] > 0.8, 0.3, True),
        (place[:, 1] > 0.95, 0.2, False),
        (trunk, 1.3, False),
        (trunk, 1.7, True),
        (prior().at(mesh.vertices).above < 2.01, 0.4, True),  # hands
    ):
        points = (mesh.vertices - below * normals)[head].astype(np.float32)
        true = np.abs(prior().at(points).distance - below) < 0.02
        points = points[true]
        assert len(points) > 150
        inside = field(-200.0).distance(points) > 0
        assert inside.all() if keeps else not inside.any()
        assert (field(-200.0, bounded=False).distance(points) < 0).all()
    # From the chin down to the neck the bound goes smoothly: half as high, twice as deep.
    neck = np.flatnonzero(np.abs(place[:, 1] - 0.775) < 0.002)
    for below, keeps in ((0.4, False), (0.65, True)):
        points = (mesh.vertices - below * normals)[neck].astype(np.float32)
        said = prior().at(points)
        good = (np.abs(said.distance - below) < 0.02) & (np.abs(said.place[:, 1] - 0.775) < 0.003)
        assert good.sum() > 10
        assert ((field(-200.0).distance(points[good]) > 0) == keeps).all()
    # A head that does not carry the photo's face may be wrong itself, as far as other skin.
    points = (mesh.vertices - 1.2 * normals)[place[:, 1] > 0.8].astype(np.float32)
    assert (field(-200.0, face=False).distance(points) < 0).all()
    # Nothing is added to a head: what the network says of hair beyond it holds.
    points = (mesh.vertices + 1.0 * normals)[place[:, 1] > 0.95].astype(np.float32)
    assert (field(-200.0).distance(points[prior().at(points).distance < -0.1]) < 0).all()
    np.testing.assert_allclose(field(3.0).distance(points), field(3.0, bounded=False).distance(points))


def test_what_is_filled_is_told_from_what_the_network_knows() -> None:
    mask = snapshot().mask.copy()
    left, top = CAMERA.world_to_pixel(np.array([16.0, 58.0, 0.0])).astype(int)[:2]
    mask[top : top + 30, left : left + 30] = 255
    outline = Outline(mask)
    made = HeldField(network(0.0), inputs(), outline, torch.device("cpu"))
    skin = prior().mesh.vertices
    assert not made.filled(skin).any(), "nothing is, without a filling"
    filling = Filling(prior().mesh, outline, prior())
    assert filling.needed
    made.filling = filling
    grid = np.random.default_rng(0).uniform([10, 30, -15], [45, 62, 25], (60_000, 3)).astype(np.float32)
    lens = grid[np.abs(filling.distance(grid, outline.distance(grid))) < 0.2]
    beyond = lens[prior().at(lens).distance < -1.1]
    assert len(beyond) > 200 and (made.filled(beyond) == 1).all()
    # On that side both fronts of the lens are there, some units apart.
    assert 2 < np.ptp(beyond[:, 2]) < 20
    # The network's own surface is the body's.
    assert made.filled(skin).max() < 1e-3
    half = skin[::7] + 0.5 * prior().mesh.vertex_normals()[::7]
    half = half[np.abs(prior().at(half).distance + 0.5) < 0.02]
    np.testing.assert_allclose(made.filled(half), 0.5, atol=0.03)
    assert made.filled(np.zeros((0, 3))).shape == (0,)


@pytest.mark.parametrize(
    ("deep", "wide", "thick"), [(10, 30, 12.0), (1, 30, 4.0), (4, 30, 8.0), (10, 7, 8.6)]
)
def test_what_is_filled_is_as_thick_as_what_it_hangs_on_and_as_its_own_width(
    deep: float, wide: float, thick: float
) -> None:
    trunk = box((-15, 40, 5 - deep), (15, 140, 5 + deep))
    mask = np.zeros((256, 256), np.uint8)
    low, high = (CAMERA.world_to_pixel(np.array([x, y, 0.0])) for x, y in ((-15, 140), (15 + wide, 40)))
    mask[int(low[1]) : int(high[1]), int(low[0]) : int(high[0])] = 255
    outline = Outline(mask)
    filling = Filling(trunk, outline, ArmsBeyond(1e9))
    assert filling.missing == pytest.approx(wide / (30 + wide), rel=0.15)
    depths = np.linspace(-15, 25, 401)
    line = np.column_stack([np.full(401, 15 + 0.5 * wide), np.full(401, 90), depths])
    inside = depths[filling.distance(line, outline.distance(line)) > 0]
    assert np.ptp(inside) == pytest.approx(thick, abs=1.0) and inside.mean() == pytest.approx(5, abs=0.5)


def test_surfaces_are_smoothed_where_they_are_filled_and_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    mask = snapshot().mask.copy()
    left, top = CAMERA.world_to_pixel(np.array([16.0, 58.0, 0.0])).astype(int)[:2]
    mask[top : top + 30, left : left + 30] = 255
    options = HeldOptions(64, output=MeshOutput(texture="vertex"))
    monkeypatch.setattr("jiff.inference.held._finer_head", lambda mesh, field: mesh)
    made: list[Mesh] = []
    for steps in (20, 0):
        monkeypatch.setattr("jiff.inference.held._GUESSED_STEPS", steps)
        made.append(reconstruct_held(network(0.0), PersonImage(snapshot().rgb, mask), person(), options).mesh)
    smooth, rough = made
    np.testing.assert_array_equal(smooth.faces, rough.faces)
    moved = np.linalg.norm(smooth.vertices - rough.vertices, axis=1)
    beside = (rough.vertices[:, 0] > 17) & (rough.vertices[:, 1] < 58)
    front = rough.vertex_normals()[:, 2] > 0.7
    known = front & (prior().at(rough.vertices).distance > -0.02)
    assert moved[beside].mean() > 0.02 and moved[~front].mean() > 0.2 and moved.max() < 5
    assert known.sum() > 300 and np.median(moved[known]) < 0.02


def roughness(mesh: Mesh) -> float:
    """How far corners lie from the middle of their neighbours, along the normal of a sphere."""
    first, second = unique_edges(mesh.faces, len(mesh.vertices))[0].T
    radius = np.linalg.norm(mesh.vertices, axis=1)
    return float(np.abs(radius[first] - radius[second]).mean())


def volume(mesh: Mesh) -> float:
    a, b, c = (mesh.vertices[mesh.faces[:, k]] for k in range(3))
    return float(np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6)


def test_smoothing_takes_noise_and_leaves_the_volume() -> None:
    noise = np.random.default_rng(0).normal(0, 0.01, (len(sphere().vertices), 1))
    rough = Mesh(sphere().vertices * (1 + noise), sphere().faces)
    smooth = taubin_smoothed(rough, np.ones(len(rough.vertices)), 12)
    assert roughness(smooth) < 0.4 * roughness(rough)
    assert volume(smooth) == pytest.approx(volume(rough), rel=0.01)
    assert is_watertight(smooth) and smooth.faces is rough.faces
    # The sphere itself stays one.
    same = taubin_smoothed(sphere(), np.ones(len(rough.vertices)), 12)
    np.testing.assert_allclose(np.linalg.norm(same.vertices, axis=1), 1, atol=0.005)


def test_smoothing_keeps_what_takes_no_part() -> None:
    noise = np.random.default_rng(0).normal(0, 0.01, (len(sphere().vertices), 1))
    rough = Mesh(sphere().vertices * (1 + noise), sphere().faces)
    weight = np.clip(rough.vertices[:, 1] / 0.3, 0, 1)
    part = taubin_smoothed(rough, weight, 12)
    np.testing.assert_array_equal(part.vertices[weight == 0], rough.vertices[weight == 0])
    moved = np.linalg.norm(part.vertices - rough.vertices, axis=1)
    assert (moved[weight > 0] > 0).all()
    assert moved[weight == 1].mean() > 1.5 * moved[(weight > 0) & (weight < 0.4)].mean()
    assert taubin_smoothed(rough, np.zeros(len(weight)), 12) is rough
    assert taubin_smoothed(rough, weight, 0) is rough


def test_vertices_without_neighbours_stay() -> None:
    lonely = Mesh(np.concatenate([sphere().vertices, [[5.0, 5.0, 5.0]]]), sphere().faces)
    smooth = taubin_smoothed(lonely, np.ones(len(lonely.vertices)), 3)
    np.testing.assert_array_equal(smooth.vertices[-1], [5.0, 5.0, 5.0])


def test_a_network_of_the_picture_alone_is_not_held_by_a_body() -> None:
    alone = PersonNetwork(replace(person_preset("tiny"), body=False)).eval()
    photo = snapshot()
    held = HeldField(alone, inputs(), Outline(photo.mask), torch.device("cpu"))
    points = prior().mesh.vertices[::50].astype(np.float32)
    for shift in (0.0, 60.0):
        at = points + np.float32([0.0, 0.0, shift])
        told = HeldField(alone, inputs(), None, torch.device("cpu")).distance(at)
        told = np.minimum(told, Outline(photo.mask).distance(at))
        np.testing.assert_allclose(held.distance(at), told, atol=1e-5)
