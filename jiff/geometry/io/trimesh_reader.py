"""PLY, GLB, glTF, STL and OFF through trimesh, guarded against damaged files, with one texture at the end."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jiff.base.errors import ImageError, JiffError, MeshError
from jiff.geometry.io.gltf_reader import read_gltf
from jiff.geometry.io.header_checks import HEADER_CHECKS, ply_textures
from jiff.geometry.io.parts import Part, join_parts
from jiff.geometry.io.ply_reader import numbered_parts, texture_files
from jiff.geometry.io.texture_file import rgb_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jiff.geometry.io.obj_surface import Surface


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


def _surface(loaded: Any, path: Path) -> Surface:
    pictures: dict[int, NDArray[np.uint8]] = {}
    parts = []
    for mesh in _parts(loaded, path):
        uv, visual = _uv_of(mesh), mesh.visual
        faces = np.asarray(mesh.faces, dtype=np.int64)
        part = Part(
            np.asarray(mesh.vertices, dtype=np.float64), faces, corners_uv=None if uv is None else uv[faces]
        )
        image = _image_of(visual) if uv is not None else None
        if image is not None:
            if id(image) not in pictures:
                pictures[id(image)] = rgb_of(image)
            part = replace(part, image=pictures[id(image)])
        elif visual.kind in ("vertex", "face"):
            part = replace(part, colors=np.asarray(visual.vertex_colors)[:, :3] / 255.0)
        elif visual.kind is not None:
            red, green, blue = (_color_of(getattr(visual, "material", None)) / 255.0).tolist()
            part = replace(part, color=(red, green, blue))
        parts.append(part)
    return join_parts(parts, path)


def read_with_trimesh(path: Path) -> Surface:
    """Read a mesh file that is not an OBJ; parts of a scene are joined, their textures merged.

    Raises:
        MeshError: damaged, or without triangles.
        ImageError: an embedded texture is damaged.
    """
    import trimesh

    try:
        HEADER_CHECKS[path.suffix.lower()](path)
        if path.suffix.lower() in (".glb", ".gltf"):
            return read_gltf(path)
        files = texture_files(path) if path.suffix.lower() == ".ply" else []
        # Trimesh looks by the name that is written; the file may differ in case.
        pictures = (
            {name: file.read_bytes() for name, file in zip(ply_textures(path), files)} if files else None
        )
        # What trimesh makes of damaged numbers is checked below; NumPy need not warn of it.
        with np.errstate(all="ignore"):
            loaded = trimesh.load(path, process=False, resolver=pictures)
        if len(files) > 1:
            return join_parts(numbered_parts(loaded, path, files), path)
        return _surface(loaded, path)
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
