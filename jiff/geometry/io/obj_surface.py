"""An OBJ with its colours: one texture whatever its materials are."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from jiff.geometry.atlas import color_atlas, merge_textures
from jiff.geometry.io.mtl_io import find_texture, loose_texture, read_materials
from jiff.geometry.io.obj_io import library_paths
from jiff.geometry.io.texture_file import load_texture

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jiff.geometry.io.mtl_io import Material
    from jiff.geometry.io.obj_text import ObjData

_WHITE = (1.0, 1.0, 1.0)
ATLAS_MATERIAL = "material0"


@dataclass(frozen=True)
class Surface:
    """Geometry and the one texture that colours it.

    Attributes:
        data: faces in file order; its ``uv`` belong to ``texture``.
        texture: [H, W, 3] uint8 RGB, or None when only vertex colours (or nothing) colour it.
        source: the file that holds ``texture`` as it is, or None when it was put together here.
    """

    data: ObjData
    texture: NDArray[np.uint8] | None = None
    source: Path | None = None


def with_atlas(data: ObjData, uv: NDArray[np.float64], corners_uv: NDArray[np.int64]) -> ObjData:
    """Return the data with other texture coordinates and a single material."""
    return replace(
        data,
        uv=uv,
        corners_uv=corners_uv,
        colors=None,
        material=np.zeros(len(data.corners), np.int64),
        materials=(ATLAS_MATERIAL,),
    )


def baked_colors(data: ObjData, corner_colors: NDArray[np.float64]) -> Surface:
    """Return a surface whose texture holds the colours [F, 3, 3] of its corners."""
    texture, uv, corners_uv = color_atlas(corner_colors)
    return Surface(with_atlas(data, uv, corners_uv), texture)


def _solid(color: tuple[float, float, float]) -> NDArray[np.uint8]:
    return np.tile(np.rint(np.array(color) * 255).astype(np.uint8), (8, 8, 1))


def colored_surface(data: ObjData, path: Path) -> Surface:
    """Find the colours of a parsed OBJ.

    One texture is taken as it is; several, or textures beside plain materials, are merged into an atlas; plain
    materials of several colours become an atlas of face colours. Without any of these the surface has no texture.

    Args:
        data: the file's content.
        path: the file, beside which MTL and textures lie.

    Raises:
        MeshError: an MTL is unreadable or leads out of the folder.
        ImageError: a texture is missing or unreadable.
    """
    known = read_materials(library_paths(data, path))
    used = np.unique(data.material).tolist()
    materials: dict[int, Material | None] = {
        index: known.get(data.materials[index]) if index >= 0 else None for index in used
    }
    if not any(material for material in materials.values()) and len(known) == 1:
        # Exporters forget "usemtl" or spell it otherwise when there is only one material.
        materials = dict.fromkeys(used, next(iter(known.values())))
    has_uv = np.zeros(len(data.corners), bool)
    if data.uv is not None and data.corners_uv is not None:
        has_uv = np.asarray((data.corners_uv >= 0).all(axis=1))
    files = {
        index: find_texture(material) if material is not None and material.texture else None
        for index, material in materials.items()
    }
    named = {file for file in files.values() if file is not None}
    if not named and has_uv.all():
        loose = loose_texture(path)
        if loose is not None:
            return Surface(data, load_texture(loose), loose)
    if len(named) == 1 and has_uv.all() and None not in files.values():
        file = named.pop()
        return Surface(data, load_texture(file), file)
    colors = {index: _WHITE if m is None else m.color for index, m in materials.items()}
    if not named or not has_uv.any():
        if data.colors is None and any(color != _WHITE for color in colors.values()):
            table = np.array([colors[index] for index in used])
            per_face = table[np.searchsorted(used, data.material)]
            return baked_colors(data, np.repeat(per_face[:, None], 3, axis=1))
        return Surface(data)
    return _merged(data, has_uv, files, colors)


def _merged(
    data: ObjData,
    has_uv: NDArray[np.bool_],
    files: dict[int, Path | None],
    colors: dict[int, tuple[float, float, float]],
) -> Surface:
    uv_rows = data.uv if data.uv is not None else np.zeros((1, 2))
    rows = data.corners_uv if data.corners_uv is not None else np.zeros_like(data.corners)
    images: list[NDArray[np.uint8]] = []
    group = np.zeros(len(data.corners), np.int64)
    numbers: dict[Path | tuple[float, float, float], int] = {}
    for index, file in files.items():
        for textured in (True, False):
            chosen = (data.material == index) & (has_uv if textured else ~has_uv)
            key = file if textured and file is not None else colors[index]
            if not chosen.any():
                continue
            if key not in numbers:
                numbers[key] = len(images)
                images.append(load_texture(key) if isinstance(key, Path) else _solid(key))
            group[chosen] = numbers[key]
    plain = np.array([not isinstance(key, Path) for key in numbers])[group]
    corners_uv = uv_rows[np.where(rows >= 0, rows, 0)]
    corners_uv[plain] = 0.5
    texture, uv, faces_uv = merge_textures(corners_uv, group, images)
    return Surface(with_atlas(data, uv, faces_uv), texture)
