"""Scans as people have them: every case of shared/cases by the command, and the kinds behind them in small."""

from __future__ import annotations

import json
import re
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from jiff.base.errors import ImageError, InputError, MeshError, UsageError
from jiff.base.progress import NullProgress
from jiff.geometry.io.alpha_cut import cut_by_alpha, surface_area
from jiff.geometry.io.color_space import linear_to_srgb
from jiff.geometry.io.mesh_io import load_mesh, read_surface
from jiff.geometry.io.painted_texels import paint_factor
from jiff.geometry.mesh import Mesh
from jiff.geometry.orientation import feet_are_up, lies, upright_rotation
from jiff.options.rescale import RescaleConfig
from jiff.pipelines.rescale import run_rescale

CASES = Path(__file__).resolve().parents[2] / "shared" / "cases"
SKIN, LEGS = (148, 85, 54), (53, 54, 108)
CLOTH = (202, 201, 147)
_COLORS: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    **dict.fromkeys(
        ("ref", "ply_wedge", "webp_texture", "gltf_skipped", "gltfpack", "quantize", "skinned", "texcoord1", "uvtransform",
         "map_scale", "nan_colors", "stray_image", "stray_flat", "uv_outside", "zbrush_mrgb", "skipped_silently"),
        (SKIN, LEGS),
    ),
    **dict.fromkeys(("mtl_case", "mtl_spelling", "udim", "udim_first_tile", "ply_two_textures"), (SKIN, CLOTH)),
    "plain_factor": ((224, 172, 138), (60, 90, 150)),
    "texture_times_color": (SKIN, (13, 12, 33)),
    "texture_times_factor": ((69, 66, 21), (21, 41, 49)),
    "normal_map_only": ((204, 153, 128), (26, 51, 128)),
}  # fmt: skip
_REFUSED = {
    "draco": "Draco",
    "gltfpack_c": "meshopt",
    "ktx2_texture": "KTX2",
    "ply_texture_missing": "skin.png",
    "x_up": "--up x",
}


class _Told(NullProgress):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def info(self, message: str) -> None:
        self.lines.append(message)

    def warn(self, message: str) -> None:
        self.lines.append(message)


def _rescaled(case: str, out: Path, **options: Any) -> tuple[Any, str]:
    if not CASES.is_dir():
        pytest.skip("../shared/cases is not there")
    told = _Told()
    report = run_rescale(RescaleConfig(input=CASES / case / "scans", out=out, **options), told)
    return report, "\n".join(told.lines)


def _halves(path: Path) -> tuple[np.ndarray, np.ndarray]:
    mesh = load_mesh(path)
    assert mesh.texture is not None and mesh.uv is not None and mesh.faces_uv is not None
    uv = mesh.uv[mesh.faces_uv].mean(1) % 1.0
    height, width = mesh.texture.shape[:2]
    row = np.clip(((1 - uv[:, 1]) * height).astype(int), 0, height - 1)
    color = mesh.texture[row, np.clip((uv[:, 0] * width).astype(int), 0, width - 1)].astype(float)
    area = np.linalg.norm(mesh.face_cross(), axis=1)
    upper = mesh.triangles[:, :, 1].mean(1) > 90
    first, second = ((color[s] * area[s, None]).sum(0) / area[s].sum() for s in (upper, ~upper))
    return first, second


@pytest.mark.parametrize("case", sorted(_COLORS))
def test_colours_of_a_case(case: str, tmp_path: Path) -> None:
    report, _ = _rescaled(case, tmp_path)
    assert report.results
    for subject in report.results:
        upper, lower = _halves(tmp_path / subject / f"{subject}.obj")
        np.testing.assert_allclose(upper, _COLORS[case][0], atol=5)
        np.testing.assert_allclose(lower, _COLORS[case][1], atol=5)
        mesh = load_mesh(tmp_path / subject / f"{subject}.obj")
        np.testing.assert_allclose(np.ptp(mesh.vertices, axis=0), (65, 180, 41), atol=1)
        # What lies outside is in no UV map.
        assert mesh.uv is not None and mesh.uv.min() >= -1e-6 and mesh.uv.max() <= 1 + 1e-6


