"""Meshes with colours: materials, atlases, PLY and GLB, and one sentence for every damage."""

from __future__ import annotations

import json
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jiff.base.errors import ImageError, InputError, MeshError
from jiff.geometry.atlas import MAX_SIDE, color_atlas, merge_textures
from jiff.geometry.io.mesh_io import load_mesh, load_texture, save_image, save_mesh, texture_path_of
from jiff.geometry.io.mtl_io import find_texture, read_mtl
from jiff.geometry.mesh import Mesh

QUICK = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
RED, GREEN, BLUE = np.eye(3, dtype=np.uint8) * 250


def sample(texture: np.ndarray, uv: np.ndarray) -> np.ndarray:
    """Bilinear look-up, v up, repeating."""
    import cv2

    height, width = texture.shape[:2]
    x, y = uv[:, 0] * width - 0.5, (1 - uv[:, 1]) * height - 0.5
    return cv2.remap(
        texture.astype(np.float32),
        x[:, None].astype(np.float32),
        y[:, None].astype(np.float32),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_WRAP,
    )[:, 0]


def solid(color: np.ndarray, size: int = 8) -> np.ndarray:
    return np.tile(color, (size, size, 1))


def textured_ball(rng: np.random.Generator) -> Mesh:
    import cv2
    import trimesh

    ball = trimesh.creation.icosphere(2, 1.0)
    texture = cv2.resize(rng.integers(0, 255, (4, 8, 3)).astype(np.uint8), (256, 128))
    faces = np.array(ball.faces, np.int64)
    uv = rng.random((len(ball.vertices), 2))
    return Mesh(
        np.array(ball.vertices),
        faces,
        uv=uv,
        faces_uv=faces,
        texture=np.asarray(texture),
    )


def write_two_materials(folder: Path, mtl: str, faces: str = "") -> Path:
    folder.mkdir(exist_ok=True)
    text = "mtllib m.mtl\nv 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nvt 0.1 0.1\nvt 0.9 0.1\nvt 0.9 0.9\n"
    (folder / "m.obj").write_text(text + (faces or "usemtl a\nf 1/1 2/2 3/3\nusemtl b\nf 1/1 3/2 4/3\n"))
    (folder / "m.mtl").write_text(mtl)
    return folder / "m.obj"


def face_color(mesh: Mesh, face: int) -> np.ndarray:
    assert mesh.uv is not None and mesh.faces_uv is not None and mesh.texture is not None
    return sample(mesh.texture, mesh.uv[mesh.faces_uv[face]].mean(0, keepdims=True))[0]


@pytest.mark.parametrize("suffix", [".obj", ".ply", ".glb"])
def test_round_trip_with_vertex_colors(tmp_path: Path, rng: np.random.Generator, suffix: str) -> None:
    mesh = replace(textured_ball(rng), uv=None, faces_uv=None, texture=None)
    mesh = replace(mesh, colors=np.rint(rng.random((len(mesh.vertices), 3)) * 255) / 255)
    path = tmp_path / "Ein Körper ü" / f"名 前{suffix}"
    save_mesh(mesh, path)
    again = load_mesh(path)
    np.testing.assert_allclose(again.vertices, mesh.vertices, atol=1e-6)
    np.testing.assert_array_equal(again.faces, mesh.faces)
    assert again.colors is not None and mesh.colors is not None
    np.testing.assert_allclose(again.colors, mesh.colors, atol=0.5 / 255 + 1e-6)


@pytest.mark.parametrize("suffix", [".obj", ".glb"])
def test_round_trip_with_texture(tmp_path: Path, rng: np.random.Generator, suffix: str) -> None:
    mesh = textured_ball(rng)
    save_mesh(mesh, tmp_path / f"x{suffix}")
    again = load_mesh(tmp_path / f"x{suffix}")
    assert again.texture is not None and again.uv is not None and again.faces_uv is not None
    assert mesh.texture is not None and mesh.uv is not None and mesh.faces_uv is not None
    np.testing.assert_allclose(again.triangles, mesh.triangles, atol=1e-5)
    np.testing.assert_allclose(again.uv[again.faces_uv], mesh.uv[mesh.faces_uv], atol=1e-5)
    assert np.abs(again.texture.astype(int) - mesh.texture).mean() < 3
    assert load_mesh(tmp_path / f"x{suffix}", texture=False).faces.shape == mesh.faces.shape


