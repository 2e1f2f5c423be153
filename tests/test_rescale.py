"""Rescaling: the frame of training, every source layout, in place and elsewhere, again and with bad scans."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from render_scans import egg, unoccluded

from jiff.base.errors import DatasetError, MeshError, UsageError
from jiff.base.progress import NullProgress
from jiff.data.scans import find_scans
from jiff.geometry.camera import Camera, rotation_x, rotation_y
from jiff.geometry.io.mesh_io import load_mesh, save_image, save_mesh
from jiff.geometry.io.obj_text import parse_obj
from jiff.geometry.io.scan_writer import read_record
from jiff.geometry.mesh import Mesh
from jiff.options.rescale import RescaleConfig
from jiff.pipelines.rescale import RescaleResult, run_rescale, scan_frame
from jiff.render.gbuffer import unwrapped_gbuffer
from jiff.render.preview import sample_colors
from jiff.render.shading import ShadedScan
from jiff.render.texture import has_triangle_atlas
from jiff.render.uvmaps import build_uv_maps


def person(rng: np.random.Generator, height: float = 1.7) -> Mesh:
    """A standing box with feet that point to +z, coloured by a texture; off centre."""
    import trimesh

    body = trimesh.creation.box((0.4, 0.94, 0.25))
    body.apply_translation((0, 0.53, 0))
    feet = trimesh.creation.box((0.3, 0.03, 0.28))
    feet.apply_translation((0, 0.015, 0.08))
    ankles = trimesh.creation.box((0.25, 0.08, 0.12))
    ankles.apply_translation((0, 0.05, 0))
    shape = trimesh.util.concatenate([body, feet, ankles]).subdivide().subdivide().subdivide()
    vertices = (np.array(shape.vertices) + [0.3, -0.2, 0.7]) * height
    faces = np.array(shape.faces, np.int64)
    uv = rng.random((len(vertices), 2))
    texture = rng.integers(0, 255, (32, 32, 3)).astype(np.uint8)
    return Mesh(vertices, faces, uv=uv, faces_uv=faces, texture=texture)


def run(
    folder: Path, out: Path | None = None, **options: object
) -> tuple[dict[str, RescaleResult], NullProgress]:
    progress = NullProgress()
    report = run_rescale(RescaleConfig(folder, out, jobs=1, **options), progress)  # type: ignore[arg-type]
    assert report.ok, report.failures
    return report.results, progress


def assert_in_frame(mesh: Mesh) -> None:
    low, high = mesh.bounds
    assert low[1] == pytest.approx(0, abs=1e-4) and high[1] == pytest.approx(180, abs=1e-4)
    np.testing.assert_allclose(mesh.vertices[:, [0, 2]].mean(0), 0, atol=1e-4)


def snapshot(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {
        str(p.relative_to(folder)): (p.read_bytes(), p.stat().st_mtime_ns)
        for p in folder.rglob("*")
        if p.is_file()
    }


@pytest.mark.parametrize("factor", [1.0, 100.0, 1000.0])
def test_thuman_in_any_unit(tmp_path: Path, rng: np.random.Generator, factor: float) -> None:
    mesh = person(rng, 1.7 * factor)
    save_mesh(mesh, tmp_path / "in" / "0001" / "0001.obj", texture_name="skin ü.jpeg")
    before = snapshot(tmp_path / "in")
    results, _ = run(tmp_path / "in", tmp_path / "out")
    assert snapshot(tmp_path / "in") == before
    folder = tmp_path / "out" / "0001"
    assert sorted(p.name for p in folder.iterdir()) == [
        "0001.obj", "material0.jpeg", "material0.mtl", "rescale.json"
    ]  # fmt: skip
    assert (folder / "material0.jpeg").read_bytes() == before["0001/skin ü.jpeg"][0]
    again = load_mesh(folder / "0001.obj")
    assert_in_frame(again)
    np.testing.assert_array_equal(again.faces, mesh.faces)
    assert again.uv is not None and mesh.uv is not None
    np.testing.assert_allclose(again.uv, mesh.uv, atol=1e-6)
    size, original = np.ptp(again.vertices, axis=0), np.ptp(mesh.vertices, axis=0)
    np.testing.assert_allclose(size / size[1], original / original[1], atol=1e-5)
    assert results["0001"].height == pytest.approx(1.7 * factor, rel=1e-4) and not results["0001"].baked
    record = read_record(folder / "0001.obj")
    assert record is not None
    matrix = np.array(record["world_from_scan"])
    moved = (
        load_mesh(tmp_path / "in" / "0001" / "0001.obj", texture=False).vertices @ matrix[:, :3].T
        + matrix[:, 3]
    )
    np.testing.assert_allclose(moved, again.vertices, atol=1e-3)


def test_in_place_is_idempotent(tmp_path: Path, rng: np.random.Generator) -> None:
    save_mesh(person(rng), tmp_path / "a" / "a.obj")
    texture = (tmp_path / "a" / "material0.jpeg").read_bytes()
    run(tmp_path, yaw_deg=30)
    once = snapshot(tmp_path)
    assert once["a/material0.jpeg"][0] == texture
    assert_in_frame(load_mesh(tmp_path / "a" / "a.obj"))
    progress = NullProgress()
    assert run_rescale(RescaleConfig(tmp_path, jobs=1, yaw_deg=30), progress).skipped == ["a"]
    assert snapshot(tmp_path) == once
    run(tmp_path, yaw_deg=30, overwrite=True)  # not turned twice
    np.testing.assert_allclose(
        load_mesh(tmp_path / "a" / "a.obj").vertices,
        parse_obj_bytes(tmp_path, once["a/a.obj"][0]),
        atol=2e-5,
    )
    run(tmp_path, yaw_deg=0)  # back
    record = read_record(tmp_path / "a" / "a.obj")
    assert record is not None and record["yaw_deg"] == pytest.approx(0)


def parse_obj_bytes(folder: Path, blob: bytes) -> np.ndarray:
    path = folder / "copy.tmp"
    path.write_bytes(blob)
    positions = parse_obj(path).positions
    path.unlink()
    return positions


def test_z_up_and_yaw(tmp_path: Path, rng: np.random.Generator) -> None:
    mesh = person(rng)
    save_mesh(mesh, tmp_path / "y" / "y.obj")
    save_mesh(mesh.transformed(rotation_x(np.pi / 2)), tmp_path / "z" / "z.obj")
    results, progress = run(tmp_path, tmp_path / "out", yaw_deg=40)
    y, z = (load_mesh(tmp_path / "out" / n / f"{n}.obj") for n in "yz")
    np.testing.assert_allclose(y.vertices, z.vertices, atol=1e-3)
    assert results["z"].up == "z" and any("z was up" in line for line in progress.infos)
    plain, _ = run(tmp_path, tmp_path / "plain")
    straight = load_mesh(tmp_path / "plain" / "y" / "y.obj").vertices
    np.testing.assert_allclose(straight @ rotation_y(np.radians(40)).T, y.vertices, atol=1e-3)
    assert plain["y"].turned_deg == 0


def test_frontal_goes_by_the_feet_where_there_is_no_face_and_says_so(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    mesh = replace(person(rng), texture=np.full((8, 8, 3), 128, np.uint8))
    for name, yaw in (("ahead", 0), ("left", 75), ("back", 180)):
        save_mesh(mesh.transformed(rotation_y(np.radians(yaw))), tmp_path / "in" / name / f"{name}.obj")
    results, progress = run(tmp_path / "in", tmp_path / "out", frontal=True)
    front = load_mesh(tmp_path / "out" / "ahead" / "ahead.obj").vertices
    for name, yaw in (("left", 75), ("back", 180)):
        facing = results[name].facing
        assert facing is not None and "its feet (no face was found)" in facing.reason
        assert (facing.yaw_deg - yaw + 180) % 360 - 180 == pytest.approx(0, abs=3)
        np.testing.assert_allclose(load_mesh(tmp_path / "out" / name / f"{name}.obj").vertices, front, atol=8)
    assert sum("from +z" in line for line in progress.infos) == 3


def test_renderpeople_and_loose_files(tmp_path: Path, rng: np.random.Generator) -> None:
    mesh = person(rng)
    folder = tmp_path / "in" / "rp_anna_posed_001_OBJ"
    save_mesh(mesh, folder / "rp_anna_posed_001_100k.obj")
    (folder / "material0.mtl").unlink()
    (folder / "tex").mkdir()
    (folder / "material0.jpeg").rename(folder / "tex" / "rp_anna_posed_001_dif_2k.jpg")
    save_mesh(mesh, tmp_path / "in" / "odd one.glb")
    run(tmp_path / "in", tmp_path / "out")
    anna = load_mesh(tmp_path / "out" / "rp_anna_posed_001" / "rp_anna_posed_001.obj")
    odd = load_mesh(tmp_path / "out" / "odd one" / "odd one.obj")
    for again in (anna, odd):
        assert_in_frame(again)
        assert again.texture is not None and again.uv is not None and mesh.uv is not None
    texture = (tmp_path / "out" / "rp_anna_posed_001" / "material0.jpeg").read_bytes()
    assert texture == (folder / "tex" / "rp_anna_posed_001_dif_2k.jpg").read_bytes()
    run(tmp_path / "in")
    scans = find_scans(tmp_path / "in").scans
    assert scans["odd one"] == tmp_path / "in" / "odd one" / "odd one.obj"
    assert scans["rp_anna_posed_001"] == folder / "rp_anna_posed_001.obj"
    assert not run_rescale(RescaleConfig(tmp_path / "in", jobs=1), NullProgress()).results


def test_materials_quads_and_normals(tmp_path: Path) -> None:
    folder = tmp_path / "in" / "m"
    folder.mkdir(parents=True)
    text = "mtllib m.mtl\nv 0 0 0\nv 1 0 0\nv 1 2 0\nv 0 2 0\nv 0 2 -1\nv 0 0 -1\nvt 0 0\nvt 1 0\nvt 1 1\nvt 0 1\n"
    text += (
        "vn 0 0 1\nvn -1 0 0\nusemtl one\nf 1/1/1 2/2/1 3/3/1 4/4/1\nusemtl two\nf 1/1/2 4/2/2 5/3/2 6/4/2\n"
    )
    (folder / "m.obj").write_text(text)
    (folder / "m.mtl").write_text(
        "newmtl one\nKs 0.5 0 0\nmap_Kd t.png\nmap_Bump b.png\nnewmtl two\nmap_Kd t.png\n"
    )
    save_image(folder / "t.png", np.full((4, 4, 3), 90, np.uint8))
    results, _ = run(tmp_path / "in", tmp_path / "one", yaw_deg=90)
    data = parse_obj(tmp_path / "one" / "m" / "m.obj")
    assert data.materials == ("one", "two") and data.material.tolist() == [0, 0, 1, 1]
    assert data.normals is not None and data.corners_normal is not None
    np.testing.assert_allclose(data.normals, [[1, 0, 0], [0, 0, 1]], atol=1e-4)
    assert data.corners_normal[:, 0].tolist() == [0, 0, 1, 1] and data.corners.shape == (4, 3)
    mtl = (tmp_path / "one" / "m" / "material0.mtl").read_text()
    assert mtl.count("map_Kd material0.png") == 2 and "Ks 0.5 0 0" in mtl and "Bump" not in mtl
    assert results["m"].texture == "material0.png"
    (folder / "m.mtl").write_text("newmtl one\nmap_Kd t.png\nnewmtl two\nKd 1 0 0\n")
    results, progress = run(tmp_path / "in", tmp_path / "atlas")
    assert results["m"].baked and any("baked" in line for line in progress.infos)
    mesh = load_mesh(tmp_path / "atlas" / "m" / "m.obj")
    assert mesh.uv is not None and mesh.faces_uv is not None and mesh.texture is not None
    assert_in_frame(mesh)


def test_vertex_colors_become_a_texture(tmp_path: Path, rng: np.random.Generator) -> None:
    mesh = person(rng)
    mesh = Mesh(mesh.vertices, mesh.faces, colors=np.tile([0.2, 0.6, 0.4], (len(mesh.vertices), 1)))
    save_mesh(mesh, tmp_path / "in" / "c.ply")
    run(tmp_path / "in", tmp_path / "out")
    again = load_mesh(tmp_path / "out" / "c" / "c.obj")
    assert again.uv is not None and again.texture is not None and len(again.faces) == len(mesh.faces)
    rows = ((1 - again.uv[:, 1]) * again.texture.shape[0]).astype(int)
    columns = (again.uv[:, 0] * again.texture.shape[1]).astype(int)
    np.testing.assert_allclose(again.texture[rows, columns], np.tile([51, 153, 102], (len(rows), 1)), atol=4)


def test_a_scan_with_vertex_colors_is_drawn_as_its_vertices_say(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    """Beside each other in the atlas lie triangles that are strangers on the body: pyramids and JPEG must not mix them."""
    mesh = egg(columns=160, rows=80)
    wave = 0.5 + 0.4 * np.sin(mesh.vertices @ rng.normal(scale=0.04, size=(3, 3)))
    plain = Mesh(mesh.vertices, mesh.faces[rng.permutation(len(mesh.faces))], colors=wave)
    save_mesh(plain, tmp_path / "in" / "c.ply")
    run(tmp_path / "in", tmp_path / "out")
    baked = load_mesh(tmp_path / "out" / "c" / "c.obj")
    assert has_triangle_atlas(baked) and not has_triangle_atlas(mesh)
    wedges = replace(
        mesh, uv=mesh.uv[mesh.faces_uv].reshape(-1, 2), faces_uv=np.arange(mesh.faces.size).reshape(-1, 3)
    )
    assert len(wedges.uv) == 3 * len(wedges.faces) and not has_triangle_atlas(wedges)
    camera = Camera(size=128)
    drawn = ShadedScan(baked, unoccluded(baked))
    seen = drawn.cast(camera)
    expected = 255 * seen.interpolate(wave, plain.faces)
    error = np.abs(255 * drawn.albedo(seen, camera) - expected)
    assert error.mean() < 2 and np.percentile(error, 99) < 6
    previewed = 255 * sample_colors(baked, seen, 2 * camera.half_width_world / camera.size)
    assert np.abs(previewed - expected).mean() < 2
    maps, texels = build_uv_maps(baked, unoccluded(baked), 128), unwrapped_gbuffer(baked, 128)
    error = np.abs(255 * maps.albedo - 255 * texels.interpolate(wave, plain.faces))
    assert error.mean() < 2 and np.percentile(error, 99) < 6


def test_bad_scans_are_reported_and_the_others_go_on(tmp_path: Path, rng: np.random.Generator) -> None:
    for name in ("good", "bare", "torn", "lost"):
        save_mesh(person(rng), tmp_path / "in" / name / f"{name}.obj")
    (tmp_path / "in" / "bare" / "material0.jpeg").unlink()
    (tmp_path / "in" / "bare" / "material0.mtl").unlink()
    (tmp_path / "in" / "lost" / "material0.jpeg").unlink()
    torn = tmp_path / "in" / "torn" / "material0.jpeg"
    torn.write_bytes(torn.read_bytes()[:400])
    (tmp_path / "in" / "flat").mkdir()
    (tmp_path / "in" / "flat" / "flat.obj").write_text(
        "v 0 1 0 1 1 1\nv 1 1 0 1 1 1\nv 2 1 0 1 1 1\nf 1 2 3\n"
    )
    report = run_rescale(RescaleConfig(tmp_path / "in", tmp_path / "out", jobs=1), NullProgress())
    assert list(report.results) == ["good"] and not report.details
    assert sorted(report.failures) == ["bare", "flat", "lost", "torn"]
    for name, cause in (
        ("bare", "neither texture"),
        ("torn", "decoded"),
        ("lost", "put it back"),
        ("flat", "height"),
    ):
        assert cause in report.failures[name] and "\n" not in report.failures[name]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["good"]


def test_turning_drops_stale_radiance_transfer(tmp_path: Path, rng: np.random.Generator) -> None:
    save_mesh(person(rng), tmp_path / "a" / "a.obj")
    (tmp_path / "a" / "bounce").mkdir()
    run(tmp_path)
    assert (tmp_path / "a" / "bounce").is_dir()  # scaling and moving leave it valid
    run(tmp_path, yaw_deg=90)
    assert not (tmp_path / "a" / "bounce").exists()


def test_usage(tmp_path: Path, rng: np.random.Generator) -> None:
    with pytest.raises(DatasetError, match="no such folder"):
        run_rescale(RescaleConfig(tmp_path / "none"), NullProgress())
    save_mesh(person(rng), tmp_path / "a" / "a.obj")
    with pytest.raises(UsageError, match="yaw"):
        run_rescale(RescaleConfig(tmp_path, yaw_deg=float("nan")), NullProgress())
    before = snapshot(tmp_path)
    run_rescale(RescaleConfig(tmp_path, tmp_path / "a" / ".."), NullProgress())  # the same folder: in place
    assert snapshot(tmp_path) != before and not (tmp_path / "a" / "a").exists()


def test_frame_of_a_point_has_no_height() -> None:
    with pytest.raises(MeshError, match="height"):
        scan_frame(np.zeros((3, 3)), "y", 0.0)


def test_published_scan(shared: Path, tmp_path: Path) -> None:
    source = shared / "reference" / "render" / "scan_0001"
    shutil.copytree(source, tmp_path / "in" / "scan_0001")
    results, _ = run(tmp_path / "in", tmp_path / "out")
    again, original = (
        load_mesh(tmp_path / "out" / "scan_0001" / "scan_0001.obj"),
        load_mesh(source / "0001.obj"),
    )
    np.testing.assert_allclose(again.vertices, original.vertices, atol=1e-4)  # it was in the frame already
    np.testing.assert_array_equal(again.texture, original.texture)
    assert results["scan_0001"].height == pytest.approx(180, abs=1e-3)
