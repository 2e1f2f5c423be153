"""The rig's file in other programs: the Khronos validator, Blender."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import posed_body
import pytest
from scipy.spatial import cKDTree

from jiff.body.anny_body import AnnyBody, load_anny_body
from jiff.body.placed import PlacedBody
from jiff.body.rig import RiggedMesh, rig_mesh
from jiff.body.rig_file import skinned_mesh
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


VALIDATE = """
const fs = require("fs"), validator = require("gltf-validator");
validator.validateBytes(new Uint8Array(fs.readFileSync(process.argv[1])), { maxIssues: 100 })
  .then((report) => console.log(JSON.stringify(report)));
"""


def test_khronos_validator_has_nothing_to_say(file: Path) -> None:
    node = shutil.which("node")
    here = Path(__file__).parent
    ready = (
        node
        and not subprocess.run(
            [node, "-e", "require.resolve('gltf-validator')"], capture_output=True, cwd=here
        ).returncode
    )
    if not node or not ready:
        pytest.skip(
            "node with the npm package gltf-validator is absent (npm install --no-save gltf-validator)"
        )
    done = subprocess.run(
        [node, "-e", VALIDATE, str(file)], capture_output=True, text=True, cwd=here, check=True
    )
    report = json.loads(done.stdout)
    assert report["issues"]["messages"] == [] and report["info"]["animationCount"] == 2
    assert report["info"]["hasSkins"] and report["info"]["maxInfluences"] == 4


BLENDER = """
import sys, bpy, numpy as np
source, target = sys.argv[-2:]
bpy.ops.wm.read_factory_settings(use_empty=True)
bpy.ops.import_scene.gltf(filepath=source)
rig = next(o for o in bpy.data.objects if o.type == "ARMATURE")
mesh = next(o for o in bpy.data.objects if o.type == "MESH" and o.vertex_groups)
def points():
    bpy.context.view_layer.update()
    found = mesh.evaluated_get(bpy.context.evaluated_depsgraph_get()).to_mesh()
    flat = np.empty(len(found.vertices) * 3)
    found.vertices.foreach_get("co", flat)
    world = np.array(mesh.matrix_world)
    return flat.reshape(-1, 3) @ world[:3, :3].T + world[:3, 3]
data = rig.animation_data
for track in list(data.nla_tracks):
    data.nla_tracks.remove(track)
action = next(a for a in bpy.data.actions if a.name.startswith("photo"))
data.action = action
if hasattr(data, "action_slot"):
    data.action_slot = action.slots[0]
bpy.context.scene.frame_set(0)
photo = points()
data.action = None
for bone in rig.pose.bones:
    bone.matrix_basis.identity()
still = points()
arm = rig.pose.bones["mixamorig:LeftArm"]
arm.rotation_mode = "XYZ"
arm.rotation_euler = (-1.0, 0.0, 0.0)
np.savez(target, photo=photo, still=still, raised=points(), bones=len(rig.data.bones), actions=len(bpy.data.actions))
"""


def test_blender_imports_plays_and_raises_an_arm(
    file: Path, coat: Mesh, skinned: SkinnedMesh, tmp_path: Path
) -> None:
    python = os.environ.get("JIFF_BPY_PYTHON", "")
    if not python and importlib.util.find_spec("bpy") is None:
        pytest.skip(
            "the wheel bpy is absent (pip install bpy, or name a Python that has it in JIFF_BPY_PYTHON)"
        )
    script, target = tmp_path / "in_blender.py", tmp_path / "seen.npz"
    script.write_text(BLENDER)
    subprocess.run(
        [python or sys.executable, str(script), str(file), str(target)],
        check=True,
        capture_output=True,
        timeout=300,
    )
    seen = np.load(target)
    assert (int(seen["bones"]), int(seen["actions"])) == (65, 2)

    def upright(points: np.ndarray) -> np.ndarray:
        # Blender is z up; it may write vertices in another order.
        return points[:, [0, 2, 1]] * (1, 1, -1)

    off = cKDTree(upright(seen["photo"])).query(coat.vertices * METRES)[0]
    assert np.percentile(off, 85) < 1e-4 and np.percentile(off, 99) < 0.01
    assert cKDTree(upright(seen["still"])).query(skinned.mesh.vertices)[0].max() < 1e-4
    raised = upright(seen["raised"])
    assert raised[:, 1].max() > skinned.mesh.vertices[:, 1].max() + 0.2
    left = raised[:, 0] > 0.25
    assert raised[left, 1].max() == raised[:, 1].max(), "the left arm went up"
