"""Wavefront OBJ to and from ``Mesh``."""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING

import numpy as np

from jiff.base.files import atomic_path
from jiff.geometry.io.mtl_io import exact_or_other_case
from jiff.geometry.io.obj_text import ObjData
from jiff.geometry.mesh import Mesh

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


def vertex_normals_of(data: ObjData) -> NDArray[np.float64] | None:
    """Return [V, 3] unit normals when each vertex of the file has one and the same normal in all its faces, else None."""
    if data.normals is None or data.corners_normal is None or (data.corners_normal < 0).any():
        return None
    used = np.full(len(data.positions), -1)
    used[data.corners.ravel()] = data.corners_normal.ravel()
    if not np.array_equal(data.normals[used[data.corners]], data.normals[data.corners_normal]):
        return None
    normals = np.where(used[:, None] >= 0, data.normals[used], 0.0)
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    if not np.isfinite(normals).all() or (length[used >= 0] < 1e-6).any():
        return None
    return np.asarray(normals / np.where(length > 0, length, 1.0))


def mesh_of(data: ObjData) -> Mesh:
    """Return the mesh of a parsed OBJ: ``uv`` when every face has it, normals when they are one per vertex."""
    with_uv = data.uv is not None and data.corners_uv is not None and bool((data.corners_uv >= 0).all())
    return Mesh(
        vertices=data.positions,
        faces=data.corners,
        uv=data.uv if with_uv else None,
        faces_uv=data.corners_uv if with_uv else None,
        normals=vertex_normals_of(data),
        colors=data.colors,
    )


def library_paths(data: ObjData, path: Path) -> list[Path]:
    """Return the MTL files that the OBJ at ``path`` names; one line may name several, and names may hold blanks.

    Backslashes and another letter case are understood; a folder of another machine is looked past. Nothing outside the
    OBJ's folder is returned.
    """
    found: list[Path] = []
    for text in data.libraries:
        for name in [text] if _library(path.parent, text) else text.split():
            found.append(
                _library(path.parent, name) or path.parent / PurePosixPath(name.replace("\\", "/")).name
            )
    return found


def _library(folder: Path, written: str) -> Path | None:
    name = written.replace("\\", "/")
    inside = os.path.normpath(name)
    base = PurePosixPath(name).name
    if not (name.startswith("/") or PureWindowsPath(written).drive or inside.startswith("..")):
        return exact_or_other_case(folder, inside) or exact_or_other_case(folder, base)
    return exact_or_other_case(folder, base)


def _rows(prefix: str, values: NDArray[np.float64], digits: int) -> str:
    pattern = prefix + " %.{0}f" * values.shape[1] + "\n"
    return (pattern.format(digits) * len(values)) % tuple(values.ravel().tolist())


def _face_rows(columns: Sequence[NDArray[np.int64] | None]) -> str:
    """Return face lines from (v, vt, vn) row numbers [F, 3] each; None leaves a column out."""
    _, vt, vn = columns
    if vn is not None:
        corner = "%d/%d/%d" if vt is not None else "%d//%d"
    else:
        corner = "%d/%d" if vt is not None else "%d"
    table = np.stack([column for column in columns if column is not None], axis=-1) + 1
    return (f"f {corner} {corner} {corner}\n" * len(table)) % tuple(table.ravel().tolist())


def obj_text(data: ObjData, *, header: str = "", library: str | None = None, digits: int = 6) -> str:
    """Return the text of an OBJ file.

    Args:
        data: faces keep their order; their materials become ``usemtl`` lines.
        header: comment lines to begin with, without "#".
        library: name of the MTL file, or None for none.
        digits: decimals of coordinates.
    """
    parts = [f"# {line}\n" for line in header.splitlines()]
    material = np.full(len(data.corners), -1) if library is None else data.material
    if library is not None:
        parts.append(f"mtllib {library}\n")
    # The first material goes before the vertices, where the published writer puts it.
    current = -1 if len(material) == 0 else int(material[0])
    if current >= 0:
        parts.append(f"usemtl {data.materials[current]}\n")
    positions = data.positions
    if data.colors is not None:
        positions = np.concatenate([positions, data.colors], axis=1)
    parts.append(_rows("v", positions, digits))
    if data.uv is not None:
        parts.append(_rows("vt", data.uv, 6))
    if data.normals is not None:
        parts.append(_rows("vn", data.normals, 4))
    columns = (data.corners, data.corners_uv, data.corners_normal)
    complete: list[NDArray[np.bool_]] = [
        np.zeros(len(material), bool) if column is None else np.asarray((column >= 0).all(axis=1))
        for column in columns
    ]
    # Faces are written in runs of one material and one form of line.
    key = (material * 2 + complete[1]) * 2 + complete[2]
    cuts = [0, *(np.flatnonzero(np.diff(key)) + 1).tolist(), len(key)]
    for start, stop in pairwise(cuts):
        if int(material[start]) != current:
            current = int(material[start])
            parts.append(f"usemtl {data.materials[current]}\n")
        parts.append(
            _face_rows(
                [
                    column[start:stop] if column is not None and whole[start] else None
                    for column, whole in zip(columns, complete)
                ]
            )
        )
    return "".join(parts)


def data_of(mesh: Mesh, material: str | None = None) -> ObjData:
    """Return a mesh as OBJ data with one material (or none)."""
    with_uv = mesh.uv is not None and mesh.faces_uv is not None
    return ObjData(
        positions=mesh.vertices,
        corners=mesh.faces,
        colors=mesh.colors,
        uv=mesh.uv if with_uv else None,
        normals=mesh.normals,
        corners_uv=mesh.faces_uv if with_uv else None,
        corners_normal=None if mesh.normals is None else mesh.faces,
        material=np.full(len(mesh.faces), -1 if material is None else 0),
        materials=() if material is None else (material,),
    )


def write_obj(mesh: Mesh, path: Path | str, *, material: str | None = None, digits: int = 6) -> None:
    """Write the geometry of ``mesh`` as OBJ, atomically; textures and MTL are ``mesh_io.save_mesh``'s business.

    Args:
        mesh: normals are written as given (none are made up); colours as ``v x y z r g b``.
        path: the file.
        material: name of an MTL file beside it; its material has the file's stem as name.
        digits: decimals of coordinates.
    """
    data = data_of(mesh, None if material is None else Path(material).stem)
    text = obj_text(data, library=material, digits=digits)
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")
