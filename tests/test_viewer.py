"""The page of ``jiff view`` carries the meshes faithfully and needs nothing from outside."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import posed_body
import pytest

from jiff.base.errors import InputError, MeshError, UsageError
from jiff.base.progress import NullProgress
from jiff.body.anny_body import load_anny_body
from jiff.body.rig import rig_mesh
from jiff.body.rig_file import skinned_mesh
from jiff.geometry.io.gltf_motion import read_motion
from jiff.geometry.io.mesh_io import save_mesh
from jiff.geometry.io.skinned_glb import skinned_glb_bytes
from jiff.geometry.mesh import Mesh
from jiff.options.view import ViewConfig
from jiff.pipelines.view import run_view
from jiff.report.viewer.page import ViewItem, pack_mesh, viewer_page


def tetrahedron(offset: float = 0.0) -> Mesh:
    vertices = np.array([[0, 0, 0], [3, 0, 0], [0, 170.123, 0], [0, 0, 2]], dtype=float) + offset
    faces = np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [0, 3, 2]])
    return Mesh(vertices, faces, colors=np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0.5, 1, 2]], dtype=float))


def array(text: str, kind: str, columns: int) -> np.ndarray[Any, Any]:
    return np.frombuffer(base64.b64decode(text), dtype=kind).reshape(-1, columns)


def carried(page: str) -> list[dict[str, Any]]:
    found = re.search(r'<script id="meshes" type="application/json">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    return json.loads(found.group(1))


def test_positions_triangles_and_colours_come_back() -> None:
    mesh = tetrahedron(offset=-40.0)
    packed = pack_mesh(ViewItem(mesh, "a"))
    steps = array(packed["position"], "<u2", 3)
    back = steps / 65535 * np.array(packed["size"]) + mesh.vertices.min(axis=0)
    assert np.abs(back - mesh.vertices).max() <= np.max(packed["size"]) / 65535 / 2 + 1e-9
    assert (array(packed["index"], "<u4", 3) == mesh.faces).all()
    assert array(packed["color"], "u1", 3).tolist() == [[0, 0, 0], [255, 0, 0], [0, 255, 0], [128, 255, 255]]


def test_vertices_are_split_at_texture_seams() -> None:
    plain = tetrahedron()
    uv = np.array([[0, 0], [1, 0], [0, 1], [0.25, 0.75], [1, 1]], dtype=float)
    faces_uv = np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [4, 3, 2]])
    texture = np.full((4, 6, 3), 128, np.uint8)
    mesh = Mesh(plain.vertices, plain.faces, uv=uv, faces_uv=faces_uv, texture=texture)
    packed = pack_mesh(ViewItem(mesh, "a"))
    index, found = array(packed["index"], "<u4", 3), array(packed["uv"], "<f4", 2)
    steps = array(packed["position"], "<u2", 3) / 65535 * np.array(packed["size"])
    assert len(found) == len(steps) == 5
    assert np.allclose(found[index], uv[faces_uv])
    assert np.allclose(steps[index], mesh.vertices[mesh.faces] - mesh.vertices.min(axis=0), atol=0.01)
    assert packed["texture"].startswith("data:image/jpeg;base64,")


@pytest.mark.parametrize(
    "mesh",
    [
        Mesh(np.zeros((3, 3)), np.zeros((0, 3), int)),
        Mesh(np.zeros((3, 3)), np.array([[0, 1, 2]])),
        Mesh(np.array([[0, 0, 0], [1, 0, 0], [0, np.nan, 0]]), np.array([[0, 1, 2]])),
    ],
)
def test_what_cannot_be_shown_is_refused(mesh: Mesh) -> None:
    with pytest.raises(MeshError, match="thing"):
        pack_mesh(ViewItem(mesh, "thing"))


def test_page_is_self_contained_and_survives_hostile_labels() -> None:
    label = "</script><script>alert(1)</script> & __SCRIPT__"
    page = viewer_page([ViewItem(tetrahedron(), label)], label)
    assert carried(page)[0]["label"] == label
    assert "<script>alert" not in page
    assert re.search(r"(https?:)?//[a-z]+\.", page.split("<script id=")[0]) is None
    assert not re.search(r"""(src|href)=["']?(?!data:)[a-z]""", page)
    assert page.count("</html>") == 1


