"""An OBJ with its colours: one texture whatever its materials are."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from jiff.geometry.atlas import color_atlas, index_rows, merge_textures
from jiff.geometry.io.mtl_io import loose_texture, read_materials
from jiff.geometry.io.obj_cards import cut_materials, without_clear
from jiff.geometry.io.obj_io import library_paths
from jiff.geometry.io.obj_paint import moved_to_unit, pictures_of, straddles
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
        notes: what was decided about the file and its user should know, each half a sentence.
    """

    data: ObjData
    texture: NDArray[np.uint8] | None = None
    source: Path | None = None
    notes: tuple[str, ...] = ()


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


def solid_picture(color: tuple[float, float, float]) -> NDArray[np.uint8]:
    """Return a small picture of one colour in [0, 1]."""
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
    data, clear = without_clear(data, materials)
    has_uv = np.zeros(len(data.corners), bool)
    if data.uv is not None and data.corners_uv is not None:
        has_uv = np.asarray((data.corners_uv >= 0).all(axis=1))
    lost = not known
    if lost and has_uv.all() and data.colors is None:
        loose = loose_texture(path)
        if loose is not None:
            return _one_texture(data, _corners_uv(data), loose)
    surface = _painted(data, has_uv, materials)
    surface = replace(surface, notes=(*clear, *surface.notes))
    if data.uncolored and surface.texture is None:
        note = f"{data.uncolored} of its {len(data.positions)} vertices have no colour and take that of their neighbours"
        return replace(surface, notes=(*surface.notes, note))
    return surface


def _corners_uv(data: ObjData) -> NDArray[np.float64]:
    """Return [F, 3, 2] coordinates, the middle of the picture where a face has none."""
    if data.uv is None or data.corners_uv is None:
        return np.full((len(data.corners), 3, 2), 0.5)
    corners_uv = data.uv[np.where(data.corners_uv >= 0, data.corners_uv, 0)]
    corners_uv[(data.corners_uv < 0).any(axis=1)] = 0.5
    return np.asarray(corners_uv)


def _one_texture(data: ObjData, corners_uv: NDArray[np.float64], file: Path) -> Surface:
    """Return the surface with a single picture, as it is unless triangles reach across its border."""
    placed = moved_to_unit(corners_uv)
    texture = load_texture(file)
    if straddles(placed):
        merged, uv, faces_uv = merge_textures(placed, np.zeros(len(placed), np.int64), [texture])
        return Surface(with_atlas(data, uv, faces_uv), merged)
    if data.uv is None or data.corners_uv is None or not np.array_equal(placed, data.uv[data.corners_uv]):
        uv, faces_uv = index_rows(placed)
        data = replace(data, uv=uv, corners_uv=faces_uv)
    return Surface(data, texture, file)


def _painted(data: ObjData, has_uv: NDArray[np.bool_], materials: dict[int, Material | None]) -> Surface:
    """Color every face by its material: by its pictures, else its plain colour."""
    corners_uv = _corners_uv(data)
    group = np.zeros(len(data.corners), np.int64)
    numbers: dict[Path | tuple[float, float, float], int] = {}
    for index, material in materials.items():
        chosen = data.material == index
        textured = chosen & has_uv
        if material is not None and material.texture:
            # Missing is an error even of a material whose faces have no coordinates.
            files, which, placed = pictures_of(material, corners_uv[textured])
            corners_uv[textured] = placed
            group[textured] = np.array([numbers.setdefault(file, len(numbers)) for file in files])[which]
            chosen &= ~has_uv
        if chosen.any():
            color = _WHITE if material is None else material.color
            group[chosen] = numbers.setdefault(color, len(numbers))
            corners_uv[chosen] = 0.5
    used = set(np.unique(group).tolist())
    shown = [key for key, number in numbers.items() if number in used]
    pictures = [key for key in shown if isinstance(key, Path)]
    if not pictures:
        plain = [key for key in shown if not isinstance(key, Path)]
        if data.colors is None and any(color != _WHITE for color in plain):
            table = np.array([key if not isinstance(key, Path) else _WHITE for key in numbers])
            return baked_colors(data, np.repeat(table[group][:, None], 3, axis=1))
        return Surface(data)
    cut = cut_materials(data, corners_uv, group, materials)
    if cut is not None:
        data, corners_uv, group, notes = cut
    else:
        notes = ()
    if len(shown) == 1:
        return replace(_one_texture(data, corners_uv, pictures[0]), notes=notes)
    images = [load_texture(key) if isinstance(key, Path) else solid_picture(key) for key in numbers]
    texture, uv, faces_uv = merge_textures(corners_uv, group, images)
    return Surface(with_atlas(data, uv, faces_uv), texture, notes=notes)
