"""Which picture colours which face of an OBJ, and where in it: options of map_Kd, UDIM tiles, repeats."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from jiff.base.errors import ImageError
from jiff.geometry.io.mtl_io import find_texture

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from jiff.geometry.io.mtl_io import Material

_EDGE = 1e-6
_FIRST_TILE = re.compile(r"^(?P<stem>.*[._-])1001(?P<end>\.[^.]+)$")
_PATTERNS = ("<UDIM>", "<UVTILE>")


def moved_to_unit(corners_uv: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return [F, 3, 2] with every triangle moved by whole repeats so that it begins in [0, 1); those inside stay."""
    low, high = corners_uv.min(axis=1), corners_uv.max(axis=1)
    outside = (low < -_EDGE) | (high > 1 + _EDGE)
    return corners_uv - np.where(outside, np.floor(low + _EDGE), 0.0)[:, None]


def straddles(corners_uv: NDArray[np.float64]) -> bool:
    """Return whether a triangle [F, 3, 2] that was moved to the unit square reaches beyond it."""
    return bool((corners_uv > 1 + _EDGE).any() or (corners_uv < -_EDGE).any())


def _tile_file(material: Material, column: int, row: int) -> Path:
    written = material.texture or ""
    number = 1001 + column + 10 * row
    match = _FIRST_TILE.match(written)
    if any(pattern in written for pattern in _PATTERNS):
        name = written.replace("<UDIM>", str(number)).replace("<UVTILE>", f"u{column + 1}_v{row + 1}")
    elif match:
        name = f"{match['stem']}{number}{match['end']}"
    else:
        name = written
    return find_texture(replace(material, texture=name))


def _has_tiles(material: Material, corners_uv: NDArray[np.float64]) -> bool:
    """Return whether a texture is a set of UDIM tiles: by its pattern, or by 1001 in its name with 1002 or 1011 beside it."""
    written = material.texture or ""
    if any(pattern in written for pattern in _PATTERNS):
        return True
    if not _FIRST_TILE.match(written) or not (corners_uv.mean(axis=1) > 1).any():
        return False
    for column, row in ((1, 0), (0, 1)):
        try:
            _tile_file(material, column, row)
        except ImageError:
            continue
        return True
    return False


def pictures_of(
    material: Material, corners_uv: NDArray[np.float64]
) -> tuple[list[Path], NDArray[np.int64], NDArray[np.float64]]:
    """Return the pictures of a textured material's faces, [F] which of them, and [F, 3, 2] where in it.

    Args:
        material: it has a texture.
        corners_uv: [F, 3, 2] as the OBJ gives them.

    Raises:
        MeshError: a path leads out of the scan's folder.
        ImageError: a picture (or a tile that is used) is not there.
    """
    if material.scale != (1.0, 1.0) or material.offset != (0.0, 0.0):
        corners_uv = corners_uv * np.array(material.scale) + np.array(material.offset)
    if material.clamp:
        corners_uv = np.clip(corners_uv, 0.0, 1.0)
    if not _has_tiles(material, corners_uv):
        return [find_texture(material)], np.zeros(len(corners_uv), np.int64), corners_uv
    tile = np.floor(corners_uv.mean(axis=1)).astype(np.int64)
    tile[:, 0] = np.clip(tile[:, 0], 0, 9)
    tile[:, 1] = np.clip(tile[:, 1], 0, 99)
    numbers, index = np.unique(tile[:, 0] + 10 * tile[:, 1], return_inverse=True)
    files = [_tile_file(material, int(number) % 10, int(number) // 10) for number in numbers]
    return files, index.ravel(), np.clip(corners_uv - tile[:, None], 0.0, 1.0)
