"""Wavefront OBJ with MTL: a vectorised reader for scans of a million lines, and a writer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from jiff.errors import MeshError
from jiff.files import atomic_path
from jiff.geometry.mesh import Mesh, check_mesh

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray


def _numbers(lines: list[bytes], path: Path, what: str) -> NDArray[np.float64]:
    """Return the [N, K] floats of lines that must all have the same count."""
    try:
        counts = {len(lines[0].split()), len(lines[-1].split())}
        values = np.array(b" ".join(lines).split(), dtype=np.float64)
    except (ValueError, UnicodeDecodeError) as error:
        raise MeshError(
            f"{path}: a {what} line holds something that is not a number ({error}); export it again."
        ) from error
    width = counts.pop()
    if counts or width == 0 or values.size != width * len(lines):
        raise MeshError(f"{path}: its {what} lines differ in length; the file is damaged, export it again.")
    return values.reshape(len(lines), width)


def _resolve(
    indices: NDArray[np.int64], count: int, seen: NDArray[np.int64] | None = None
) -> NDArray[np.int64]:
    """Turn 1-based (or negative, relative) OBJ indices into 0-based ones; 0 becomes out of range."""
    base = count if seen is None else seen[:, None]
    return np.where(indices > 0, indices - 1, np.where(indices < 0, base + indices, np.iinfo(np.int64).max))


def _uniform_faces(lines: list[bytes]) -> tuple[NDArray[np.int64], int] | None:
    """Return ([F, corners * fields] indices, fields) when every face line has the shape of the first, else None."""
    first = lines[0].split()
    fields = first[0].count(b"/") + 1
    if any(b"//" in token or token.count(b"/") + 1 != fields for token in first) or not 3 <= len(first) <= 4:
        return None
    blob = b" ".join(lines)
    if b"//" in blob:
        return None
    tokens = blob.replace(b"/", b" ").split()
    width = len(first) * fields
    if len(tokens) != width * len(lines) or blob.count(b"/") != len(first) * (fields - 1) * len(lines):
        return None
    # Equal totals can hide lines of different lengths; the last check costs one pass.
    if any(line.count(b"/") != len(first) * (fields - 1) for line in lines) or (
        fields == 1 and any(len(line.split()) != len(first) for line in lines)
    ):
        return None
    return np.array(tokens, dtype=np.int64).reshape(len(lines), width), fields


def _mixed_faces(lines: list[bytes]) -> tuple[NDArray[np.int64], NDArray[np.int64] | None]:
    """Return triangles and their uv corners (1-based, 0 = none) of faces of any shape, fanned from the first corner."""
    corners: list[tuple[int, int]] = []
    for line in lines:
        tokens = [token.split(b"/") for token in line.split()]
        pairs = [(int(t[0]), int(t[1]) if len(t) > 1 and t[1] else 0) for t in tokens]
        for k in range(1, len(pairs) - 1):
            corners += [pairs[0], pairs[k], pairs[k + 1]]
    array = np.array(corners, dtype=np.int64).reshape(-1, 3, 2)
    with_uv = bool(len(array)) and bool((array[..., 1] != 0).all())
    return array[..., 0], array[..., 1] if with_uv else None


def _read_lines(path: Path) -> dict[bytes, list[bytes]]:
    try:
        blob = path.read_bytes()
    except FileNotFoundError as error:
        raise MeshError(f"{path}: no such file; check the path.") from error
    except OSError as error:
        raise MeshError(f"{path}: cannot be read ({error.strerror}); check its permissions.") from error
    groups: dict[bytes, list[bytes]] = {
        b"v": [],
        b"vt": [],
        b"vn": [],
        b"f": [],
        b"mtllib": [],
        b"usemtl": [],
    }
    blob = blob.replace(b"\\\r\n", b" ").replace(b"\\\n", b" ")
    for line in blob.splitlines():
        key, _, rest = line.strip().partition(b" ")
        if key in groups:
            groups[key].append(rest)
    return groups


def read_obj(path: Path | str) -> tuple[Mesh, list[Path]]:
    """Read an OBJ file without its textures.

    Args:
        path: the file; polygons are fanned into triangles, negative indices are relative to the end.

    Returns:
        The mesh (with ``uv``, per-vertex normals when they share the vertex indices, and colours from
        ``v x y z r g b``), and the MTL files it names.

    Raises:
        MeshError: unreadable, empty or damaged file.
    """
    path = Path(path)
    groups = _read_lines(path)
    if not groups[b"v"] or not groups[b"f"]:
        raise MeshError(f"{path}: holds no triangles; export the scan again as a surface mesh.")
    positions = _numbers(groups[b"v"], path, "vertex")
    if positions.shape[1] < 3:
        raise MeshError(
            f"{path}: a vertex has fewer than three coordinates; the file is damaged, export it again."
        )
    colors = np.clip(positions[:, 3:6], 0, 1) if positions.shape[1] >= 6 else None
    uv = _numbers(groups[b"vt"], path, "texture coordinate")[:, :2] if groups[b"vt"] else None
    normals: NDArray[np.float64] | None = None
    faces_uv: NDArray[np.int64] | None
    try:
        uniform = _uniform_faces(groups[b"f"])
        if uniform is not None:
            table, fields = uniform
            corners = table.reshape(len(table), -1, fields)
            if corners.shape[1] == 4:
                corners = np.concatenate([corners[:, [0, 1, 2]], corners[:, [0, 2, 3]]])
            faces, faces_uv = corners[..., 0], corners[..., 1] if fields > 1 else None
            if fields == 3 and groups[b"vn"] and len(groups[b"vn"]) == len(positions):
                if np.array_equal(corners[..., 0], corners[..., 2]):
                    normals = _numbers(groups[b"vn"], path, "normal")[:, :3]
        else:
            faces, faces_uv = _mixed_faces(groups[b"f"])
    except (ValueError, OverflowError, IndexError) as error:
        raise MeshError(
            f"{path}: a face line cannot be read ({error}); the file is damaged, export it again."
        ) from error
    faces = _resolve(faces, len(positions))
    faces_uv = _resolve(faces_uv, len(uv)) if faces_uv is not None and uv is not None else None
    mesh = Mesh(
        vertices=np.ascontiguousarray(positions[:, :3]),
        faces=faces,
        uv=uv if faces_uv is not None else None,
        faces_uv=faces_uv,
        normals=normals,
        colors=colors,
    )
    libraries = [path.parent / name.decode("utf-8", "replace").strip() for name in groups[b"mtllib"]]
    return check_mesh(mesh, str(path)), libraries


def _rows(prefix: str, values: NDArray[np.float64], digits: int) -> str:
    pattern = prefix + " %.{0}f" * values.shape[1] + "\n"
    return (pattern.format(digits) * len(values)) % tuple(values.ravel().tolist())


def write_obj(mesh: Mesh, path: Path | str, *, material: str | None = None, digits: int = 6) -> None:
    """Write the geometry of ``mesh`` as OBJ, atomically; textures and MTL are ``mesh_io.save_mesh``'s business.

    Args:
        mesh: normals are written as given (none are made up); colours as ``v x y z r g b``.
        path: the file.
        material: name of an MTL file beside it; its material has the file's stem as name.
        digits: decimals of coordinates.
    """
    parts: Iterable[str]
    positions = mesh.vertices if mesh.colors is None else np.concatenate([mesh.vertices, mesh.colors], axis=1)
    parts = [f"mtllib {material}\nusemtl {Path(material).stem}\n"] if material else []
    parts.append(_rows("v", positions, digits))
    if mesh.uv is not None:
        parts.append(_rows("vt", mesh.uv, 6))
    if mesh.normals is not None:
        parts.append(_rows("vn", mesh.normals, 4))
    columns = [mesh.faces + 1]
    if mesh.uv is not None and mesh.faces_uv is not None:
        columns.append(mesh.faces_uv + 1)
        corner = "%d/%d/%d" if mesh.normals is not None else "%d/%d"
    else:
        corner = "%d//%d" if mesh.normals is not None else "%d"
    if mesh.normals is not None:
        columns.append(mesh.faces + 1)
    table = np.stack(columns, axis=-1).reshape(len(mesh.faces), -1)
    parts.append((f"f {corner} {corner} {corner}\n" * len(table)) % tuple(table.ravel().tolist()))
    with atomic_path(path) as temporary:
        temporary.write_text("".join(parts), encoding="utf-8", newline="\n")
