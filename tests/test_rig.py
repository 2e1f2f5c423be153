"""The rig: Mixamo's bones, a T-pose, the photo's pose and a walk in a GLB that every reader takes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import gltf_rules
import numpy as np
import posed_body
import pytest
import trimesh

from jiff.body.anny_body import AnnyBody, load_anny_body
from jiff.body.binding import reposed
from jiff.body.mend import mended, turned_over
from jiff.body.placed import PlacedBody
from jiff.body.rig import RiggedMesh, gap_cm, rig_mesh
from jiff.body.rig_bones import RIG_BONES, RIG_INDEX, RIG_PARENTS, rig_of_bones
from jiff.body.rig_file import BoneNames, skinned_mesh
from jiff.body.skeleton import JointPose
from jiff.geometry.io.gltf_motion import read_motion
from jiff.geometry.io.mesh_io import load_mesh
from jiff.geometry.io.skinned_glb import SkinnedMesh, skinned_glb_bytes
from jiff.geometry.mesh import Mesh

METRES = 1.8 / 180


@pytest.fixture(scope="module")
def body() -> AnnyBody:
    return load_anny_body()


@pytest.fixture(scope="module")
def placed() -> PlacedBody:
    return posed_body.placed_body()


@pytest.fixture(scope="module")
def coat(body: AnnyBody, placed: PlacedBody) -> Mesh:
    return posed_body.coat(body, placed, finer=0)


@pytest.fixture(scope="module")
def rigged(body: AnnyBody, placed: PlacedBody, coat: Mesh) -> RiggedMesh:
    return rig_mesh(coat, placed, body)


@pytest.fixture(scope="module")
def skinned(rigged: RiggedMesh) -> SkinnedMesh:
    return skinned_mesh(rigged, METRES, name="person", walk=True)


@pytest.fixture(scope="module")
def file(skinned: SkinnedMesh, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("rig") / "person ü.glb"
    path.write_bytes(skinned_glb_bytes(skinned, name="person", extras={"k": 1}))
    return path


def way(heads: np.ndarray, start: str, end: str) -> np.ndarray:
    found = heads[RIG_INDEX[end]] - heads[RIG_INDEX[start]]
    return found / np.linalg.norm(found)


def test_bones_are_mixamo_s_and_every_bone_of_anny_belongs_to_one(body: AnnyBody) -> None:
    assert len(RIG_BONES) == 65 and all(parent < k for k, parent in enumerate(RIG_PARENTS))
    owner = dict(zip(body.bone_labels, rig_of_bones(body)))
    for label, name in {
        "root": "Hips", "pelvis.R": "Hips", "spine05": "Hips", "spine04": "Spine", "breast.L": "Spine2", "shoulder01.L": "LeftShoulder",
        "metacarpal3.R": "RightHand", "finger1-2.L": "LeftHandThumb2", "toe5-3.R": "RightToeBase", "jaw": "Head",
        "tongue04": "Head", "eye.L": "Head", "lowerarm02.R": "RightForeArm",
    }.items():  # fmt: skip
        assert RIG_BONES[owner[label]].name == name, label
    humanoid = [bone.vrm for bone in RIG_BONES if bone.vrm]
    assert len(set(humanoid)) == len(humanoid) == 52


def test_t_pose(rigged: RiggedMesh) -> None:
    heads, mesh = rigged.rig.heads, rigged.mesh
    for side, sign in (("Left", 1.0), ("Right", -1.0)):
        out = np.array([sign, 0, 0])
        for start, end in (("Arm", "ForeArm"), ("ForeArm", "Hand"), ("Hand", "HandMiddle1")):
            assert way(heads, side + start, side + end) @ out > 0.9999
        # Palms down: from the little finger to the index the way is forward, and fingers lie flat.
        assert way(heads, f"{side}HandPinky1", f"{side}HandIndex1")[2] > 0.9
        for finger in ("Index", "Middle", "Ring", "Pinky"):
            along = way(heads, f"{side}Hand{finger}1", f"{side}Hand{finger}4")
            assert abs(along[1]) < 0.12 and along @ out > 0.9
        for start, end in (("UpLeg", "Leg"), ("Leg", "Foot")):
            assert way(heads, side + start, side + end)[1] < -0.9999
        foot = way(heads, f"{side}Foot", f"{side}ToeBase")
        assert abs(foot[0]) < 1e-6 and foot[2] > 0.8
    assert np.allclose(heads[0, [0, 2]], 0, atol=1e-9)
    # Feet on the ground, the surface as wide as the arms, as deep as a body.
    low, high = mesh.bounds
    assert abs(low[1]) < 0.5
    fingertips = heads[RIG_INDEX["LeftHandMiddle4"], 0] - heads[RIG_INDEX["RightHandMiddle4"], 0]
    assert high[0] - low[0] == pytest.approx(fingertips, rel=0.05)
    assert high[2] - low[2] < 45
    left, right = (mesh.vertices[:, 0].max(), -mesh.vertices[:, 0].min())
    assert left == pytest.approx(right, rel=0.03), "a raised and a hanging arm end at the same length"


def test_axes_are_mixamo_s(rigged: RiggedMesh) -> None:
    axes = rigged.rig.axes
    assert np.allclose(axes @ axes.transpose(0, 2, 1), np.eye(3), atol=1e-9)
    assert (np.linalg.det(axes) > 0.99).all()
    # X Bot's own: rows are x, y, z of the bone.
    for name, rows in {
        "Hips": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
        "LeftArm": [[0, 0, -1], [1, 0, 0], [0, -1, 0]],
        "RightForeArm": [[0, 0, 1], [-1, 0, 0], [0, -1, 0]],
        "LeftUpLeg": [[-1, 0, 0], [0, -1, 0], [0, 0, 1]],
    }.items():
        assert np.allclose(axes[RIG_INDEX[name]].T, rows, atol=1e-3), name


def test_the_photo_s_pose_is_the_photo(
    rigged: RiggedMesh, coat: Mesh, placed: PlacedBody, body: AnnyBody
) -> None:
    there = reposed(rigged.mesh.vertices, rigged.binding, *rigged.rig.photo_transforms())
    # Save in folds that were mended.
    off = np.linalg.norm(there - coat.vertices, axis=1)
    assert np.percentile(off, 85) < 1e-6 and np.percentile(off, 99) < 1 and off.max() < 4
    joints = dict(zip(body.bone_labels, placed.bones_world(body)))
    for name in ("LeftForeArm", "LeftHand", "RightHandIndex3", "Head", "LeftLeg", "RightFoot"):
        label = RIG_BONES[RIG_INDEX[name]].sources[0]
        assert np.linalg.norm(rigged.rig.photo_heads[RIG_INDEX[name]] - joints[label]) < 0.2, name


def test_t_pose_is_that_of_the_bare_body(rigged: RiggedMesh, body: AnnyBody, placed: PlacedBody) -> None:
    """From two poses of one person the T-pose is the same."""
    still = replace(placed, pose=type(placed.pose).rest())
    other = rig_mesh(posed_body.coat(body, still, finer=0), still, body)
    off = np.linalg.norm(rigged.mesh.vertices - other.mesh.vertices, axis=1)
    assert np.median(off) < 0.3 and np.percentile(off, 95) < 2.5
    assert np.abs(rigged.rig.heads - other.rig.heads).max() < 0.5


def test_a_fist_is_not_torn_open(body: AnnyBody, placed: PlacedBody) -> None:
    fists = replace(placed, pose=JointPose(placed.pose.turns, np.array([[1.3, 0.8, 0.0]] * 2)))
    heads = rig_mesh(posed_body.coat(body, fists, finer=0), fists, body).rig.heads
    for finger in ("Index", "Middle", "Ring", "Pinky"):
        first, last = (way(heads, f"LeftHand{finger}{k}", f"LeftHand{finger}{k + 1}") for k in (1, 3))
        assert 30 < np.degrees(np.arccos(first @ last)) < 110, finger
    assert way(heads, "LeftForeArm", "LeftHand")[0] > 0.9999


def test_glb_keeps_the_rules(file: Path, skinned: SkinnedMesh) -> None:
    glb = gltf_rules.Glb(file.read_bytes())
    gltf_rules.check(glb)
    names = [node["name"] for node in glb.tree["nodes"]]
    assert names[0] == "person" and set(names[1:]) == {f"mixamorig:{bone.name}" for bone in RIG_BONES}
    assert [clip["name"] for clip in glb.tree["animations"]] == ["photo", "walk"]
    assert glb.tree["asset"]["extras"] == {"k": 1} and "extensionsUsed" not in glb.tree
    assert "COLOR_0" in glb.tree["meshes"][0]["primitives"][0]["attributes"]


def test_textured_glb_keeps_the_rules(skinned: SkinnedMesh) -> None:
    mesh = skinned.mesh
    uv = np.concatenate([mesh.vertices[:, :2], mesh.vertices[:, :2] + 0.5]) % 1.0
    # Half of the faces have coordinates of their own: their vertices are written twice.
    faces_uv = mesh.faces + (np.arange(len(mesh.faces)) % 2 * len(mesh.vertices))[:, None]
    texture = np.full((16, 16, 3), 90, np.uint8)
    textured = replace(mesh, colors=None, uv=uv, faces_uv=faces_uv, texture=texture)
    glb = gltf_rules.Glb(skinned_glb_bytes(replace(skinned, mesh=textured)))
    gltf_rules.check(glb)
    position = glb.values(glb.tree["meshes"][0]["primitives"][0]["attributes"]["POSITION"])
    assert len(position) > 1.3 * len(mesh.vertices)


def test_vrm_names_and_map(rigged: RiggedMesh) -> None:
    vrm: BoneNames = "vrm"
    glb = gltf_rules.Glb(skinned_glb_bytes(skinned_mesh(rigged, METRES, name="person", names=vrm)))
    gltf_rules.check(glb)
    extension = glb.tree["extensions"]["VRMC_vrm"]
    assert glb.tree["extensionsUsed"] == ["VRMC_vrm"] and extension["specVersion"] == "1.0"
    # https://github.com/vrm-c/vrm-specification/blob/master/specification/VRMC_vrm-1.0/meta.md: the three that must be.
    assert {"name", "authors", "licenseUrl"} <= set(extension["meta"]) and extension["meta"]["authors"]
    bones = {name: entry["node"] for name, entry in extension["humanoid"]["humanBones"].items()}
    needed = {"hips", "spine", "head"} | {
        f"{side}{part}"
        for side in ("left", "right")
        for part in ("UpperArm", "LowerArm", "Hand", "UpperLeg", "LowerLeg", "Foot")
    }
    assert needed <= set(bones) and len(set(bones.values())) == len(bones)
    assert all(glb.tree["nodes"][node]["name"] == name for name, node in bones.items())
    world = glb.world()
    assert world[bones["leftHand"]][0, 3] > 0.5 and world[bones["leftToes"]][2, 3] > 0.05


def play(file: Path, name: str, second: float) -> np.ndarray:
    """Return the bound vertices of a file at a time of one of its movements."""
    motion = read_motion(file)
    assert motion is not None
    clip = {clip.name: clip for clip in motion.clips}[name]
    frame = clip.matrices[min(round(second / clip.frame_s), len(clip.matrices) - 1)].astype(float)
    blend = np.einsum("nk,nkij->nij", motion.weights, frame[motion.bones])
    return np.einsum("nij,nj->ni", blend[:, :, :3], motion.bound) + blend[:, :, 3]


def test_file_s_first_frame_is_the_plain_mesh_and_its_still_pose_the_t_pose(
    file: Path, coat: Mesh, skinned: SkinnedMesh
) -> None:
    off = np.linalg.norm(play(file, "photo", 0.0) - coat.vertices * METRES, axis=1)
    assert np.percentile(off, 85) < 1e-5 and np.percentile(off, 99) < 0.01
    assert np.abs(load_mesh(file).vertices - skinned.mesh.vertices).max() < 1e-5
    other = trimesh.load(file, force="mesh", process=False)
    assert isinstance(other, trimesh.Trimesh)
    assert len(other.faces) == len(skinned.mesh.faces)
    assert np.abs(other.vertices - skinned.mesh.vertices).max() < 1e-5


def test_walk_repeats_stands_on_the_ground_and_swings_against(file: Path, skinned: SkinnedMesh) -> None:
    clip = skinned.clips[1]
    assert np.allclose(clip.axes[0], clip.axes[-1]) and np.allclose(clip.root[0], clip.root[-1])
    feet: dict[str, list[np.ndarray]] = {side: [] for side in ("Left", "Right")}
    lows = []
    bone = skinned.bones[np.arange(len(skinned.bones)), 0]
    for second in np.linspace(0, clip.times_s[-1], 9):
        points = play(file, "walk", second)
        lows.append(points[:, 1].min())
        for side, row in feet.items():
            row.append(points[bone == RIG_INDEX[f"{side}Foot"]].mean(axis=0))
    # A coat of 1 cm around the soles, the change of feet rounded.
    assert min(lows) > -0.03 and max(lows) < 0.03
    left, right = np.array(feet["Left"]), np.array(feet["Right"])
    assert np.ptp(left[:, 2]) > 0.45 and np.corrcoef(left[:-1, 2], right[:-1, 2])[0, 1] < -0.5
    assert np.ptp(left[:, 1]) > 0.04 and left[:, 0].min() > 0.0
    first = play(file, "walk", 0.0)
    hands = {side: first[bone == RIG_INDEX[f"{side}Hand"]].mean(axis=0) for side in ("Left", "Right")}
    assert left[0, 2] > right[0, 2] + 0.3 and hands["Left"][2] < hands["Right"][2] - 0.1
    assert hands["Left"][1] < 1.1 and hands["Left"][0] > 0.2 > -0.2 > hands["Right"][0]


def test_what_turned_over_is_smoothed_and_the_rest_stays() -> None:
    x, y = (grid.ravel() for grid in np.meshgrid(np.arange(20.0), np.arange(20.0)))
    cells = np.array([[k, k + 1, k + 21, k + 20] for k in range(379) if k % 20 < 19])
    faces = np.concatenate([cells[:, [0, 1, 2]], cells[:, [0, 2, 3]]])
    flat = np.stack([x, y, np.zeros_like(x)], axis=1)
    up = np.tile([0.0, 0.0, 1.0], (400, 1))
    bent = flat.copy()
    # A vertex pulled over its neighbours turns faces over.
    bent[210] += (2.5, 0.0, 0.5)
    sound = mended(Mesh(flat, faces, normals=up), Mesh(bent, faces, normals=up))
    assert not turned_over(Mesh(sound, faces), up).any()
    far = np.linalg.norm(flat - flat[210], axis=1) > 6
    assert (sound[far] == bent[far]).all()
    # What was so before stays so.
    same = mended(Mesh(bent, faces, normals=up), Mesh(bent, faces, normals=up))
    assert (same == bent).all()


def test_a_body_elsewhere_is_noticed(coat: Mesh, placed: PlacedBody, body: AnnyBody) -> None:
    assert gap_cm(coat, placed, body) < 2
    assert gap_cm(coat, replace(placed, offset_world=placed.offset_world + (60.0, 0, 0)), body) > 8
