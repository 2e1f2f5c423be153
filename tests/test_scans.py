"""Folders of raw scans: what is taken, and that nothing is passed over in silence."""

from __future__ import annotations

from pathlib import Path

import pytest
from render_scans import egg

from jiff.base.errors import DatasetError
from jiff.base.progress import NullProgress
from jiff.data.scans import find_scans, scan_inputs
from jiff.geometry.io.mesh_io import load_mesh, save_mesh
from jiff.options.rescale import RescaleConfig
from jiff.pipelines.rescale import run_rescale


def _touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"v 0 0 0 # {name}")


def _found(root: Path) -> dict[str, str]:
    return {name: path.relative_to(root).as_posix() for name, path in find_scans(root).scans.items()}


def test_known_layouts(tmp_path: Path) -> None:
    _touch(
        tmp_path, "0001/0001.obj", "0001/other.obj", "rp_eve_OBJ/rp_eve_100k.obj", "loose.ply", "one/any name.glb",
        "gl/scene.gltf", "gl/scene.bin", "person/mesh/model.obj", "person/tex/skin.png", "batch/a/a.obj",
        "batch/b/b.ply", ".hidden/x.obj", "0001/.0001.1234.part.obj", "empty/readme.txt",
    )  # fmt: skip
    assert _found(tmp_path) == {
        "0001": "0001/0001.obj", "rp_eve": "rp_eve_OBJ/rp_eve_100k.obj", "loose": "loose.ply", "one": "one/any name.glb",
        "gl": "gl/scene.gltf", "person": "person/mesh/model.obj", "a": "batch/a/a.obj", "b": "batch/b/b.ply",
    }  # fmt: skip
    assert find_scans(tmp_path).not_taken == {}


def test_what_cannot_be_taken_is_named(tmp_path: Path) -> None:
    _touch(
        tmp_path,
        "good/good.obj",
        "two/left.obj",
        "two/right.obj",
        "maya/maya.fbx",
        "b.stl",
        "deep/good/good.obj",
    )
    found = find_scans(tmp_path)
    assert list(found.scans) == ["good"] and found.scans["good"].parent == tmp_path / "good"
    told = found.not_taken
    assert set(told) == {"two", "maya", "b.stl", str(tmp_path / "deep" / "good")}
    assert (
        "holds several meshes (left.obj, right.obj)" in told["two"] and "rename one to two.obj" in told["two"]
    )
    assert "export the scan as OBJ, PLY, GLB or glTF" in told["maya"]
    assert "has the same name" in told[str(tmp_path / "deep" / "good")]


def test_only_unread_files_are_an_error_that_says_so(tmp_path: Path) -> None:
    _touch(tmp_path, "maya/maya.fbx")
    with pytest.raises(DatasetError, match=r"maya.fbx: .fbx files cannot be read"):
        find_scans(tmp_path)
    with pytest.raises(DatasetError, match="holds no scans"):
        find_scans(_empty(tmp_path))


def _empty(root: Path) -> Path:
    (root / "empty").mkdir()
    return root / "empty"


def test_results_inside_the_folder_are_not_scans_again(tmp_path: Path) -> None:
    save_mesh(egg(8, 6), tmp_path / "a" / "a.obj")
    for _ in range(2):
        report = run_rescale(RescaleConfig(tmp_path, tmp_path / "rescaled", jobs=1), NullProgress())
        assert report.ok
    _touch(tmp_path, "set/GEO/OBJ/a/a.obj")
    assert find_scans(tmp_path).not_taken == {} and _found(tmp_path) == {"a": "a/a.obj"}
    assert _found(tmp_path / "rescaled") == {"a": "a/a.obj"}


def test_gltf_with_its_files_is_read_like_glb(tmp_path: Path) -> None:
    """A scan's glTF, buffer and picture beside it, ends as the same scan as its GLB."""
    import trimesh

    mesh = egg(16, 8)
    save_mesh(mesh, tmp_path / "in" / "glb" / "glb.glb")
    scene = trimesh.load_scene(tmp_path / "in" / "glb" / "glb.glb")
    (tmp_path / "in" / "gltf").mkdir()
    for name, blob in trimesh.exchange.gltf.export_gltf(scene).items():
        target = "gltf.gltf" if name.endswith(".gltf") else name
        (tmp_path / "in" / "gltf" / target).write_bytes(blob)
    assert len(list((tmp_path / "in" / "gltf").iterdir())) >= 2
    report = run_rescale(RescaleConfig(tmp_path / "in", tmp_path / "out", jobs=1), NullProgress())
    assert report.ok and set(report.results) == {"glb", "gltf"}
    one, two = (load_mesh(tmp_path / "out" / name / f"{name}.obj") for name in ("glb", "gltf"))
    assert one.vertices == pytest.approx(two.vertices, abs=1e-3)
    assert one.texture is not None and two.texture is not None and one.texture.shape == two.texture.shape


def test_a_gltf_whose_buffer_is_missing_fails_in_one_sentence(tmp_path: Path) -> None:
    import trimesh

    (tmp_path / "in" / "a").mkdir(parents=True)
    save_mesh(egg(8, 6), tmp_path / "b.glb")
    files = trimesh.exchange.gltf.export_gltf(trimesh.load_scene(tmp_path / "b.glb"))
    for name, blob in files.items():
        if name.endswith(".gltf"):
            (tmp_path / "in" / "a" / "a.gltf").write_bytes(blob)
    report = run_rescale(RescaleConfig(tmp_path / "in", tmp_path / "out", jobs=1), NullProgress())
    assert "a.gltf" in report.failures["a"] and "\n" not in report.failures["a"] and not report.details


def test_inputs_of_a_scan(tmp_path: Path) -> None:
    _touch(tmp_path, "a/a.obj", "a/a.mtl", "a/skin.png", "a/notes.txt", "b.obj", "b.mtl", "c.obj", "c.jpg")
    assert set(scan_inputs(tmp_path / "a" / "a.obj")) == {"scan", "a.mtl", "skin.png"}
    assert set(scan_inputs(tmp_path / "b.obj")) == {"scan", "b.mtl"}