def test_run_reads_files_and_folders(tmp_path: Path) -> None:
    folder = tmp_path / "in ü"
    folder.mkdir()
    save_mesh(tetrahedron(), folder / "b.obj")
    save_mesh(tetrahedron(), folder / "a.ply")
    config = ViewConfig((folder, folder / "b.obj"), tmp_path / "page.html", ("first",))
    report = run_view(config, NullProgress())
    assert report.outputs == [str(tmp_path / "page.html")]
    items = carried((tmp_path / "page.html").read_text(encoding="utf-8"))
    assert [item["label"] for item in items] == ["first", "b.obj", "b.obj"]
    assert items[0]["note"] == "4 vertices, 4 triangles"


def test_wrong_inputs_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.obj: no such"):
        run_view(ViewConfig((tmp_path / "none.obj",)), NullProgress())
    with pytest.raises(InputError, match="holds no mesh"):
        run_view(ViewConfig((tmp_path,)), NullProgress())
    file = tmp_path / "a.ply"
    save_mesh(tetrahedron(), file)
    with pytest.raises(UsageError, match="at most 8"):
        run_view(ViewConfig((file,) * 9), NullProgress())
    with pytest.raises(UsageError, match="--label"):
        run_view(ViewConfig((file,), label=("a", "b")), NullProgress())


def test_movements_are_carried(tmp_path: Path) -> None:
    """The page's numbers, worked out as its shader does, give the pose of the photo."""
    body, placed = load_anny_body(), posed_body.placed_body()
    coat = posed_body.coat(body, placed, finer=0)
    skinned = skinned_mesh(rig_mesh(coat, placed, body), 0.01, name="rig", walk=True)
    (tmp_path / "rig.glb").write_bytes(skinned_glb_bytes(skinned))
    run_view(ViewConfig((tmp_path / "rig.glb",), tmp_path / "page.html"), NullProgress())
    packed = carried((tmp_path / "page.html").read_text(encoding="utf-8"))[0]
    assert [clip["name"] for clip in packed["clips"]] == ["photo", "walk"] and packed["joints"] == 65
    size = np.array(packed["size"])
    bound = (array(packed["position"], "<u2", 3) / 65535 - 0.5) * size / size[1]
    weights = array(packed["weights"], "<u2", 4) / 65535.0
    bones = array(packed["bones"], "<u2", 4)
    clip = packed["clips"][0]
    frames = array(clip["matrices"], "<f4", 12).reshape(clip["frames"], packed["joints"], 3, 4)
    blend = np.einsum("nk,nkij->nij", weights / weights.sum(axis=1, keepdims=True), frames[0][bones])
    posed = np.einsum("nij,nj->ni", blend[:, :, :3], bound) + blend[:, :, 3]
    middle = skinned.mesh.bounds.mean(axis=0)
    wanted = (coat.vertices * 0.01 - middle) / size[1]
    off = np.linalg.norm(posed - wanted, axis=1)
    # Save in folds that were mended.
    assert np.percentile(off, 85) < 1e-3 and np.percentile(off, 99) < 0.01
    assert (clip["frames"] - 1) * clip["frame_s"] == pytest.approx(1.0)


def test_files_without_movements_or_with_what_stands_beside_have_none(tmp_path: Path) -> None:
    save_mesh(tetrahedron(), tmp_path / "a.glb")
    assert read_motion(tmp_path / "a.glb") is None
    assert "clips" not in pack_mesh(ViewItem(tetrahedron(), "a"))
