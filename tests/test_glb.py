"""GLB files: the Khronos validator, independent readers, units, axes, colour spaces."""

from __future__ import annotations

import json
import shutil
import struct
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_person
import trimesh

from jiff.geometry.io.color_space import linear_to_srgb, srgb_to_linear
from jiff.geometry.io.glb_writer import glb_bytes
from jiff.geometry.io.mesh_io import load_mesh, save_mesh
from jiff.geometry.mesh import Mesh
from jiff.geometry.simplify import decimate
from jiff.inference.coloring import texture_mesh
from jiff.inference.outputs import to_metres

VALIDATE = """
const fs = require("fs"), validator = require("gltf-validator");
validator.validateBytes(new Uint8Array(fs.readFileSync(process.argv[1])), { maxIssues: 100 })
  .then((report) => console.log(JSON.stringify(report)));
"""


@pytest.fixture(scope="module")
def textured() -> Mesh:
    return texture_mesh(decimate(tiny_person.figure(64), 3000), tiny_person.figure_colors, 256)[0]


def parts(blob: bytes) -> tuple[dict[str, Any], bytes]:
    """Return the JSON and the binary chunk, by the container's rules alone."""
    magic, version, total = struct.unpack_from("<4sII", blob)
    assert (magic, version, total) == (b"glTF", 2, len(blob))
    length, kind = struct.unpack_from("<I4s", blob, 12)
    assert kind == b"JSON" and length % 4 == 0
    size, kind = struct.unpack_from("<I4s", blob, 20 + length)
    assert kind == b"BIN\0" and size % 4 == 0 and 28 + length + size == len(blob)
    return json.loads(blob[20 : 20 + length]), blob[28 + length :]


def accessor(header: dict[str, Any], binary: bytes, index: int) -> np.ndarray[Any, Any]:
    entry = header["accessors"][index]
    view = header["bufferViews"][entry["bufferView"]]
    width = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4}[entry["type"]]
    kind = {5126: "<f4", 5125: "<u4", 5123: "<u2"}[entry["componentType"]]
    start = view["byteOffset"]
    assert start % 4 == 0
    found = np.frombuffer(binary[start : start + view["byteLength"]], kind)
    assert len(found) == entry["count"] * width
    return found.reshape(-1, width)


@pytest.fixture(scope="module")
def validator() -> str:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed, so the Khronos glTF validator cannot run")
    found = subprocess.run(
        [node, "-e", "require.resolve('gltf-validator')"], capture_output=True, cwd=Path(__file__).parent
    )
    if found.returncode:
        pytest.skip("the npm package gltf-validator is not installed (npm install --no-save gltf-validator)")
    return node


@pytest.mark.parametrize("kind", ["texture", "colours", "plain", "large"])
def test_khronos_validator_has_nothing_to_say(
    textured: Mesh, validator: str, tmp_path: Path, kind: str
) -> None:
    mesh = {
        "texture": textured,
        "colours": replace(textured, uv=None, faces_uv=None, texture=None),
        "plain": Mesh(textured.vertices, textured.faces),
        "large": tiny_person.figure(256),
    }[kind]
    path = tmp_path / "名 ü.glb"
    save_mesh(to_metres(mesh, 175), path, extras={"name": "x"})
    result = subprocess.run(
        [validator, "-e", VALIDATE, str(path)],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parent,
        check=True,
    )
    report = json.loads(result.stdout)
    issues = report["issues"]
    assert (issues["numErrors"], issues["numWarnings"]) == (0, 0), issues["messages"]
    assert [message["code"] for message in issues["messages"]] == []
    assert report["info"]["totalTriangleCount"] == len(mesh.faces)
    assert report["info"]["hasTextures"] == (kind == "texture")


def test_container_units_and_attributes(textured: Mesh) -> None:
    mesh = to_metres(textured, 175)
    header, binary = parts(glb_bytes(mesh, name="Ä", extras={"k": [1]}))
    assert header["asset"]["generator"].startswith("jiff ") and header["asset"]["extras"] == {"k": [1]}
    primitive = header["meshes"][0]["primitives"][0]
    attributes = primitive["attributes"]
    assert set(attributes) == {"POSITION", "NORMAL", "TEXCOORD_0"}
    position = accessor(header, binary, attributes["POSITION"])
    index = accessor(header, binary, primitive["indices"]).reshape(-1, 3)
    np.testing.assert_allclose(position[index], mesh.triangles, atol=1e-6)
    # The figure is 170 units high: metres, y up, feet below.
    assert np.ptp(position[:, 1]) == pytest.approx(np.ptp(textured.vertices[:, 1]) * 1.75 / 180, rel=1e-5)
    low = header["accessors"][attributes["POSITION"]]["min"]
    np.testing.assert_allclose(low, position.min(axis=0), rtol=1e-6)
    normal = accessor(header, binary, attributes["NORMAL"])
    np.testing.assert_allclose(np.linalg.norm(normal, axis=1), 1, atol=1e-5)
    corners = position[index].astype(float)
    facing = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    assert (np.einsum("fi,fi->f", facing, normal[index].sum(axis=1)) > 0).mean() > 0.99
    uv = accessor(header, binary, attributes["TEXCOORD_0"])
    assert textured.uv is not None and textured.faces_uv is not None
    wanted = textured.uv[textured.faces_uv] * (1, -1) + (0, 1)
    np.testing.assert_allclose(uv[index], wanted, atol=1e-6)