@pytest.mark.parametrize("case", sorted(_REFUSED))
def test_a_refused_case_says_why(case: str, tmp_path: Path) -> None:
    report, _ = _rescaled(case, tmp_path)
    (text,) = report.failures.values()
    assert not report.ok and not report.details and _REFUSED[case] in text and "\n" not in text


@pytest.mark.parametrize("case", ["alpha_cards_glb", "alpha_cards_obj"])
def test_hair_cards_are_cut(case: str, tmp_path: Path) -> None:
    report, told = _rescaled(case, tmp_path)
    (subject,) = report.results
    vertices = load_mesh(tmp_path / subject / f"{subject}.obj").vertices
    assert np.ptp(vertices[vertices[:, 1] > 165][:, 0]) < 22 and "transparent" in told


def test_vertices_without_colour_are_counted(tmp_path: Path) -> None:
    report, told = _rescaled("part_colors", tmp_path)
    assert report.ok and "250 of its 1788 vertices have no colour" in told
    np.testing.assert_allclose(_halves(tmp_path / "person" / "person.obj")[0], SKIN, atol=5)
    assert "36 of its 1788" in _rescaled("nan_colors", tmp_path / "n")[1]


def test_concave_polygons_keep_their_area(tmp_path: Path) -> None:
    report, _ = _rescaled("concave_ngon", tmp_path)
    assert report.ok
    mesh = load_mesh(tmp_path / "person" / "person.obj")
    flat = (mesh.triangles[:, :, 1] < 1e-3).all(axis=1)
    assert np.linalg.norm(mesh.face_cross()[flat], axis=1).sum() / 2 == pytest.approx(2252, rel=0.02)


@pytest.mark.parametrize(("case", "up"), [("upside_down", "y-down"), ("z_down", "z-down"), ("x_up", "x")])
def test_lying_and_upside_down_scans_are_told_and_mended(case: str, up: str, tmp_path: Path) -> None:
    report, told = _rescaled(case, tmp_path / "a")
    text = told + " ".join(report.failures.values())
    assert f"--up {up}" in text
    if report.ok:
        _, told = _rescaled(case, tmp_path / "f", frontal=True)
        assert "its face was not looked for" in told and "by its face" not in told
    report, told = _rescaled(case, tmp_path / "b", up=up)
    assert report.ok and "feet are up" not in told
    upper, lower = _halves(tmp_path / "b" / "person" / "person.obj")
    np.testing.assert_allclose(upper, SKIN, atol=5)
    np.testing.assert_allclose(lower, LEGS, atol=5)


def test_axes_turn_to_plus_y() -> None:
    for up, axis in {"x": (1, 0, 0), "y": (0, 1, 0), "z": (0, 0, 1)}.items():
        for name, sign in ((up, 1), (f"{up}-down", -1)):
            rotation = upright_rotation(name)
            np.testing.assert_array_equal(rotation @ (sign * np.array(axis)), [0, 1, 0])
            assert np.linalg.det(rotation) == pytest.approx(1)
    with pytest.raises(UsageError, match="sideways"):
        upright_rotation("sideways")


def _column(x: float, low: float, high: float, radius: float) -> tuple[np.ndarray, np.ndarray]:
    import trimesh

    tube = trimesh.creation.cylinder(radius, high - low, sections=24)
    return tube.vertices[:, [0, 2, 1]] + (x, (low + high) / 2, 0), tube.faces


def _joined(parts: list[tuple[np.ndarray, np.ndarray]]) -> Mesh:
    offsets = np.cumsum([0, *(len(v) for v, _ in parts)])
    faces = np.concatenate([f + o for (_, f), o in zip(parts, offsets)])
    return Mesh(np.concatenate([v for v, _ in parts]), faces.astype(np.int64))


def test_feet_are_found_by_legs_and_a_robe_says_nothing() -> None:
    person = _joined(
        [
            _column(-0.12, 0, 0.9, 0.07),
            _column(0.12, 0, 0.9, 0.07),
            _column(0, 0.9, 1.5, 0.2),
            _column(0, 1.5, 1.8, 0.1),
        ]
    )
    robe = _joined([_column(0, 0, 1.5, 0.25), _column(0, 1.5, 1.8, 0.1)])
    turned = np.diag([1.0, -1.0, 1.0])
    assert not feet_are_up(person) and feet_are_up(person.transformed(turned))
    assert not feet_are_up(robe) and not feet_are_up(robe.transformed(turned))
    assert not lies(person.vertices) and lies(person.vertices[:, [1, 0, 2]])


