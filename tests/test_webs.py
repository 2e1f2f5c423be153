"""Arms that a reconstruction ran together with the trunk are cut off it, and both sides are closed again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import posed_body
import pytest
import trimesh

from jiff.body import rig
from jiff.body.anny_body import AnnyBody, load_anny_body
from jiff.body.binding import near_skin, reposed
from jiff.body.placed import PlacedBody
from jiff.body.rig import rig_binding_weights, rig_mesh, skin_triangles
from jiff.body.rig_bones import RIG_BONES, RIG_INDEX
from jiff.body.skeleton import JOINTS, JointPose
from jiff.body.webs import cut_and_close, find_webs, limbs_apart
from jiff.geometry.closest import MeshBvh
from jiff.geometry.mesh import Mesh


@pytest.fixture(scope="module")
def body() -> AnnyBody:
    return load_anny_body()


@pytest.fixture(scope="module")
def placed() -> PlacedBody:
    """A person whose left arm lies along the trunk; the right one and the legs are free."""
    pose = JointPose.rest()
    pose.turns[JOINTS.index("upperarm.L")] = (0, 0, -0.62)
    pose.turns[JOINTS.index("lowerarm.L")] = (0, 0, -0.1)
    return PlacedBody({}, pose, 96.0, np.array([0.0, 78.0, 0.0]))


@pytest.fixture(scope="module")
def joined(body: AnnyBody, placed: PlacedBody) -> Mesh:
    return posed_body.run_together(body, placed)


def below_arm(vertices: np.ndarray, heads: np.ndarray, side: str) -> float:
    """How far the surface hangs below the middle of the upper arm, T-pose."""
    shoulder, elbow = heads[RIG_INDEX[f"{side}Arm"]], heads[RIG_INDEX[f"{side}ForeArm"]]
    share = (vertices[:, 0] - shoulder[0]) / (elbow[0] - shoulder[0])
    return float(shoulder[1] - vertices[(share > 0.5) & (share < 0.9), 1].min())


def test_the_arm_is_free_and_the_surface_closed(
    body: AnnyBody, placed: PlacedBody, joined: Mesh, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert trimesh.Trimesh(joined.vertices, joined.faces, process=False).is_watertight
    cut = rig_mesh(joined, placed, body)
    assert below_arm(cut.mesh.vertices, cut.rig.heads, "Left") < 8
    closed = trimesh.Trimesh(cut.mesh.vertices, cut.mesh.faces, process=False)
    assert closed.is_watertight and closed.is_winding_consistent and closed.volume > 0
    assert len(closed.vertices) == len(cut.binding.bones) <= len(joined.vertices)
    # In the photo's pose the cut is not seen: the vertices lie on the surface that was.
    there = reposed(cut.mesh.vertices, cut.binding, *cut.rig.photo_transforms())
    off = MeshBvh(joined.vertices, joined.faces).closest(there[::7]).distance
    assert np.percentile(off, 93) < 1e-3 and np.percentile(off, 99.5) < 2
    # Without the cut there is a wing.
    monkeypatch.setattr(
        rig, "find_webs", lambda places, faces, near, apart: (np.zeros(len(faces), bool), None)
    )
    whole = rig_mesh(joined, placed, body)
    assert below_arm(whole.mesh.vertices, whole.rig.heads, "Left") > 12


def test_only_the_web_is_cut(body: AnnyBody, placed: PlacedBody, joined: Mesh) -> None:
    near = near_skin(
        joined.vertices,
        joined.faces,
        placed.vertices_world(body),
        skin_triangles(body),
        *rig_binding_weights(body),
    )
    web, part = find_webs(joined.vertices, joined.faces, near, limbs_apart(body, placed.rest(body)))
    assert 50 < web.sum() < 0.05 * len(web)
    places = joined.vertices[joined.faces[web]].reshape(-1, 3)
    joints = dict(zip(body.bone_labels, placed.bones_world(body)))
    assert (places[:, 0] > 5).mean() > 0.8, "hardly any at the free arm, where its pit was rounded"
    assert places[:, 1].min() > joints["wrist.L"][1] - 15
    assert places[:, 1].max() < joints["upperarm01.L"][1]
    names = [RIG_BONES[k].name for k in near.weights[part == 1].argmax(axis=1)]
    assert np.mean(["Arm" in name or "Hand" in name or "Shoulder" in name for name in names]) > 0.97


def test_a_person_whose_limbs_are_apart_stays_whole(body: AnnyBody) -> None:
    placed = posed_body.placed_body()
    coat = posed_body.coat(body, placed, finer=0)
    assert len(rig_mesh(coat, placed, body).mesh.faces) == len(coat.faces)


def test_hands_that_meet_come_apart(body: AnnyBody) -> None:
    pose = JointPose.rest()
    for side, sign in (("L", 1.0), ("R", -1.0)):
        pose.turns[JOINTS.index(f"upperarm.{side}")] = (-0.5, 0, -0.45 * sign)
        pose.turns[JOINTS.index(f"lowerarm.{side}")] = (-0.4, -1.3 * sign, 0)
    meeting = PlacedBody({}, pose, 96.0, np.array([0.0, 78.0, 0.0]))
    tips = [
        place[0] for name, place in zip(body.bone_labels, meeting.bones_world(body)) if "finger3-3" in name
    ]
    assert abs(tips[0] - tips[1]) < 4
    surface = posed_body.run_together(body, meeting)
    cut = rig_mesh(surface, meeting, body).mesh
    edges = np.linalg.norm(cut.vertices[cut.faces] - cut.vertices[np.roll(cut.faces, 1, axis=1)], axis=2)
    assert edges.max() < 25
    assert trimesh.Trimesh(cut.vertices, cut.faces, process=False).is_watertight


def test_textured_lids_have_one_texel_each(body: AnnyBody, placed: PlacedBody, joined: Mesh) -> None:
    uv = np.random.default_rng(0).random((len(joined.vertices), 2))
    textured = replace(
        joined, colors=None, uv=uv, faces_uv=joined.faces, texture=np.zeros((8, 8, 3), np.uint8)
    )
    cut = rig_mesh(textured, placed, body).mesh
    assert cut.faces_uv is not None and cut.faces_uv.shape == cut.faces.shape
    flat = (cut.faces_uv == cut.faces_uv[:, :1]).all(axis=1)
    assert 20 < flat.sum() < 0.05 * len(flat)


def test_slits_are_closed_side_by_side() -> None:
    # A strip of three rows of cells on a tube; the middle row is taken out and both tubes are closed.
    count = 12
    angle = np.linspace(0, 2 * np.pi, count, endpoint=False)
    rings = [np.stack([np.cos(angle), np.full(count, y), np.sin(angle)], axis=1) for y in range(4)]
    vertices = np.concatenate([*rings, [[0, 0, 0], [0, 3, 0]]])
    faces = []
    for row in range(3):
        for k in range(count):
            a, b = row * count + k, row * count + (k + 1) % count
            faces += [[a, a + count, b], [b, a + count, b + count]]
    for k in range(count):
        faces += [
            [4 * count, k, (k + 1) % count],
            [4 * count + 1, 3 * count + (k + 1) % count, 3 * count + k],
        ]
    tube = Mesh(vertices, np.array(faces))
    assert trimesh.Trimesh(vertices, tube.faces, process=False).is_watertight
    web = np.zeros(len(faces), bool)
    web[2 * count : 4 * count] = True
    cut, used = cut_and_close(tube, web, (vertices[:, 1] > 1.5).astype(np.int64), vertices)
    pieces = trimesh.Trimesh(cut.vertices, cut.faces, process=False)
    assert pieces.is_watertight and pieces.is_winding_consistent and len(used) == len(vertices)
    assert len(pieces.split()) == 2
    assert abs(pieces.volume) == pytest.approx(2 / 3 * abs(tube.volume), rel=1e-6)
