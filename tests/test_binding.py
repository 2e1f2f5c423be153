"""Surfaces hung on a body's bones: the weights are the body's, smooth, at most four, and carry there and back."""

from __future__ import annotations

import numpy as np
import posed_body
import pytest

from jiff.body.anny_body import AnnyBody, load_anny_body
from jiff.body.binding import Binding, bind_points, reposed, reposed_normals, strongest, unposed
from jiff.body.placed import PlacedBody
from jiff.body.rig import rig_binding_weights, skin_triangles
from jiff.body.rig_bones import RIG_BONES, RIG_INDEX
from jiff.geometry.mesh import Mesh


@pytest.fixture(scope="module")
def body() -> AnnyBody:
    return load_anny_body()


@pytest.fixture(scope="module")
def placed() -> PlacedBody:
    return posed_body.placed_body()


@pytest.fixture(scope="module")
def coat(body: AnnyBody, placed: PlacedBody) -> Mesh:
    return posed_body.coat(body, placed)


@pytest.fixture(scope="module")
def bound(body: AnnyBody, placed: PlacedBody, coat: Mesh) -> Binding:
    return bind_points(
        coat.vertices,
        coat.faces,
        placed.vertices_world(body),
        skin_triangles(body),
        *rig_binding_weights(body),
    )


def bones_to_photo(body: AnnyBody, placed: PlacedBody) -> tuple[np.ndarray, np.ndarray]:
    """From rest in world units to the photo, all 163 bones."""
    linear, offset = body.bone_transforms(body.bone_heads(placed.rest(body)), placed.rotations())
    return linear, offset * placed.scale + placed.offset_world


def test_weights_are_positive_sum_to_one_and_are_at_most_four(bound: Binding, coat: Mesh) -> None:
    index, weight = bound
    assert index.shape == weight.shape == (len(coat.vertices), 4)
    assert weight.dtype == np.float32 and (weight >= 0).all()
    assert np.abs(weight.sum(axis=1, dtype=np.float64) - 1).max() < 2e-7
    assert (np.diff(weight, axis=1) <= 1e-6).all(), "the strongest is first"
    assert (index[weight == 0] == 0).all() and index.max() < len(RIG_BONES)
    assert np.isfinite(weight).all()


def test_the_body_bound_to_itself_moves_as_the_body(body: AnnyBody, placed: PlacedBody) -> None:
    faces = skin_triangles(body)
    posed = placed.vertices_world(body)
    skin = posed[: faces.max() + 1]
    bound = bind_points(skin, faces, posed, faces, body.bone_index, body.bone_weight)
    linear, offset = bones_to_photo(body, placed)
    rest = placed.rest(body)[: len(skin)] * placed.scale
    off = np.linalg.norm(reposed(rest, bound, linear, offset) - skin, axis=1) / placed.scale * 1000
    # anny has up to nine bones per vertex; what is left out of four is some mm where spine and shoulders meet.
    assert np.median(off) < 0.01 and np.percentile(off, 90) < 1.5 and off.max() < 25
    four = body.bone_weight[: len(skin)]
    whole = np.sort(four, axis=1)[:, -4:].sum(axis=1) > 0.999
    assert whole.mean() > 0.5 and np.percentile(off[whole], 99) < 2.0


def test_there_and_back_is_the_same_place(body: AnnyBody, placed: PlacedBody, coat: Mesh) -> None:
    bound = bind_points(
        coat.vertices, coat.faces, placed.vertices_world(body), skin_triangles(body), body.bone_index,
        body.bone_weight,
    )  # fmt: skip
    transforms = bones_to_photo(body, placed)
    back = unposed(coat.vertices, bound, *transforms)
    there = reposed(back, bound, *transforms)
    assert np.abs(there - coat.vertices).max() < 1e-9
    normals = coat.vertex_normals()
    turned = reposed_normals(reposed_normals(normals, bound, *transforms, back=True), bound, *transforms)
    assert np.abs(turned - normals).max() < 1e-6
    # Unposed, the coat lies about as far from the body at rest as it did from the posed one.
    rest = placed.rest(body) * placed.scale
    own = bind_points(back, None, rest, skin_triangles(body), body.bone_index, body.bone_weight)
    assert (own.bones[:, 0] == bound.bones[:, 0]).mean() > 0.8


