"""PLY, GLB, glTF, STL and OFF through trimesh, guarded against damaged files, with one texture at the end."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jiff.base.errors import ImageError, JiffError, MeshError
from jiff.geometry.atlas import merge_textures
from jiff.geometry.io.glb_writer import own_colors
from jiff.geometry.io.header_checks import HEADER_CHECKS
from jiff.geometry.io.obj_surface import ATLAS_MATERIAL, Surface
from jiff.geometry.io.obj_text import ObjData
from jiff.geometry.io.texture_file import rgb_of

if TYPE_CHECKING:
    from numpy.typing import NDArray


def _color_of(material: Any) -> NDArray[np.uint8]:
    """Return the plain RGB of a material without texture."""
    for name in ("baseColorFactor", "diffuse", "main_color"):
        value = getattr(material, name, None)
        if value is not None and len(np.atleast_1d(value)) >= 3:
            color = np.asarray(value)[:3]
            scale = 255.0 if color.dtype.kind == "f" else 1.0
            return np.clip(np.rint(color * scale), 0, 255).astype(np.uint8)
    return np.full(3, 255, np.uint8)


def _image_of(visual: Any) -> Any:
    """Return the Pillow image of a textured visual, or None."""
    material = visual.material
    image = getattr(material, "baseColorTexture", None)
    return image if image is not None else getattr(material, "image", None)


def _parts(loaded: Any, path: Path) -> list[Any]:
    import trimesh

    if isinstance(loaded, trimesh.Scene):
        loaded = loaded.dump(concatenate=False)
    parts = list(loaded) if isinstance(loaded, (list, tuple, np.ndarray)) else [loaded]
    parts = [part for part in parts if isinstance(part, trimesh.Trimesh) and len(part.faces)]
    if not parts:
        raise MeshError(f"{path}: holds no triangles; export the scan again as a surface mesh.")
    return parts


def _uv_of(part: Any) -> NDArray[np.float64] | None:
    uv = part.visual.uv if part.visual.kind == "texture" else None
    if uv is None or len(uv) != len(part.vertices):
        return None
    return np.asarray(uv, dtype=np.float64)[:, :2]


def _textured(parts: list[Any], faces: NDArray[np.int64], positions: NDArray[np.float64]) -> Surface:
    """Join parts of which at least one has an image."""
    images: list[NDArray[np.uint8]] = []
    seen: dict[Any, int] = {}
    group, corners_uv = [], []
    for part in parts:
        uv = _uv_of(part)
        image = _image_of(part.visual) if uv is not None else None
        if image is not None and uv is not None:
            key: Any = id(image)
            corners_uv.append(uv[part.faces])
        else:
            color = (
                _color_of(part.visual.material)
                if part.visual.kind == "texture"
                else part.visual.main_color[:3]
            )
            key = tuple(int(c) for c in color)
            corners_uv.append(np.full((len(part.faces), 3, 2), 0.5))
        if key not in seen:
            seen[key] = len(images)
            images.append(rgb_of(image) if image is not None else np.tile(np.array(key, np.uint8), (8, 8, 1)))
        group.append(np.full(len(part.faces), seen[key]))
    joined = np.concatenate(corners_uv)
    if len(images) == 1:
        texture, uv_rows = images[0], joined.reshape(-1, 2)
        uv_rows, inverse = np.unique(uv_rows, axis=0, return_inverse=True)
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


def _surface(loaded: Any, path: Path) -> Surface:
    parts = _parts(loaded, path)
    offsets = np.cumsum([0, *(len(part.vertices) for part in parts[:-1])])
    positions = np.concatenate([np.asarray(part.vertices, dtype=np.float64) for part in parts])
    faces = np.concatenate(
        [np.asarray(part.faces, dtype=np.int64) + offset for part, offset in zip(parts, offsets)]
    )
    if any(_uv_of(part) is not None and _image_of(part.visual) is not None for part in parts):
        return _textured(parts, faces, positions)
    single = parts[0] if len(parts) == 1 else None
    uv = None if single is None else _uv_of(single)
    colors = None
    if all(part.visual.kind in ("vertex", "face") for part in parts):
        colors = np.concatenate([np.asarray(part.visual.vertex_colors)[:, :3] for part in parts]) / 255.0
    elif any(part.visual.kind is not None for part in parts):
        table = [
            np.asarray(part.visual.vertex_colors)[:, :3]
            if part.visual.kind in ("vertex", "face")
            else np.tile(_color_of(getattr(part.visual, "material", None)), (len(part.vertices), 1))
            for part in parts
        ]
        colors = np.concatenate(table) / 255.0
    data = ObjData(
        positions,
        faces,
        colors=colors,
        uv=uv,
        corners_uv=None if uv is None else faces,
        material=np.full(len(faces), -1),
    )
    return Surface(data)


def read_with_trimesh(path: Path) -> Surface:
    """Read a mesh file that is not an OBJ; parts of a scene are joined, their textures merged.

    Raises:
        MeshError: damaged, or without triangles.
        ImageError: an embedded texture is damaged.
    """
    import trimesh

    try:
        HEADER_CHECKS[path.suffix.lower()](path)
        surface = _surface(trimesh.load(path, process=False), path)
        colors = own_colors(path) if path.suffix.lower() == ".glb" else None
        if colors is not None and len(colors) == len(surface.data.positions):
            return replace(surface, data=replace(surface.data, colors=colors))
        return surface
    except JiffError:
        raise
    except (OSError, SyntaxError) as error:
        # What Pillow raises for a damaged image inside an intact file.
        raise ImageError(
            f"{path}: it or a texture in it cannot be read ({error}); export the scan again."
        ) from error
    except Exception as error:
        raise MeshError(
            f"{path}: cannot be read ({type(error).__name__}: {error}); export the scan again."
        ) from error