def _gltf(folder: Path, arrays: dict[str, tuple[np.ndarray, bool]], **tree: Any) -> Path:
    """Write a text glTF of one triangle list; ``arrays`` are its attributes (values, normalised)."""
    blob, views, accessors = b"", [], []
    kinds = {"f": 5126, "u1": 5121, "u2": 5123}
    for values, normalized in arrays.values():
        views.append({"buffer": 0, "byteOffset": len(blob), "byteLength": values.nbytes})
        kind = kinds["f" if values.dtype.kind == "f" else f"u{values.itemsize}"]
        accessors.append(
            {
                "bufferView": len(views) - 1,
                "componentType": kind,
                "count": len(values),
                "type": f"VEC{values.shape[1]}",
                "normalized": normalized,
            }
        )
        blob += values.tobytes() + b"\0" * (-values.nbytes % 4)
    (folder / "a.bin").write_bytes(blob)
    base: dict[str, Any] = {
        "asset": {"version": "2.0"},
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "meshes": [
            {"primitives": [{"attributes": {name: k for k, name in enumerate(arrays)}, "material": 0}]}
        ],
        "materials": [{}],
        "accessors": accessors,
        "bufferViews": views,
        "buffers": [{"byteLength": len(blob), "uri": "a.bin"}],
    }
    base.update(tree)
    (folder / "a.gltf").write_text(json.dumps(base))
    return folder / "a.gltf"


TRIANGLE = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]], "<f4")


def test_colours_of_vertices_and_factor_multiply_in_light(tmp_path: Path) -> None:
    color = np.array([[255, 128, 0], [255, 128, 0], [255, 128, 0]], np.uint8)
    path = _gltf(
        tmp_path,
        {"POSITION": (TRIANGLE, False), "COLOR_0": (color, True)},
        materials=[{"pbrMetallicRoughness": {"baseColorFactor": [0.5, 1, 1, 1]}}],
    )
    mesh = load_mesh(path)
    assert mesh.colors is not None
    np.testing.assert_allclose(mesh.colors[0], linear_to_srgb(np.array([0.5, 128 / 255, 0])), atol=1e-6)


def test_mirrored_nodes_turn_faces_over_and_strips_keep_their_side(tmp_path: Path) -> None:
    plain = load_mesh(_gltf(tmp_path, {"POSITION": (TRIANGLE, False)}))
    mirrored = load_mesh(
        _gltf(tmp_path, {"POSITION": (TRIANGLE, False)}, nodes=[{"mesh": 0, "scale": [-1, 1, 1]}])
    )
    assert plain.face_cross()[0, 2] > 0 and mirrored.face_cross()[0, 2] > 0
    assert mirrored.vertices[:, 0].min() == -1
    square = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0], [0, 2, 0]], "<f4")
    strip = load_mesh(
        _gltf(
            tmp_path,
            {"POSITION": (square, False)},
            meshes=[{"primitives": [{"attributes": {"POSITION": 0}, "mode": 5}]}],
        )
    )
    assert len(strip.faces) == 3 and (strip.face_cross()[:, 2] > 0).all()


def test_sparse_accessors_overwrite_their_rows(tmp_path: Path) -> None:
    path = _gltf(tmp_path, {"POSITION": (TRIANGLE, False)})
    tree = json.loads(path.read_text())
    blob = (tmp_path / "a.bin").read_bytes() + struct.pack("<HH3f", 1, 0, 5, 6, 7)
    (tmp_path / "a.bin").write_bytes(blob)
    tree["buffers"][0]["byteLength"] = len(blob)
    tree["bufferViews"] += [
        {"buffer": 0, "byteOffset": 36, "byteLength": 2},
        {"buffer": 0, "byteOffset": 40, "byteLength": 12},
    ]
    tree["accessors"][0]["sparse"] = {
        "count": 1, "indices": {"bufferView": 1, "componentType": 5123}, "values": {"bufferView": 2},
    }  # fmt: skip
    path.write_text(json.dumps(tree))
    np.testing.assert_array_equal(load_mesh(path).vertices, [[0, 0, 0], [5, 6, 7], [0, 1, 0]])