def test_weights_run_without_jumps(bound: Binding, coat: Mesh) -> None:
    dense = bound.matrix(len(RIG_BONES)).toarray()
    edges = np.concatenate([coat.faces[:, [0, 1]], coat.faces[:, [1, 2]]])
    length = np.linalg.norm(coat.vertices[edges[:, 0]] - coat.vertices[edges[:, 1]], axis=1)
    change = np.abs(dense[edges[:, 0]] - dense[edges[:, 1]]).sum(axis=1) / 2
    assert np.percentile(change[length < 1], 99) < 0.25
    assert np.percentile(change / np.maximum(length, 0.3), 95) < 0.25


def test_skin_takes_its_own_bones_to_the_finger_tips(bound: Binding, body: AnnyBody) -> None:
    index, weight = rig_binding_weights(body)
    own = np.zeros((skin_triangles(body).max() + 1, len(RIG_BONES)))
    for k in range(index.shape[1]):
        np.add.at(own, (np.arange(len(own)), index[: len(own), k]), weight[: len(own), k])
    for name in (
        "LeftHandIndex3",
        "RightHandPinky2",
        "LeftHandThumb2",
        "LeftToeBase",
        "Head",
        "RightForeArm",
        "Hips",
    ):
        mine = np.flatnonzero(own[:, RIG_INDEX[name]] > 0.8)
        # Cutting keeps the skin's own vertices first.
        assert len(mine) > 5 and (bound.bones[mine, 0] == RIG_INDEX[name]).mean() > 0.9, name


def test_cloth_of_the_trunk_does_not_take_to_an_arm_beside_it() -> None:
    # Two upright walls, 2 cm apart, that face each other: the trunk's at x = 0, the arm's at x = 2.
    y, z = (grid.ravel() for grid in np.meshgrid(np.arange(0, 20, 2.0), np.arange(0, 20, 2.0)))
    trunk, arm = (np.stack([np.full_like(y, x), y, z], axis=1) for x in (0.0, 2.0))
    cells = np.array([[k, k + 1, k + 11, k + 10] for k in range(89) if k % 10 < 9])
    up = np.concatenate([cells[:, [0, 1, 2]], cells[:, [0, 2, 3]]])
    skin = np.concatenate([trunk, arm])
    if Mesh(trunk, up).face_cross()[0, 0] < 0:
        up = up[:, ::-1]
    triangles = np.concatenate([up, up[:, ::-1] + len(trunk)])
    bone = np.repeat([0, 1], len(trunk))[:, None]
    points = np.array([[1.2, 9.0, 9.0], [0.8, 9.0, 9.0], [1.2, 9.0, 9.0]])
    normals = np.array([[1.0, 0, 0], [-1.0, 0, 0], [-1.0, 0, 0]])
    found = bind_points(points, None, skin, triangles, bone, np.ones(bone.shape), normals=normals)
    assert found.bones[:, 0].tolist() == [0, 1, 1]


def test_a_collapsed_blend_throws_nothing_away() -> None:
    # Half of a turn by 180 degrees and half of none is flat: its inverse would send points to infinity.
    linear = np.stack([np.eye(3), np.diag([-1.0, -1.0, 1.0])])
    bound = strongest(np.array([[0.5, 0.5], [1.0, 0.0]]))
    back = unposed(np.array([[1.0, 2.0, 3.0]] * 2), bound, linear, np.zeros((2, 3)))
    assert np.linalg.norm(back[0]) < 12 and np.allclose(back[1], [1, 2, 3])


def test_units_make_no_difference(body: AnnyBody, placed: PlacedBody, coat: Mesh) -> None:
    some = np.arange(0, len(coat.vertices), 97)
    posed, normals = placed.vertices_world(body), coat.vertex_normals()[some]
    args = (skin_triangles(body), *rig_binding_weights(body))
    units = bind_points(coat.vertices[some], None, posed, *args, normals=normals)
    metres = bind_points(coat.vertices[some] / 100, None, posed / 100, *args, normals=normals, cm=0.01)
    assert np.abs(units.weights - metres.weights).max() < 1e-3
