"""Textured PLY: the pictures that ``comment TextureFile`` names, several of them told apart by ``texnumber``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from jiff.base.errors import ImageError, MeshError
from jiff.geometry.io.header_checks import ply_textures
from jiff.geometry.io.mtl_io import exact_or_other_case
from jiff.geometry.io.parts import Part
from jiff.geometry.io.texture_file import load_texture

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


def texture_files(path: Path) -> list[Path]:
    """Return the pictures that a PLY names, in its order; another letter case and backslashes are understood.

    Raises:
        ImageError: one is not there.
    """
    found = []
    for name in ply_textures(path):
        file = exact_or_other_case(path.parent, name.replace("\\", "/"))
        if file is None:
            raise ImageError(f"{path}: its texture {name} is not there; put it back beside the PLY file.")
        found.append(file)
    return found


def _column(raw: dict[str, Any], name: str) -> NDArray[Any] | None:
    """Return a face property of trimesh's raw tables, lists as [F, K]."""
    data = raw["face"]["data"]
    names = data.keys() if isinstance(data, dict) else data.dtype.names
    if name not in (names or ()):
        return None
    values = data[name]
    if getattr(values, "dtype", None) is not None and values.dtype.names:
        values = values[values.dtype.names[-1]]
    return np.asarray(values)


def numbered_parts(loaded: Any, path: Path, files: list[Path]) -> list[Part]:
    """Return a part for each picture of a PLY that has several.

    Args:
        loaded: what trimesh read.
        path: the file, for messages.
        files: its pictures.

    Raises:
        MeshError: its faces do not say which picture is theirs, or are no triangles.
    """
    raw = (getattr(loaded, "metadata", None) or {}).get("_ply_raw")
    number = uv = corners = None
    if raw is not None:
        number, uv, corners = (_column(raw, name) for name in ("texnumber", "texcoord", "vertex_indices"))
        corners = _column(raw, "vertex_index") if corners is None else corners
    if (
        raw is None
        or number is None
        or uv is None
        or corners is None
        or uv.ndim != 2
        or uv.shape[1] != 6
        or corners.shape[1:] != (3,)
    ):
        raise MeshError(
            f"{path}: names {len(files)} textures ({', '.join(file.name for file in files)}) but does not say by triangle "
            "which is whose; export it as OBJ or GLB."
        )
    vertices = raw["vertex"]["data"]
    positions = np.stack([np.asarray(vertices[axis], np.float64).ravel() for axis in "xyz"], axis=1)
    corners, number = corners.astype(np.int64), number.ravel().astype(np.int64)
    if len(corners) and (corners.min() < 0 or corners.max() >= len(positions)):
        raise MeshError(f"{path}: a face refers to a vertex that does not exist; export it again.")
    corners_uv = uv.astype(np.float64).reshape(-1, 3, 2)
    parts = []
    for index in np.unique(number).tolist():
        chosen = number == index
        used, inverse = np.unique(corners[chosen], return_inverse=True)
        image = load_texture(files[index]) if 0 <= index < len(files) else None
        color = (1.0, 1.0, 1.0) if image is None else None
        parts.append(Part(positions[used], inverse.reshape(-1, 3), corners_uv[chosen], image, color=color))
    return parts
