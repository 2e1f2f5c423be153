"""The tools behind synthetic people: subdivision, hem lines, layers, shells, poses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse

from jiff.body.anny_body import load_anny_body
from jiff.body.pose import Poser, sample_pose
from jiff.geometry.refine import unique_edges
from jiff.synthetic.caps import fit_sphere
from jiff.synthetic.layers import build_layers, faces_inside, snap_to_zero
from jiff.synthetic.person import similarity
from jiff.synthetic.slices import hull_radius, rings_to_shell
from jiff.synthetic.subdivide import (
    Refined,
    catmull_clark,
    split_longest_edges,
    triangulate,
)
from jiff.synthetic.template import limb_coordinate, load_template
from jiff.synthetic.texels import load_texels


def _cube() -> tuple[np.ndarray, np.ndarray]:
    corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], dtype=float)
    quads = np.array([[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]])
    return corners, quads


def _volume(vertices: np.ndarray, faces: np.ndarray) -> float:
    a, b, c = vertices[faces].transpose(1, 0, 2)
    return float(np.einsum("ij,ij->", a, np.cross(b, c)) / 6)


def _closed(faces: np.ndarray) -> bool:
    directed = [tuple(e) for k in range(3) for e in faces[:, [k, (k + 1) % 3]].tolist()]
    known = set(directed)
    return len(known) == len(directed) and all((b, a) in known for a, b in directed)


def test_catmull_clark_of_a_cube() -> None:
    corners, quads = _cube()
    refined = catmull_clark(8, quads, np.zeros((8, 2)), quads)
    points = refined.matrix @ corners
    assert len(points) == 26 and refined.faces.shape == (24, 4)
    np.testing.assert_allclose(refined.matrix.sum(axis=1), 1.0)
    # Known limits of one step: corners at 5/9, edge points at 3/4, face points at 1.
    np.testing.assert_allclose(np.abs(points[:8]), 5 / 9)
    np.testing.assert_allclose(np.sort(np.abs(points[8:20]), axis=1), np.tile([0, 0.75, 0.75], (12, 1)))
    np.testing.assert_allclose(np.sort(np.abs(points[20:]), axis=1), np.tile([0, 0, 1], (6, 1)))


def test_catmull_clark_keeps_a_flat_open_patch_flat_and_its_border_on_the_border() -> None:
    y, x = np.mgrid[0:4, 0:4]
    points = np.stack([x.ravel(), y.ravel(), np.zeros(16)], axis=1).astype(float)
    quads = np.array([[i, i + 1, i + 5, i + 4] for r in range(3) for i in range(4 * r, 4 * r + 3)])
    new = catmull_clark(16, quads, points[:, :2] / 3, quads).matrix @ points
    assert np.abs(new[:, 2]).max() == 0
    border = new[(np.abs(new[:, 0]) < 1e-12)]
    assert len(border) == 5 and new[:, :2].min() >= 0 and new[:, :2].max() <= 3


def test_splitting_edges_keeps_the_surface() -> None:
    corners, quads = _cube()
    uv = np.random.default_rng(0).random((8, 2))
    faces, faces_uv = triangulate(quads, quads, corners)
    start = Refined(sparse.eye(8, format="csr"), faces, uv, faces_uv)
    fine = split_longest_edges(start, corners, 300)
    points = fine.matrix @ corners
    assert 250 < len(fine.faces) <= 330
    assert _closed(fine.faces)
    assert _volume(points, fine.faces) == pytest.approx(8.0)
    np.testing.assert_allclose(
        fine.uv[fine.uv_faces].reshape(-1, 2), (fine.matrix @ uv)[fine.faces].reshape(-1, 2)
    )


def test_snapped_line_lies_on_zero_and_splits_the_faces() -> None:
    template = load_template(30_000)
    field = template.canonical[:, 1] - 0.31
    move, snapped = snap_to_zero(field, template.edges)
    moved = move @ template.canonical
    on_line = snapped == 0
    assert on_line.sum() > 30
    np.testing.assert_allclose(moved[on_line, 1], 0.31, atol=1e-9)
    inside = faces_inside(snapped, template.faces)
    assert moved[template.faces[inside], 1].min() > 0.31 - 1e-9
    assert moved[template.faces[~inside], 1].max() < 0.31 + 1e-9


def test_layers_are_one_closed_surface_with_an_open_hem() -> None:
    # A tube with a cap at either end wears a sleeve over its middle.
    rings = np.array(
        [[[np.cos(a), h, -np.sin(a)] for a in np.arange(24) / 24 * 2 * np.pi] for h in np.linspace(3, -3, 31)]
    )
    tube = rings_to_shell(rings)
    skin, faces = tube.vertices, tube.faces
    sign = np.sign(_volume(skin, faces))
    faces = faces if sign > 0 else faces[:, ::-1]
    edges, _ = unique_edges(faces, len(skin))
    label = (np.abs(skin[faces][..., 1]).max(axis=1) <= 1.001).astype(int)
    cloth = skin * [1.3, 1.0, 1.3]
    layered = build_layers(faces, edges, label, [skin, cloth], [0.0, 0.05])
    assert _closed(layered.faces)
    # The gap below each hem is air: the volume is less than that of the filled sleeve.
    filled = np.where(np.abs(skin[:, 1:2]) <= 1.001, cloth, skin)
    assert _volume(skin, faces) < _volume(layered.vertices, layered.faces) < _volume(filled, faces)
    assert set(np.unique(layered.face_kind)) == {0, 1, 2}
    assert np.array_equal(layered.face_label[layered.face_kind == 0], label)


def test_rings_make_closed_shells_either_way_of_closing() -> None:
    angles = np.arange(20) / 20 * 2 * np.pi
    rings = np.array([[[np.cos(a), np.sin(a), z] for a in angles] for z in np.linspace(0, 2, 9)])
    for flat in (False, True):
        shell = rings_to_shell(rings, flat_ends=flat)
        assert _closed(shell.faces)
        assert abs(_volume(shell.vertices, shell.faces)) == pytest.approx(
            2 * 10 * np.sin(2 * np.pi / 20), rel=1e-6
        )
        assert shell.uv.min() >= 0 and shell.uv.max() <= 1 and shell.faces_uv.shape == shell.faces.shape


def test_hull_radius_of_a_square() -> None:
    square = np.array([[1, 1], [1, -1], [-1, 1], [-1, -1.0]])
    angles = np.arange(64) / 64 * 2 * np.pi
    expected = 1 / np.maximum(np.abs(np.cos(angles)), np.abs(np.sin(angles)))
    np.testing.assert_allclose(hull_radius(square, angles), expected, rtol=1e-9)


def test_sphere_and_similarity_are_recovered(rng: np.random.Generator) -> None:
    direction = rng.normal(size=(80, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    center, radius = fit_sphere(np.array([0.3, 1.0, -2.0]) + 0.7 * direction)
    np.testing.assert_allclose(center, [0.3, 1.0, -2.0], atol=1e-9)
    assert radius == pytest.approx(0.7)
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    turn *= np.sign(np.linalg.det(turn))
    linear, offset = similarity(direction, direction @ (1.7 * turn).T + [1.0, 2.0, 3.0])
    np.testing.assert_allclose(linear, 1.7 * turn, atol=1e-9)
    np.testing.assert_allclose(offset, [1.0, 2.0, 3.0], atol=1e-9)


def test_limb_coordinate_counts_joints() -> None:
    joints = np.array([[0, 0, 0], [1, 0, 0], [1, -2, 0.0]])
    points = np.array([[0, 0, 0], [0.5, 0.1, 0], [1, -1, 0.2], [1, -3, 0], [-0.25, 0, 0]])
    np.testing.assert_allclose(limb_coordinate(points, joints), [0, 0.5, 1.5, 2.5, -0.25])


def test_template_openings_are_rings_and_parts_make_sense() -> None:
    template = load_template(30_000)
    directed = {tuple(e) for k in range(3) for e in template.faces[:, [k, (k + 1) % 3]].tolist()}
    for loop in template.loops:
        for a, b in zip(loop.tolist(), np.roll(loop, -1).tolist()):
            assert (b, a) in directed and (a, b) not in directed
    assert len(template.loops) == 5
    np.testing.assert_allclose(template.part_share.sum(axis=1), 1.0, atol=1e-6)
    left_arm = template.part == 2
    assert template.canonical[left_arm, 0].min() > 0.1
    assert -0.5 < template.limb[left_arm].min() < template.limb[left_arm].max() < 3


def test_poses_stand_on_both_feet_and_keep_hands_off_the_body(rng: np.random.Generator) -> None:
    body = load_anny_body()
    rest = body.rest_vertices({"gender": 0.8, "weight": 0.7})
    feet = [body.region_vertices("foot.L"), body.region_vertices("foot.R")]
    hands = [body.region_vertices("hand.L"), body.region_vertices("hand.R")]
    trunk = np.flatnonzero(
        (np.abs(rest[:13380, 0]) < 0.12) & (rest[:13380, 1] > 0.1) & (rest[:13380, 1] < 0.6)
    )
    specs = [sample_pose(rng) for _ in range(3)]
    specs.append(replace(specs[0], kind="contrapposto", pelvis_roll=4.0, hip=(0.0, 0.0), knee=(4.0, 4.0)))
    specs.append(replace(specs[0], kind="walk", hip=(18.0, -13.0), knee=(5.0, 12.0), arm_out=(2.0, 2.0)))
    for spec in specs:
        posed, _ = Poser(body, rest).solve(spec, 0.03)
        left, right = (posed[f, 1].min() for f in feet)
        assert abs(left - right) < 0.012
        for hand, side in zip(hands, (1, -1)):
            assert (side * posed[hand, 0]).min() > 0.05
            gap = np.linalg.norm(posed[hand][:, None] - posed[trunk[::7]][None], axis=2).min()
            assert gap > 0.02
            assert posed[hand, 1].max() < posed[trunk, 1].max()


def test_texels_know_the_point_they_show() -> None:
    template = load_template(36_000)
    texels = load_texels(36_000, 256)
    corners = template.canonical[template.faces[texels.face]]
    low, high = corners.min(axis=1) - 1e-4, corners.max(axis=1) + 1e-4
    assert ((texels.position > low) & (texels.position < high)).all()
    assert len(np.unique(texels.index)) == len(texels.index)
    # Lips are red where the face's mouth is.
    lips = texels.position[texels.lips > 0.7]
    assert len(lips) > 10
    assert np.abs(lips[:, 1] - 0.832).max() < 0.02 and lips[:, 2].min() > 0.11
