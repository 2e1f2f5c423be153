"""Beards: where they grow, how far they stand off, what carries them, what is painted."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from jiff.body.anny_body import load_anny_body
from jiff.synthetic.beard import beard_offset, beard_share, paint_beard
from jiff.synthetic.carry import Transforms, carry
from jiff.synthetic.person import Dressed, PersonMesh, dress_person
from jiff.synthetic.posed import DRESSING
from jiff.synthetic.scan_files import template_triangles
from jiff.synthetic.spec import Beard, PersonSpec
from jiff.synthetic.template import load_template
from jiff.synthetic.texels import load_texels
from jiff.synthetic.texture import paint_person
from jiff.synthetic.wardrobe import sample_person

COUNT = template_triangles(40_000)
KINDS = ("full", "goatee", "moustache")
LENGTH_M = 0.02
SIZE = 256
_TURNED = ("head", "neck01", "neck02", "neck03")


def beard(kind: str, length_m: float = LENGTH_M) -> Beard:
    return Beard(kind, (0.08, 0.05, 0.03), 0.8, length_m, 1.0)


def head() -> np.ndarray:
    """Canonical points of head and neck."""
    template = load_template(COUNT)
    return template.canonical[template.part == 1]


def man(beard: Beard | None) -> tuple[PersonSpec, np.random.Generator]:
    rng = np.random.default_rng([3, 4])
    spec = sample_person(rng, load_anny_body().local_change_labels)
    looks = replace(spec.looks, stubble=0.0)
    return replace(spec, pose=DRESSING, beard=beard, looks=looks), rng


@cache
def dressed(kind: str | None) -> Dressed:
    return dress_person(*man(None if kind is None else beard(kind)), COUNT)


def turned(kind: str | None) -> tuple[PersonMesh, np.ndarray]:
    """Return the man looking up and aside, and the rotation of the head."""
    one, body = dressed(kind), load_anny_body()
    cos, sin = np.cos(0.3), np.sin(0.3)
    turn = np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]]) @ np.array([[1, 0, 0], [0, cos, sin], [0, -sin, cos]])  # fmt: skip
    target = {name: turn @ old if name in _TURNED else old for name, old in one.rotations.items()}
    target |= {name: turn for name in _TURNED if name not in target}
    mesh = carry(one, load_template(COUNT), target, body.pose(one.rest, target))
    moves = Transforms.of(one, body, target)
    return mesh, moves.rigid(body.bone_labels.index("head"))[0]


def stands(one: Dressed, mesh: PersonMesh, origin: np.ndarray) -> np.ndarray:
    """Return [N, 3] by how much the shown skin's vertices stand off the bare skin."""
    bare = np.flatnonzero(one.layered.sheet == 0)
    return np.asarray((mesh.vertices - origin)[bare] - (mesh.skin - origin)[one.layered.source[bare]])


def bare_points() -> np.ndarray:
    """Return [N, 3] the canonical places of the shown skin's vertices."""
    one = dressed(None)
    return load_template(COUNT).canonical[one.layered.source[one.layered.sheet == 0]]


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_grows_on_lips_brow_nose_cheekbones_and_throat(kind: str) -> None:
    points = head()
    x, y, z = np.abs(points[:, 0]), points[:, 1], points[:, 2]
    share = beard_share(beard(kind), points)
    assert ((share >= 0) & (share <= 1)).all() and share.max() > 0.9
    front = z > 0.1
    places = {
        "lips": front & (x < 0.02) & (np.abs(y - 0.832) < 0.005),
        "brow": y > 0.9,
        "nose": front & (x < 0.012) & (y > 0.858),
        "cheekbones": front & (x > 0.03) & (x < 0.055) & (y > 0.86),
        "throat": y < 0.768,
        "nape": z < 0.03,
    }
    for name, there in places.items():
        assert there.sum() >= 3 and not share[there].any(), name
    assert (share[front & (x < 0.02) & (np.abs(y - 0.849) < 0.003)] > 0.5).mean() > 0.5, "the upper lip"
    np.testing.assert_allclose(beard_share(beard(kind), points * [-1, 1, 1]), share)


def test_chins_and_cheeks_are_those_of_the_kind() -> None:
    points = head()
    full, goatee, moustache = (beard_share(beard(kind), points) for kind in KINDS)
    assert (goatee <= full + 1e-12).all() and (moustache <= goatee + 1e-12).all()
    chin = (np.abs(points[:, 0]) < 0.02) & (np.abs(points[:, 1] - 0.8) < 0.006) & (points[:, 2] > 0.12)
    jaw = (np.abs(points[:, 0]) > 0.045) & (np.abs(points[:, 1] - 0.82) < 0.01) & (points[:, 2] > 0.08)
    assert chin.sum() > 5 and jaw.sum() > 5
    assert min(full[chin].min(), full[jaw].min(), goatee[chin].min()) > 0.9
    assert max(goatee[jaw].max(), moustache[chin].max(), moustache[jaw].max()) == 0


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("length_m", [0.0012, 0.03])
def test_a_beard_stands_off_by_its_length_at_the_chin(kind: str, length_m: float) -> None:
    points = head()
    one = beard(kind, length_m)
    share, offset = beard_share(one, points), beard_offset(one, points)
    assert (offset[share == 0] == 0).all() and offset.min() >= 0
    assert offset.max() <= 1.3 * length_m
    highest = points[offset.argmax()]
    if kind != "moustache":
        assert offset.max() > 0.8 * length_m and highest[1] < 0.825
    lips = (points[:, 0] / 0.0285) ** 2 + ((points[:, 1] - 0.832) / 0.0108) ** 2 < 1
    assert offset[lips & (points[:, 2] > 0.1)].max() < 0.0015


