"""Parts of a scan, each with its own colour, joined to one surface with one texture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from jiff.base.errors import MeshError
from jiff.geometry.atlas import color_atlas, merge_textures
from jiff.geometry.io.obj_surface import ATLAS_MATERIAL, Surface, solid_picture
from jiff.geometry.io.obj_text import ObjData

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


@dataclass(frozen=True)
class Part:
    """Triangles with one way to be coloured.

    Attributes:
        positions: [V, 3].
        corners: [F, 3] rows of ``positions``.
        corners_uv: [F, 3, 2] texture coordinates (v up) of each corner, or None.
        image: [H, W, 3] uint8 RGB, or None; parts that share one share the very array.
        colors: [V, 3] display RGB in [0, 1], of a part without image, or None.
        color: display RGB in [0, 1] of a part with neither, or None where the file says nothing.
    """

    positions: NDArray[np.float64]
    corners: NDArray[np.int64]
    corners_uv: NDArray[np.float64] | None = None
    image: NDArray[np.uint8] | None = None
    colors: NDArray[np.float64] | None = None
    color: tuple[float, float, float] | None = None


def _textured(parts: list[Part], positions: NDArray[np.float64], faces: NDArray[np.int64]) -> Surface:
    images: list[NDArray[np.uint8]] = []
    seen: dict[Any, int] = {}
    group, corners_uv = [], []
    for part in parts:
        uv: NDArray[np.float64] | None = part.corners_uv
        image, key = part.image, id(part.image)
        if image is None or uv is None:
            if part.colors is not None:
                image, rows, index = color_atlas(part.colors[part.corners])
                uv, key = rows[index], id(image)
            else:
                key = part.color or (1.0, 1.0, 1.0)  # type: ignore[assignment]
                image, uv = (
                    solid_picture(part.color or (1.0, 1.0, 1.0)),
                    np.full((len(part.corners), 3, 2), 0.5),
                )
        if key not in seen:
            seen[key] = len(images)
            images.append(image)
        corners_uv.append(uv)
        group.append(np.full(len(part.corners), seen[key]))
    joined = np.concatenate(corners_uv)
    if len(images) == 1:
        texture = images[0]
        uv_rows, inverse = np.unique(joined.reshape(-1, 2), axis=0, return_inverse=True)
        corners = inverse.reshape(-1, 3)
    else:
        texture, uv_rows, corners = merge_textures(joined, np.concatenate(group), images)
    data = ObjData(
        positions,
        faces,
        uv=uv_rows,
        corners_uv=corners,
        material=np.zeros(len(faces), np.int64),
        materials=(ATLAS_MATERIAL,),
    )
    return Surface(data, texture)


def join_parts(parts: list[Part], path: Path) -> Surface:
    """Return one surface: several images are merged, plain colours become colours of vertices where no part has an image.

    Raises:
        MeshError: there is no triangle.
    """
    parts = [part for part in parts if len(part.corners)]
    if not parts:
        raise MeshError(f"{path}: holds no triangles; export the scan again as a surface mesh.")
    offsets = np.cumsum([0, *(len(part.positions) for part in parts[:-1])])
    positions = np.concatenate([part.positions for part in parts])
    faces = np.concatenate([part.corners + offset for part, offset in zip(parts, offsets)])
    if any(part.image is not None and part.corners_uv is not None for part in parts):
        return _textured(parts, positions, faces)
    colors = None
    if any(part.colors is not None or part.color is not None for part in parts):
        colors = np.concatenate(
            [
                part.colors
                if part.colors is not None
                else np.tile(part.color or (1.0, 1.0, 1.0), (len(part.positions), 1))
                for part in parts
            ]
        )
    uv = parts[0].corners_uv if len(parts) == 1 else None
    rows = index = None
    if uv is not None:
        rows, inverse = np.unique(uv.reshape(-1, 2), axis=0, return_inverse=True)
        index = inverse.reshape(-1, 3)
    return Surface(
        ObjData(positions, faces, colors=colors, uv=rows, corners_uv=index, material=np.full(len(faces), -1))
    )
