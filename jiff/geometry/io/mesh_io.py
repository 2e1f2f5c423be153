"""Read and write meshes with their textures: OBJ + MTL, PLY, GLB."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jiff.base.errors import ImageError, MeshError
from jiff.base.files import atomic_path, write_bytes, write_text
from jiff.geometry.io.glb_writer import glb_bytes
from jiff.geometry.io.mtl_io import find_texture, read_materials
from jiff.geometry.io.obj_io import mesh_of, write_obj
from jiff.geometry.io.obj_surface import Surface, colored_surface
from jiff.geometry.io.obj_text import parse_obj
from jiff.geometry.io.texture_file import load_texture
from jiff.geometry.io.trimesh_reader import read_with_trimesh
from jiff.geometry.mesh import Mesh, check_mesh

if TYPE_CHECKING:
    import trimesh
    from numpy.typing import NDArray

__all__ = [
    "MESH_SUFFIXES",
    "load_mesh",
    "load_texture",
    "mesh_with_texture",
    "read_surface",
    "save_image",
    "save_mesh",
    "texture_path_of",
    "to_trimesh",
]

MESH_SUFFIXES = (".obj", ".ply", ".glb", ".gltf", ".stl", ".off")


def texture_path_of(libraries: list[Path]) -> Path | None:
    """Return the first diffuse texture that the MTL files name (``map_Kd``), or None.

    Raises:
        MeshError: the MTL points outside the scan's folder.
        ImageError: the texture is not there.
    """
    for material in read_materials(libraries).values():
        if material.texture is not None:
            return find_texture(material)
    return None


def load_mesh(path: Path | str, *, texture: bool = True) -> Mesh:
    """Read a mesh of any supported format (``MESH_SUFFIXES``).

    Args:
        path: the file; OBJ textures are found through its MTL, several are merged into one.
        texture: False leaves the texture image unread.

    Raises:
        MeshError: missing, empty, damaged or of an unknown format.
        ImageError: the texture is missing or unreadable.
    """
    return mesh_with_texture(read_surface(Path(path), texture=texture))


def mesh_with_texture(surface: Surface) -> Mesh:
    """Return a surface as a mesh, its texture with it where all faces have coordinates."""
    mesh = mesh_of(surface.data)
    return replace(mesh, texture=surface.texture) if mesh.uv is not None else mesh


def read_surface(path: Path, *, texture: bool = True) -> Surface:
    """Read a mesh as OBJ data with its one texture, keeping what ``Mesh`` has no room for (materials, split normals).

    Raises:
        MeshError: missing, empty, damaged or of an unknown format.
        ImageError: the texture is missing or unreadable.
    """
    if not path.is_file():
        raise MeshError(f"{path}: no such file; check the path.")
    suffix = path.suffix.lower()
    if suffix not in MESH_SUFFIXES:
        raise MeshError(
            f"{path}: is not a mesh file ({', '.join(MESH_SUFFIXES)}); export the scan in one of these formats."
        )
    if suffix == ".obj":
        data = parse_obj(path)
        check_mesh(mesh_of(data), str(path))
        return colored_surface(data, path) if texture else Surface(data)
    surface = read_with_trimesh(path)
    check_mesh(mesh_of(surface.data), str(path))
    return surface


def to_trimesh(mesh: Mesh, *, material_name: str = "material0") -> trimesh.Trimesh:
    """Return the mesh as a ``trimesh.Trimesh`` (split at texture seams), with texture or vertex colours."""
    import trimesh
    from PIL import Image

    visual: Any = None
    texture = mesh.texture
    if mesh.uv is not None and texture is not None:
        mesh, _ = mesh.split_at_seams()
        image = Image.fromarray(texture)
        material = trimesh.visual.material.PBRMaterial(
            name=material_name, baseColorTexture=image, metallicFactor=0.0, roughnessFactor=1.0
        )
        visual = trimesh.visual.TextureVisuals(uv=mesh.uv, material=material)
    result = trimesh.Trimesh(
        mesh.vertices, mesh.faces, vertex_normals=mesh.vertex_normals(), visual=visual, process=False
    )
    if visual is None and mesh.colors is not None:
        rgba = np.concatenate([mesh.colors, np.ones((len(mesh.colors), 1))], axis=1)
        result.visual = trimesh.visual.ColorVisuals(
            result, vertex_colors=np.rint(rgba * 255).astype(np.uint8)
        )
    return result


def save_mesh(
    mesh: Mesh,
    path: Path | str,
    *,
    texture_name: str = "material0.jpeg",
    jpeg_quality: int = 95,
    extras: dict[str, Any] | None = None,
) -> None:
    """Write a mesh by the suffix of ``path`` (.obj, .ply, .glb), atomically.

    An OBJ with a texture gets ``texture_name`` and an MTL of the same stem beside it. PLY has no textures: of a mesh
    that has both it keeps the vertex colours. A GLB keeps ``extras`` (plain values) in ``asset.extras``.

    Raises:
        OutputError: the folder cannot be written.
        MeshError: the suffix is not one of the three.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix == ".obj":
        if mesh.uv is None or mesh.texture is None:
            write_obj(mesh, path)
            return
        stem = Path(texture_name).stem
        save_image(path.with_name(texture_name), mesh.texture, jpeg_quality=jpeg_quality)
        write_text(
            path.with_name(f"{stem}.mtl"), f"newmtl {stem}\nKa 1 1 1\nKd 1 1 1\nmap_Kd {texture_name}\n"
        )
        write_obj(mesh, path, material=f"{stem}.mtl")
    elif suffix == ".glb":
        write_bytes(path, glb_bytes(mesh, name=path.stem, extras=extras, jpeg_quality=jpeg_quality))
    elif suffix == ".ply":
        plain = mesh if mesh.colors is None else replace(mesh, uv=None, faces_uv=None, texture=None)
        data = to_trimesh(plain).export(file_type="ply")
        with atomic_path(path) as temporary:
            temporary.write_bytes(data if isinstance(data, bytes) else str(data).encode())
    else:
        raise MeshError(f"{path}: meshes are written as .obj, .ply or .glb; choose one of these suffixes.")


def save_image(path: Path | str, image: NDArray[np.uint8], *, jpeg_quality: int = 95) -> None:
    """Write [H, W], [H, W, 3] RGB or [H, W, 4] RGBA uint8 as PNG or JPEG by suffix, atomically."""
    import cv2

    path = Path(path)
    flags = [cv2.IMWRITE_JPEG_QUALITY, jpeg_quality] if path.suffix.lower() in (".jpg", ".jpeg") else []
    if image.ndim == 3:
        order = [2, 1, 0, 3][: image.shape[2]]
        image = np.ascontiguousarray(image[..., order])
    ok, blob = cv2.imencode(path.suffix, image, flags)
    if not ok:
        raise ImageError(f"{path}: cannot be encoded as {path.suffix}; use .png or .jpg.")
    with atomic_path(path) as temporary:
        temporary.write_bytes(blob.tobytes())
