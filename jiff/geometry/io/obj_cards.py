"""What an OBJ shows through: materials with an opacity texture (``map_d``) are cut along it, clear ones (``d``) left out."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from jiff.geometry.io.alpha_cut import cut_by_alpha, surface_area
from jiff.geometry.io.mtl_io import find_texture
from jiff.geometry.io.texture_file import alpha_of, load_texture

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jiff.geometry.io.mtl_io import Material
    from jiff.geometry.io.obj_text import ObjData

_CUTOFF = 0.5
_MOST_CLEAR = 0.5
"""Share of the surface above which materials said to be clear are an exporter's mistake (``d 0`` or ``Tr 1`` everywhere)."""


def _opacity(material: Material) -> NDArray[np.uint8]:
    """Return the [H, W] opacity of a material: the alpha of its ``map_d`` where it has one, else its brightness."""
    file = find_texture(replace(material, texture=material.alpha))
    image = load_texture(file)
    alpha = alpha_of(file)
    if alpha is not None and alpha.min() < 255:
        return alpha
    return np.asarray(image.max(axis=2))


def without_clear(data: ObjData, materials: dict[int, Material | None]) -> tuple[ObjData, tuple[str, ...]]:
    """Leave out the faces of materials that are more clear than solid (corneas, lenses, tear lines).

    Args:
        data: the file's content.
        materials: index -> material.

    Returns:
        data, and half a sentence for each such material.
    """
    clear = {k: m for k, m in materials.items() if m is not None and m.opacity < _CUTOFF}
    gone = np.isin(data.material, list(clear))
    if not gone.any():
        return data, ()
    share = surface_area(data.positions, data.corners[gone]) / max(
        surface_area(data.positions, data.corners), 1e-30
    )
    names = ", ".join(m.name for m in clear.values())
    if share > _MOST_CLEAR:
        return data, (
            f"its MTL calls {share:.0%} of its surface transparent ({names}), which was not believed",
        )
    kept = ~gone
    used, inverse = np.unique(data.corners[kept], return_inverse=True)
    left = replace(
        data,
        positions=data.positions[used],
        colors=None if data.colors is None else data.colors[used],
        corners=inverse.reshape(-1, 3),
        corners_uv=None if data.corners_uv is None else data.corners_uv[kept],
        corners_normal=None if data.corners_normal is None else data.corners_normal[kept],
        material=data.material[kept],
    )
    return left, (f"its transparent material {names} was left out ({share:.1%} of its surface)",)


def cut_materials(
    data: ObjData,
    corners_uv: NDArray[np.float64],
    group: NDArray[np.int64],
    materials: dict[int, Material | None],
) -> tuple[ObjData, NDArray[np.float64], NDArray[np.int64], tuple[str, ...]] | None:
    """Cut the faces of materials with an opacity texture; None where nothing is cut.

    Args:
        data: the file's content.
        corners_uv: [F, 3, 2] in the unit square.
        group: [F] any number per face, which its pieces keep.
        materials: index -> material.

    Returns:
        data (its normals left out), corners_uv, group, and half a sentence for each material.

    Raises:
        ImageError: an opacity texture is missing or unreadable.
    """
    carded = {k: m for k, m in materials.items() if m is not None and m.alpha and m.texture}
    opacity = {k: _opacity(m) for k, m in carded.items()}
    carded = {k: m for k, m in carded.items() if opacity[k].min() < 255 * _CUTOFF}
    if not carded:
        return None
    table = data.positions if data.colors is None else np.concatenate([data.positions, data.colors], axis=1)
    stays = ~np.isin(data.material, list(carded))
    corners, uv, faces = [data.corners[stays]], [corners_uv[stays]], [np.flatnonzero(stays)]
    notes = []
    for index, material in carded.items():
        chosen = np.flatnonzero(data.material == index)
        table, c, u, origin = cut_by_alpha(
            table, data.corners[chosen], corners_uv[chosen], opacity[index], _CUTOFF
        )
        gone = 1 - surface_area(table, c) / max(surface_area(table, data.corners[chosen]), 1e-30)
        notes.append(
            f"its material {material.name} was cut along {material.alpha} where it is transparent "
            f"({gone:.0%} of its surface is gone)"
        )
        corners.append(c)
        uv.append(u)
        faces.append(chosen[origin])
    joined, source = np.concatenate(corners), np.concatenate(faces)
    # Corners of removed cards would still count for height and width.
    used, inverse = np.unique(joined, return_inverse=True)
    table = table[used]
    cut = replace(
        data,
        positions=table[:, :3],
        colors=None if data.colors is None else table[:, 3:],
        corners=inverse.reshape(-1, 3),
        uv=None,
        corners_uv=None,
        normals=None,
        corners_normal=None,
        material=data.material[source],
    )
    return cut, np.concatenate(uv), group[source], tuple(notes)