def test_unknown_required_extensions_and_circles_are_named(tmp_path: Path) -> None:
    path = _gltf(tmp_path, {"POSITION": (TRIANGLE, False)}, extensionsRequired=["ACME_shape"])
    with pytest.raises(MeshError, match="ACME_shape"):
        load_mesh(path)
    path = _gltf(tmp_path, {"POSITION": (TRIANGLE, False)}, nodes=[{"mesh": 0, "children": [0]}])
    with pytest.raises(MeshError, match="circle"):
        load_mesh(path)


def test_cards_are_cut_to_their_opaque_part() -> None:
    square = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], float)
    corners = np.array([[0, 1, 2], [0, 2, 3]])
    uv = square[:, :2][corners]
    alpha = np.zeros((64, 64), np.uint8)
    alpha[:, 16:32] = 255
    positions, cut, cut_uv, origin = cut_by_alpha(square, corners, uv, alpha, 0.5)
    assert surface_area(positions, cut) == pytest.approx(0.25, abs=0.02)
    x = positions[cut].mean(1)[:, 0]
    assert x.min() > 0.24 and x.max() < 0.51 and set(origin) == {0, 1}
    np.testing.assert_allclose(cut_uv, positions[cut][..., :2], atol=1e-9)
    untouched = cut_by_alpha(square, corners, uv, np.full((8, 8), 255, np.uint8), 0.5)
    np.testing.assert_array_equal(untouched[1], corners)
    assert len(cut_by_alpha(square, corners, uv, np.zeros((8, 8), np.uint8), 0.5)[1]) == 0


def test_painted_factor_follows_the_corners() -> None:
    uv = np.array([[[0, 0], [1, 0], [1, 1]], [[0, 0], [1, 1], [0, 1]]], float)
    colors = np.repeat(uv[..., :1], 3, axis=2)
    factor, apart = paint_factor(uv, colors, (64, 64))
    np.testing.assert_allclose(factor[32, :, 0], (np.arange(64) + 0.5) / 64, atol=0.05)
    assert apart == 0.0


def _obj(folder: Path, mtl: str, uv: str = "vt 0 0\nvt 1 0\nvt 0 1\n") -> Path:
    (folder / "m.mtl").write_text(f"newmtl m\n{mtl}\n")
    (folder / "a.obj").write_text(f"mtllib m.mtl\nv 0 0 0\nv 1 0 0\nv 0 1 0\n{uv}usemtl m\nf 1/1 2/2 3/3\n")
    return folder / "a.obj"


def test_options_of_map_kd_move_coordinates_and_repeats_come_inside(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8), (9, 9, 9)).save(tmp_path / "t t.png")
    mesh = load_mesh(_obj(tmp_path, "map_Kd -s 0.5 0.25 1 -o 0.5 0 0 t t.png"))
    assert mesh.uv is not None and mesh.faces_uv is not None
    np.testing.assert_allclose(mesh.uv[mesh.faces_uv[0]], [[0.5, 0], [1, 0], [0.5, 0.25]])
    surface = read_surface(_obj(tmp_path, "map_Kd t t.png", "vt 3 -2\nvt 3.5 -2\nvt 3 -1.5\n"))
    assert surface.source == tmp_path / "t t.png" and surface.data.uv is not None
    assert surface.data.uv.min() == 0 and surface.data.uv.max() == 0.5
    straddling = read_surface(_obj(tmp_path, "map_Kd t t.png", "vt 0.5 0\nvt 1.5 0\nvt 0.5 1\n"))
    assert straddling.source is None and straddling.data.uv is not None and straddling.data.uv.max() <= 1


def test_a_missing_tile_and_lost_pictures_are_named(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8), (9, 9, 9)).save(tmp_path / "b.1001.png")
    with pytest.raises(ImageError, match=re.escape("b.1002.png")):
        load_mesh(_obj(tmp_path, "map_Kd b.<UDIM>.png", "vt 1.1 0\nvt 1.9 0\nvt 1.1 1\n"))
    with pytest.raises(InputError, match=re.escape("gone.png")):
        load_mesh(_obj(tmp_path, "map_Kd gone.png"))