def test_normals_run_smoothly_over_seams(textured: Mesh) -> None:
    header, binary = parts(glb_bytes(textured))
    attributes = header["meshes"][0]["primitives"][0]["attributes"]
    position = accessor(header, binary, attributes["POSITION"])
    normal = accessor(header, binary, attributes["NORMAL"])
    _, group = np.unique(position, axis=0, return_inverse=True)
    group = group.ravel()
    assert len(position) > group.max() + 1
    first = np.zeros((group.max() + 1, 3))
    first[group] = normal
    np.testing.assert_allclose(first[group], normal, atol=1e-6)


def test_vertex_colours_are_linear_as_the_specification_says_and_come_back(tmp_path: Path) -> None:
    mesh = replace(tiny_person.figure(32), colors=None)
    ramp = np.linspace(0, 1, len(mesh.vertices))
    mesh = replace(mesh, colors=np.repeat(np.rint(ramp * 255)[:, None] / 255, 3, axis=1))
    save_mesh(mesh, tmp_path / "a.glb")
    header, binary = parts((tmp_path / "a.glb").read_bytes())
    stored = accessor(header, binary, header["meshes"][0]["primitives"][0]["attributes"]["COLOR_0"])
    assert mesh.colors is not None
    middle = int(np.argmin(np.abs(mesh.colors[:, 0] - 0.5)))
    assert stored[middle, 0] == pytest.approx(0.2140, abs=0.01)
    again = load_mesh(tmp_path / "a.glb")
    assert again.colors is not None
    np.testing.assert_allclose(again.colors, mesh.colors, atol=0.5 / 255)
    values = np.linspace(0, 1, 1001)
    np.testing.assert_allclose(linear_to_srgb(srgb_to_linear(values)), values, atol=1e-9)


@pytest.mark.parametrize("suffix", ["glb", "obj", "ply"])
def test_independent_reader_sees_the_same_body(textured: Mesh, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"x.{suffix}"
    save_mesh(textured, path, texture_name="x_texture.png")
    read = trimesh.load(path, force="mesh", process=False)
    assert len(read.faces) == len(textured.faces)
    np.testing.assert_allclose(read.triangles, textured.triangles, atol=1e-4)
    merged = trimesh.Trimesh(read.vertices, read.faces, process=True)
    merged.merge_vertices(merge_tex=True, merge_norm=True)
    assert merged.is_watertight and merged.volume > 0
    if suffix == "ply":
        assert textured.colors is not None
        got = read.visual.vertex_colors[:, :3] / 255
        np.testing.assert_allclose(got, textured.colors, atol=1 / 255)
        return
    image = read.visual.material.baseColorTexture if suffix == "glb" else read.visual.material.image
    assert textured.texture is not None and image.size == textured.texture.shape[1::-1]
    assert np.abs(np.asarray(image.convert("RGB")).astype(int) - textured.texture).mean() < 1.5
    # Colours found through the reader's own coordinates.
    color = read.visual.to_color().vertex_colors[:, :3] / 255
    clear = np.abs(read.vertices[:, 1:2] - (80, 150)).min(axis=1) > 4
    assert np.abs(color[clear] - tiny_person.figure_colors(read.vertices[clear])).mean() < 2 / 255


def test_obj_names_its_material_files(textured: Mesh, tmp_path: Path) -> None:
    save_mesh(textured, tmp_path / "a.obj", texture_name="a_texture.png")
    assert {path.name for path in tmp_path.iterdir()} == {"a.obj", "a_texture.mtl", "a_texture.png"}
    assert "mtllib a_texture.mtl" in (tmp_path / "a.obj").read_text()
    assert "map_Kd a_texture.png" in (tmp_path / "a_texture.mtl").read_text()
    again = load_mesh(tmp_path / "a.obj")
    assert textured.texture is not None and again.texture is not None
    np.testing.assert_array_equal(again.texture, textured.texture)