def test_several_textures_become_one(tmp_path: Path) -> None:
    path = write_two_materials(tmp_path / "two", "newmtl a\nmap_Kd a.png\nnewmtl b\nmap_Kd sub/b b.png\n")
    save_image(path.with_name("a.png"), solid(RED))
    save_image(path.parent / "sub" / "b b.png", solid(BLUE, 20))
    mesh = load_mesh(path)
    np.testing.assert_allclose(face_color(mesh, 0), RED, atol=1)
    np.testing.assert_allclose(face_color(mesh, 1), BLUE, atol=1)


def test_texture_beside_a_plain_material_and_faces_without_uv(tmp_path: Path) -> None:
    faces = "usemtl a\nf 1/1 2/2 3/3\nusemtl b\nf 1 3 4\nusemtl b\nf 1/1 3/2 4/3\n"
    path = write_two_materials(tmp_path / "mixed", "newmtl a\nmap_Kd a.png\nnewmtl b\nKd 0 1 0\n", faces)
    save_image(path.with_name("a.png"), solid(RED))
    mesh = load_mesh(path)
    for face, color in enumerate([RED, [0, 255, 0], [0, 255, 0]]):
        np.testing.assert_allclose(face_color(mesh, face), color, atol=1)


def test_plain_colors_without_textures(tmp_path: Path) -> None:
    mesh = load_mesh(write_two_materials(tmp_path / "plain", "newmtl a\nKd 1 0 0\nnewmtl b\nKd 0 0 1\n"))
    np.testing.assert_allclose(face_color(mesh, 0), [255, 0, 0], atol=1)
    np.testing.assert_allclose(face_color(mesh, 1), [0, 0, 255], atol=1)


def test_one_texture_is_taken_as_it_is(tmp_path: Path, rng: np.random.Generator) -> None:
    path = write_two_materials(
        tmp_path / "one", "newmtl a\nmap_Kd -s 1 1 1 t.png\nnewmtl b\nmap_Kd .\\t.png\n"
    )
    image = rng.integers(0, 255, (5, 9, 3)).astype(np.uint8)
    save_image(path.with_name("t.png"), image)
    mesh = load_mesh(path)
    np.testing.assert_array_equal(mesh.texture, image)
    assert mesh.uv is not None and len(mesh.uv) == 3


def test_merged_textures_look_the_same(rng: np.random.Generator) -> None:
    import cv2

    images = [
        cv2.GaussianBlur(rng.integers(0, 255, size).astype(np.uint8), (0, 0), 2)
        for size in ((64, 32, 3), (20, 90, 3), (8, 8, 3))
    ]
    corners, group = rng.random((400, 3, 2)), rng.integers(0, 3, 400)
    corners[group == 1] += rng.integers(-3, 4, ((group == 1).sum(), 1, 2))  # repeats
    corners[:20] = corners[:20] * 3 - 1
    texture, uv, faces_uv = merge_textures(corners, group, images)
    weights = rng.dirichlet([1, 1, 1], 400)
    got = sample(texture, np.einsum("fk,fkc->fc", weights, uv[faces_uv]))
    points = np.einsum("fk,fkc->fc", weights, corners)
    for k, image in enumerate(images):
        # A texture that is repeated wraps at its edge; the others stop there.
        margin = 0.5 if k == 1 else 0.42
        inside = (group == k) & (np.abs(points % 1 - 0.5).max(1) <= margin)
        assert inside.sum() > 20
        expected = sample(np.tile(image, (3, 3, 1)), (points[inside] % 1 + 1) / 3)
        np.testing.assert_allclose(got[inside], expected, atol=2)


def test_repeated_textures_wrap_at_their_edge() -> None:
    ramp = np.tile(np.array([0, 80, 160, 240], np.uint8)[None, :, None], (4, 1, 3))
    corners = np.array([[[1.0, 1.2], [1.4, 1.2], [1.0, 1.6]], [[0.0, 0.2], [0.4, 0.2], [0.0, 0.6]]])
    for count, expected in ((2, 120), (1, 0)):  # with the moved triangle, and without any
        texture, uv, faces_uv = merge_textures(corners[-count:], np.zeros(count, np.int64), [ramp])
        np.testing.assert_allclose(sample(texture, uv[faces_uv[-1, :1]])[0], expected, atol=1)


def test_large_textures_are_shrunk_together() -> None:
    images = [np.zeros((5000, 5000, 3), np.uint8), np.full((5000, 5000, 3), 200, np.uint8)]
    corners = np.tile([[0.2, 0.2], [0.8, 0.2], [0.2, 0.8]], (2, 1, 1))
    texture, uv, faces_uv = merge_textures(corners, np.array([0, 1]), images)
    assert max(texture.shape) <= MAX_SIDE
    np.testing.assert_allclose(sample(texture, uv[faces_uv].mean(1))[:, 0], [0, 200], atol=1)