def test_the_bare_skin_of_a_bearded_man_is_that_of_one_without() -> None:
    plain, full = dressed(None), dressed("full")
    np.testing.assert_array_equal(plain.mesh.skin, full.mesh.skin)
    np.testing.assert_array_equal(plain.mesh.faces, full.mesh.faces)
    np.testing.assert_array_equal(plain.mesh.shown, full.mesh.shown)
    gap = stands(full, full.mesh, full.origin)
    offset = beard_offset(beard("full"), bare_points())
    height = np.linalg.norm(gap, axis=1)
    assert height.max() > 0.7 * LENGTH_M
    # Hem lines of clothes and hair slide vertices along the skin a little; people differ in size.
    assert np.abs(height - offset).max() < 0.2 * LENGTH_M and np.corrcoef(height, offset)[0, 1] > 0.99
    assert not stands(plain, plain.mesh, plain.origin).any()
    # Nothing else moves: eyes, mouth, shoes, clothes.
    moved = np.linalg.norm(full.mesh.vertices - plain.mesh.vertices, axis=1) > 1e-9
    count = len(plain.layered.vertices)
    assert not moved[count:].any()
    assert load_template(COUNT).part[plain.layered.source[moved[:count]]].tolist() == [1] * moved.sum()
    # And all of it outward, away from the neck's middle.
    there = full.mesh.skin[full.layered.source[full.layered.sheet == 0]]
    away = there - there[height > 0].mean(axis=0) + [0.0, 0.0, 0.06]
    assert (np.einsum("nk,nk->n", gap, away)[height > 1e-4] > 0).mean() > 0.97


def test_the_heads_turn_carries_a_beard() -> None:
    full = dressed("full")
    mesh, turn = turned("full")
    before, after = stands(full, full.mesh, full.origin), stands(full, mesh, np.zeros(3))
    grown = np.linalg.norm(before, axis=1) > 1e-6
    assert 200 < grown.sum() < len(grown) / 2 and np.linalg.norm(turn - np.eye(3)) > 0.4
    np.testing.assert_allclose(
        np.linalg.norm(after, axis=1)[grown], np.linalg.norm(before, axis=1)[grown], atol=1e-7
    )
    np.testing.assert_allclose(after[grown], before[grown] @ turn.T, atol=1e-7)
    assert np.linalg.norm(after[grown] - before[grown], axis=1).max() > 0.2 * LENGTH_M
    assert not after[~grown].any()
    # Who has none is carried as ever: skin where the skin is.
    plain, _ = turned(None)
    np.testing.assert_array_equal(plain.skin, mesh.skin)
    assert not stands(dressed(None), plain, np.zeros(3)).any()


@pytest.mark.parametrize("kind", KINDS)
def test_a_beard_is_painted_where_it_grows_only(kind: str) -> None:
    points = head()
    skin = np.full((len(points), 3), 0.7, np.float32)
    one = beard(kind)
    painted, share = paint_beard(one, points, skin), beard_share(one, points)
    assert painted.dtype == np.float32 and painted.shape == skin.shape
    np.testing.assert_array_equal(painted[share == 0], skin[share == 0])
    assert (painted[share > 0.02] < 0.7).all()
    assert painted[share > 0.95].max() < 0.45 and painted.min() > 0


def test_the_texture_of_a_bearded_man_differs_where_it_grows_only() -> None:
    texels = load_texels(COUNT, SIZE)
    pictures = []
    for kind in (None, "full"):
        spec, rng = man(None if kind is None else beard(kind))
        dress_person(spec, rng, COUNT)
        pictures.append(paint_person(spec, dressed(kind).mesh, texels, rng).astype(float))
    changed = (pictures[0] != pictures[1]).any(axis=2).ravel()
    where = np.zeros(SIZE * SIZE, dtype=bool)
    where[texels.index[beard_share(beard("full"), texels.position) > 0]] = True
    assert changed.sum() > 0.5 * where.sum() > 50 and not (changed & ~where).any()
    darker = pictures[1].sum(axis=2).ravel() < pictures[0].sum(axis=2).ravel()
    assert darker[changed].mean() > 0.95
