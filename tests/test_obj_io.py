"""OBJ text: round trips, every legal spelling, and one sentence for every damage."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from jiff.base.errors import MeshError
from jiff.geometry.io.obj_io import library_paths, mesh_of, obj_text, write_obj
from jiff.geometry.io.obj_text import ObjData, parse_obj
from jiff.geometry.mesh import Mesh, check_mesh

QUICK = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
SQUARE = "v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\n"


def parse(folder: Path, text: str | bytes) -> ObjData:
    path = folder / "mesh.obj"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return parse_obj(path)


def read_obj(path: Path) -> tuple[Mesh, list[Path]]:
    data = parse_obj(path)
    return check_mesh(mesh_of(data), str(path)), library_paths(data, path)


def random_mesh(rng: np.random.Generator, vertices: int = 20, faces: int = 30) -> Mesh:
    normals = rng.normal(size=(vertices, 3))
    return Mesh(
        vertices=rng.normal(size=(vertices, 3)) * 100,
        faces=rng.integers(0, vertices, (faces, 3)),
        uv=rng.random((11, 2)),
        faces_uv=rng.integers(0, 11, (faces, 3)),
        normals=normals / np.linalg.norm(normals, axis=1, keepdims=True),
        colors=rng.random((vertices, 3)),
    )


@pytest.mark.parametrize(
    "drop", [(), ("uv", "faces_uv"), ("normals",), ("colors",), ("uv", "faces_uv", "normals")]
)
def test_round_trip(tmp_path: Path, rng: np.random.Generator, drop: tuple[str, ...]) -> None:
    mesh = replace(random_mesh(rng), **dict.fromkeys(drop))
    write_obj(mesh, tmp_path / "ein Körper.obj")
    again, libraries = read_obj(tmp_path / "ein Körper.obj")
    assert libraries == []
    np.testing.assert_allclose(again.vertices, mesh.vertices, atol=1e-6)
    np.testing.assert_array_equal(again.faces, mesh.faces)
    for name in ("uv", "faces_uv", "colors"):
        expected, value = getattr(mesh, name), getattr(again, name)
        assert (value is None) == (expected is None)
        if expected is not None:
            np.testing.assert_allclose(value, expected, atol=1e-6)
    used = np.unique(mesh.faces)
    if mesh.normals is not None:
        assert again.normals is not None
        np.testing.assert_allclose(again.normals[used], mesh.normals[used], atol=2e-4)


def test_polygons_are_fanned_in_file_order(tmp_path: Path) -> None:
    data = parse(tmp_path, SQUARE + "v 2 2 2\nf 1 2 3 4 5\nf 1 2 3\nf 1 2 3 4\nf 1 2\n")
    expected = [[0, 1, 2], [0, 2, 3], [0, 3, 4], [0, 1, 2], [0, 1, 2], [0, 2, 3]]
    assert data.corners.tolist() == expected
    assert data.corners_uv is None and data.corners_normal is None


def test_polygons_of_next_to_no_size_are_read(tmp_path: Path) -> None:
    tiny = "2.5e-179"
    places = (
        f"{tiny} 1 {tiny}",
        f"0 {tiny} {tiny}",
        f"1 {tiny} {tiny}",
        f"0 {tiny} {tiny}",
        f"{tiny} {tiny} {tiny}",
    )
    text = "".join(f"v {place}\n" for place in places) + "f 1 2 3 4 5\n"
    assert parse(tmp_path, text).corners.shape == (3, 3)


def test_spellings_of_corners(tmp_path: Path) -> None:
    text = (
        SQUARE
        + "vt 0 0\nvt 1 0 0\nvt 1 1\nvn 0 0 1\nf 1/1/1 2/2/1 3/3/1\nf 1//1 3//1 4//1\nf 1/1 2/2 3/3\nf 1 2 3\n"
    )
    data = parse(tmp_path, text)
    assert data.corners.tolist() == [[0, 1, 2], [0, 2, 3], [0, 1, 2], [0, 1, 2]]
    assert data.corners_uv is not None and data.corners_normal is not None
    assert data.corners_uv.tolist() == [[0, 1, 2], [-1] * 3, [0, 1, 2], [-1] * 3]
    assert data.corners_normal.tolist() == [[0] * 3, [0] * 3, [-1] * 3, [-1] * 3]
    mesh = mesh_of(data)
    assert mesh.uv is None and mesh.normals is None  # not on every face


def test_negative_indices_count_from_their_own_line(tmp_path: Path) -> None:
    data = parse(
        tmp_path, "v 0 0 0\nv 1 0 0\nv 0 1 0\nf -3 -2 -1\nv 5 0 0\nv 6 0 0\nv 5 1 0\nf -3 -2 -1\nf 1 2 -1\n"
    )
    assert data.corners.tolist() == [[0, 1, 2], [3, 4, 5], [0, 1, 5]]


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t.replace("\n", "\r\n"),
        lambda t: t.replace("\n", "\r"),
        lambda t: t.replace(" ", "\t "),
        lambda t: "  " + t.replace("\n", "\n  "),
        lambda t: t.replace("f 1 2 3", "f 1 \\\n 2 3"),
        lambda t: "# a comment\n\n" + t.replace("\n", " \n"),
        lambda t: t.rstrip("\n"),
        lambda t: t.replace("v 1 0 0", "v 1.0e0 -0 +0"),
        lambda t: "o name\ng a b\ns off\nvp 1 2 3\nl 1 2\n" + t,
    ],
)
def test_layouts_read_alike(tmp_path: Path, change: object) -> None:
    text = SQUARE + "f 1 2 3\nf 1 3 4\n"
    plain, changed = parse(tmp_path, text), parse(tmp_path, change(text))  # type: ignore[operator]
    np.testing.assert_array_equal(plain.positions, changed.positions)
    np.testing.assert_array_equal(plain.corners, changed.corners)


def test_materials_follow_their_faces(tmp_path: Path) -> None:
    text = (
        "mtllib a b.mtl\n"
        + SQUARE
        + "f 1 2 3\nusemtl red cloth\nf 1 2 3 4\nusemtl skin\nf 1 2 3\nusemtl red cloth\nf 1 2 4\n"
    )
    data = parse(tmp_path, text)
    assert data.materials == ("red cloth", "skin") and data.libraries == ("a b.mtl",)
    assert data.material.tolist() == [-1, 0, 0, 1, 0]
    (tmp_path / "again.obj").write_text(
        obj_text(replace(data, material=np.maximum(data.material, 0)), library="a b.mtl")
    )
    again = parse_obj(tmp_path / "again.obj")
    assert again.material.tolist() == [0, 0, 0, 1, 0] and again.materials == data.materials
    np.testing.assert_array_equal(again.corners, data.corners)


def test_split_normals_survive_rewriting(tmp_path: Path, rng: np.random.Generator) -> None:
    data = parse(tmp_path, SQUARE + "vn 0 0 1\nvn 0 1 0\nf 1//1 2//1 3//1\nf 1//2 3//2 4//2\n")
    assert mesh_of(data).normals is None
    again = parse(tmp_path, obj_text(data, header="two\nlines"))
    assert again.normals is not None and again.corners_normal is not None
    np.testing.assert_array_equal(again.normals, data.normals)
    np.testing.assert_array_equal(again.corners_normal, [[0] * 3, [1] * 3])


def test_vertices_without_colour_take_that_of_their_neighbours(tmp_path: Path) -> None:
    data = parse(tmp_path, "v 0 0 0 1 0 0\nv 1 0 0\nv 0 1 0 0 1 0\nv 9 9 9\nf 1 2 3\n")
    assert data.colors is not None and data.uncolored == 1
    np.testing.assert_array_equal(data.colors, [[1, 0, 0], [0.5, 0.5, 0], [0, 1, 0], [1, 1, 1]])
    np.testing.assert_array_equal(data.positions[:3], [[0, 0, 0], [1, 0, 0], [0, 1, 0]])


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("", "no triangles"),
        ("v 0 0 0\n", "no triangles"),
        (SQUARE, "no triangles"),
        (SQUARE + "f 1 2\n", "no triangles"),
        ("f 1 2 3\n", "no triangles"),
        (SQUARE + "f 1 2 5\n", "does not exist"),
        (SQUARE + "f 1 2 0\n", "does not exist"),
        (SQUARE + "f 1 2 -5\n", "does not exist"),
        (SQUARE + "f 1/1 2/1 3/1\n", "texture coordinate that does not exist"),
        (SQUARE + "f 1//1 2//1 3//1\n", "normal that does not exist"),
        (SQUARE + "f 1 2 99999999999999999999999\n", "does not exist"),
        (SQUARE + "f 1 2 1000000000\n", "does not exist"),
        (SQUARE + "f 1 2 3.5\n", "face line"),
        (SQUARE + "f 1 2 x\n", "face line"),
        (SQUARE + "f 1 2 1-2\n", "face line"),
        (SQUARE + "f 1/2/3/4 2 3\n", "face line"),
        (SQUARE + "f /1 /2 /3\n", "face line"),
        ("v 0 0\n" + SQUARE + "f 1 2 3\n", "2 instead of 3"),
        ("v 0 0 z\n" + SQUARE + "f 1 2 3\n", "not a number"),
        ("v 0,5 0,5 0,5\n" + SQUARE + "f 1 2 3\n", "not a number"),
        ("v 0 nan 0\n" + SQUARE + "f 1 2 3\n", "not finite"),
        ("v 0 1e999 0\n" + SQUARE + "f 1 2 3\n", "not finite"),
        (SQUARE + "vt nan 0\nf 1/1 2/1 3/1\n", "not finite"),
        (b"\x00\x01\x02" * 50, "not a text file"),
        (b"\xff\xfe" + (SQUARE + "f 1 2 3").encode("utf-16-le"), "not a text file"),
    ],
)
def test_damage_is_one_sentence(tmp_path: Path, text: str | bytes, cause: str) -> None:
    (tmp_path / "mesh.obj").write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(MeshError, match=cause) as caught:
        read_obj(tmp_path / "mesh.obj")
    assert "\n" not in str(caught.value) and str(tmp_path / "mesh.obj") in str(caught.value)


def test_missing_and_unreadable(tmp_path: Path) -> None:
    with pytest.raises(MeshError, match="no such file"):
        read_obj(tmp_path / "none.obj")
    (tmp_path / "folder.obj").mkdir()
    with pytest.raises(MeshError, match="cannot be read"):
        read_obj(tmp_path / "folder.obj")


@QUICK
@given(
    vertices=arrays(np.float64, st.tuples(st.integers(3, 9), st.just(3)), elements=st.floats(-1e4, 1e4)),
    sizes=st.lists(st.integers(3, 6), min_size=1, max_size=6),
    with_uv=st.booleans(),
    with_normals=st.booleans(),
    relative=st.booleans(),
    data=st.data(),
)
def test_any_polygons_read_back(
    tmp_path: Path,
    vertices: np.ndarray,
    sizes: list[int],
    with_uv: bool,
    with_normals: bool,
    relative: bool,
    data: st.DataObject,
) -> None:
    count = len(vertices)
    polygons = [data.draw(st.lists(st.integers(0, count - 1), min_size=n, max_size=n)) for n in sizes]
    text = "".join(f"v {x!r} {y!r} {z!r}\n" for x, y, z in vertices.tolist())
    text += "vt 0.25 0.5\n" * with_uv + "vn 0 0 1\n" * with_normals
    suffix = {(0, 0): "", (1, 0): "/1", (0, 1): "//1", (1, 1): "/1/1"}[int(with_uv), int(with_normals)]
    for polygon in polygons:
        text += "f " + " ".join(f"{i - count if relative else i + 1}{suffix}" for i in polygon) + "\n"
    parsed = parse(tmp_path, text)
    np.testing.assert_array_equal(parsed.positions, vertices)
    fans = np.array([[p[0], p[k], p[k + 1]] for p in polygons for k in range(1, len(p) - 1)])
    assert parsed.corners.shape == fans.shape
    owner = np.repeat(np.arange(len(polygons)), [len(p) - 2 for p in polygons])
    for number, polygon in enumerate(polygons):
        mine, fan = parsed.corners[owner == number], fans[owner == number]
        assert set(mine.ravel()) == set(polygon)
        # However a polygon is cut, the sum of its triangles' vector areas is the same.
        areas = [
            np.cross(t[:, 1] - t[:, 0], t[:, 2] - t[:, 0]).sum(0) for t in (vertices[mine], vertices[fan])
        ]
        np.testing.assert_allclose(*areas, rtol=1e-6, atol=1e-6 * max(1.0, np.abs(vertices).max() ** 2))
    assert (parsed.corners_uv is not None) == with_uv and (parsed.corners_normal is not None) == with_normals


@QUICK
@given(st.data())
def test_mutated_files_read_or_raise_mesh_error(tmp_path: Path, data: st.DataObject) -> None:
    seed = (
        SQUARE + "vt 0 0\nvt 1 0.5\nvn 0 0 1\nusemtl m\nf 1/1/1 2/2/1 3/1/1\nf 1/1/1 3/1/1 4/2/1\n"
    ).encode()
    blob = bytearray(seed)
    for _ in range(data.draw(st.integers(1, 4))):
        kind = data.draw(st.sampled_from(["cut", "byte", "drop", "insert"]))
        at = data.draw(st.integers(0, max(0, len(blob) - 1)))
        if kind == "cut":
            del blob[at:]
        elif kind == "byte" and blob:
            blob[at] = data.draw(st.integers(0, 255))
        elif kind == "drop":
            del blob[at : at + data.draw(st.integers(1, 12))]
        else:
            blob[at:at] = data.draw(
                st.sampled_from([b"nan", b"-", b"/", b"f ", b"\n", b"9" * 30, b"v ", b" "])
            )
    path = tmp_path / "mutated.obj"
    path.write_bytes(bytes(blob))
    try:
        mesh, _ = read_obj(path)
    except MeshError as error:
        assert "\n" not in str(error)
    else:
        assert mesh.faces.min() >= 0 and mesh.faces.max() < len(mesh.vertices)
        assert np.isfinite(mesh.vertices).all()