@pytest.mark.parametrize("count", [1, 2, 7, 500])
def test_color_atlas_interpolates_exactly(rng: np.random.Generator, count: int) -> None:
    colors = 0.3 + 0.4 * rng.random((count, 3, 3))
    texture, uv, faces_uv = color_atlas(colors)
    for corners in (np.eye(3)[rng.integers(0, 3, count)], rng.dirichlet([0.3, 0.3, 0.3], count)):
        got = sample(texture, np.einsum("fk,fkc->fc", corners, uv[faces_uv])) / 255
        np.testing.assert_allclose(got, np.einsum("fk,fkc->fc", corners, colors), atol=0.02)


def test_normals_are_kept_and_angle_weighted() -> None:
    square = np.array([[0, 0, 0], [1, 0, 0], [1, 0, 1], [0, 0, 1], [0, 1, 0], [1, 1, 0.0]])
    corner = Mesh(square, np.array([[0, 2, 1], [0, 3, 2], [0, 1, 5], [0, 5, 4]]))
    expected = np.array([0, -1, 1]) / np.sqrt(2)  # half of each wall, however it is cut into triangles
    np.testing.assert_allclose(np.abs(corner.vertex_normals()[0]), np.abs(expected), atol=1e-12)


def test_textures_are_found_only_inside(tmp_path: Path) -> None:
    inside = tmp_path / "scan"
    save_image(inside / "Tex" / "Skin.PNG", solid(RED))
    save_image(tmp_path / "secret.png", solid(RED))
    mtl = inside / "m.mtl"
    for written in (
        "Tex/Skin.PNG",
        "Tex\\Skin.PNG",
        "C:\\Users\\me\\Skin.png",
        "/home/me/skin.png",
        "skin.png",
    ):
        mtl.write_text(f"newmtl a\nmap_Kd {written}\n")
        if written.startswith("Tex"):
            assert texture_path_of([mtl]) == inside / "Tex" / "Skin.PNG"
    (inside / "tex").mkdir(exist_ok=True)
    save_image(inside / "tex" / "skin.png", solid(RED))
    for written in ("C:\\Users\\me\\Skin.png", "/home/me/skin.png", "skin.png"):
        mtl.write_text(f"newmtl a\nmap_Kd {written}\n")
        assert find_texture(read_mtl(mtl)["a"]).name.lower() == "skin.png"
    for written in ("../secret.png", "..\\secret.png", "x/../../secret.png"):
        mtl.write_text(f"newmtl a\nmap_Kd {written}\n")
        with pytest.raises(MeshError, match="leads out"):
            texture_path_of([mtl])
    for written in (str(tmp_path / "secret.png"), "gone.png", "..", "."):
        mtl.write_text(f"newmtl a\nmap_Kd {written}\n")
        with pytest.raises(InputError):
            texture_path_of([mtl])


def test_unreadable_textures_are_one_sentence(tmp_path: Path, rng: np.random.Generator) -> None:
    path = tmp_path / "t.jpg"
    save_image(path, rng.integers(0, 255, (64, 64, 3)).astype(np.uint8))
    whole = path.read_bytes()
    assert load_texture(path).shape == (64, 64, 3)
    huge = (
        b"\x89PNG\r\n\x1a\n"
        + struct.pack(">I4sIIBBBBB", 13, b"IHDR", 10**5, 10**5, 8, 2, 0, 0, 0)
        + b"\0" * 4
    )
    for blob in (b"", b"hello", whole[: len(whole) // 2], whole[:20], huge):
        path.write_bytes(blob)
        with pytest.raises(ImageError, match=r"t\.jpg") as caught:
            load_texture(path)
        assert "\n" not in str(caught.value)
    with pytest.raises(ImageError, match="put it back"):
        load_texture(tmp_path / "none.jpg")


def test_textures_of_any_mode(tmp_path: Path, rng: np.random.Generator) -> None:
    from PIL import Image

    gray16 = (rng.random((4, 5)) * 65535).astype(np.uint16)
    Image.fromarray(gray16).save(tmp_path / "deep.png")
    np.testing.assert_allclose(load_texture(tmp_path / "deep.png")[..., 1], gray16 / 257, atol=0.51)
    for mode in ("L", "RGBA", "P", "1", "CMYK"):
        name = tmp_path / f"{mode}.{'tif' if mode == 'CMYK' else 'png'}"
        Image.fromarray(solid(np.array([255, 255, 255], np.uint8))).convert(mode).save(name)
        np.testing.assert_array_equal(load_texture(name), 255)


def test_headers_that_promise_too_much(tmp_path: Path) -> None:
    ply = "ply\nformat {0} 1.0\nelement vertex 1000000000\nproperty float x\nproperty float y\nproperty float z\n"
    ply += "element face 1000000000\nproperty list uchar int vertex_indices\nend_header\n0 0 0\n"
    for kind in ("ascii", "binary_little_endian"):
        (tmp_path / "a.ply").write_text(ply.format(kind))
        with pytest.raises(MeshError, match="more than the file holds"):
            load_mesh(tmp_path / "a.ply")
    tree = {
        "asset": {"version": "2.0"},
        "accessors": [{"count": 10**9, "componentType": 5126, "type": "VEC3"}],
    }
    (tmp_path / "a.gltf").write_text(json.dumps(tree))
    with pytest.raises(MeshError, match="impossible count"):
        load_mesh(tmp_path / "a.gltf")
    (tmp_path / "a.glb").write_bytes(b"glTF" + struct.pack("<IIII", 2, 10**9, 10**9, 0x4E4F534A))
    with pytest.raises(MeshError, match="shorter"):
        load_mesh(tmp_path / "a.glb")
    (tmp_path / "a.stl").write_bytes(b"\0" * 80 + struct.pack("<I", 10**9))
    with pytest.raises(MeshError, match="shorter"):
        load_mesh(tmp_path / "a.stl")
    (tmp_path / "a.off").write_text("OFF\n1000000000 1000000000 0\n")
    with pytest.raises(MeshError, match="more than"):
        load_mesh(tmp_path / "a.off")


def test_references_out_of_the_folder(tmp_path: Path) -> None:
    tree = {"asset": {"version": "2.0"}, "buffers": [{"byteLength": 4, "uri": "%2e%2e/secret.bin"}]}
    (tmp_path / "a.gltf").write_text(json.dumps(tree))
    with pytest.raises(MeshError, match="outside its folder"):
        load_mesh(tmp_path / "a.gltf")
    ply = "ply\nformat ascii 1.0\ncomment TextureFile ../../secret.png\nelement vertex 0\nend_header\n"
    (tmp_path / "a.ply").write_text(ply)
    with pytest.raises(MeshError, match="outside its folder"):
        load_mesh(tmp_path / "a.ply")


def test_wrong_files(tmp_path: Path) -> None:
    with pytest.raises(MeshError, match="no such file"):
        load_mesh(tmp_path / "none.ply")
    (tmp_path / "a.fbx").write_bytes(b"x")
    with pytest.raises(MeshError, match="not a mesh file"):
        load_mesh(tmp_path / "a.fbx")
    with pytest.raises(MeshError, match="suffixes"):
        save_mesh(Mesh(np.zeros((3, 3)), np.array([[0, 1, 2]])), tmp_path / "a.fbx")


@QUICK
@given(st.sampled_from([".ply", ".glb", ".stl", ".off"]), st.data())
def test_mutated_binaries_read_or_raise_one_sentence(
    tmp_path: Path, suffix: str, data: st.DataObject
) -> None:
    path = tmp_path / f"m{suffix}"
    blob = bytearray(_corpus(suffix))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(blob) - 1))
        kind = data.draw(st.sampled_from(["cut", "byte", "big", "zero"]))
        if kind == "cut":
            del blob[max(at, 1) :]
        elif kind == "byte":
            blob[at] = data.draw(st.integers(0, 255))
        else:
            blob[at : at + 4] = b"\xff\xff\xff\x7f" if kind == "big" else b"\0\0\0\0"
    path.write_bytes(bytes(blob))
    try:
        mesh = load_mesh(path)
    except InputError as error:
        assert "\n" not in str(error) and path.name in str(error)
    else:
        assert mesh.faces.min() >= 0 and mesh.faces.max() < len(mesh.vertices)
        assert np.isfinite(mesh.vertices).all()


_FILES: dict[str, bytes] = {}


def _corpus(suffix: str) -> bytes:
    """Return a small valid file; made once."""
    import trimesh

    if suffix not in _FILES:
        ball = trimesh.creation.icosphere(1)
        if suffix == ".glb":
            rng = np.random.default_rng(0)
            ball.visual = trimesh.visual.TextureVisuals(
                uv=rng.random((len(ball.vertices), 2)),
                material=trimesh.visual.material.PBRMaterial(baseColorTexture=_pillow(rng)),
            )
        exported = ball.export(file_type=suffix[1:])
        _FILES[suffix] = exported if isinstance(exported, bytes) else exported.encode()
    return _FILES[suffix]


def _pillow(rng: np.random.Generator) -> object:
    from PIL import Image

    return Image.fromarray(rng.integers(0, 255, (8, 8, 3)).astype(np.uint8))
