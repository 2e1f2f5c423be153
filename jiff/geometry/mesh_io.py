"""Read and write meshes with their textures: OBJ + MTL, PLY, GLB."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jiff.errors import ImageError, MeshError
from jiff.files import atomic_path, write_text
from jiff.geometry.mesh import Mesh, check_mesh
from jiff.geometry.obj_io import read_obj, write_obj

if TYPE_CHECKING:
    import trimesh
    from numpy.typing import NDArray

MESH_SUFFIXES = (".obj", ".ply", ".glb", ".gltf", ".stl", ".off")


def load_texture(path: Path | str) -> NDArray[np.uint8]:
    """Return the [H, W, 3] RGB of an image file.

    Raises:
        ImageError: missing or unreadable.
    """
    import cv2

    try:
        blob = np.fromfile(str(path), dtype=np.uint8)
    except OSError as error:
        raise ImageError(
            f"{path}: the texture cannot be read ({error.strerror}); put it back beside its MTL file."
        ) from error
    image = cv2.imdecode(blob, cv2.IMREAD_COLOR) if blob.size else None
    if image is None:
        raise ImageError(
            f"{path}: is not an image that can be decoded; export the texture again as JPEG or PNG."
        )
    return np.ascontiguousarray(image[..., ::-1])


def texture_path_of(libraries: list[Path]) -> Path | None:
    """Return the first diffuse texture that the MTL files name (``map_Kd``), or None.

    Raises:
        MeshError: the MTL points outside the scan's folder.
    """
    for library in libraries:
        if not library.is_file():
            continue
        for line in library.read_text(encoding="utf-8", errors="replace").splitlines():
            words = line.split(maxsplit=1)
            if len(words) == 2 and words[0].lower() == "map_kd":
                name = words[1].strip().replace("\\", "/")
                candidate = library.parent / name
                folder = library.parent.resolve()
                if not candidate.resolve().is_relative_to(folder.parent):
                    raise MeshError(
                        f"{library}: its texture path {name} leads out of the scan's folder; copy the texture beside it."
                    )
                return candidate
    return None


def _from_trimesh(loaded: Any, path: Path) -> Mesh:
    import trimesh

    if isinstance(loaded, trimesh.Scene):
        loaded = loaded.to_mesh()
    if not isinstance(loaded, trimesh.Trimesh) or len(loaded.faces) == 0:
        raise MeshError(f"{path}: holds no triangles; export the scan again as a surface mesh.")
    faces = np.asarray(loaded.faces, dtype=np.int64)
    uv = texture = colors = None
    visual: Any = loaded.visual
    if visual.kind == "texture" and visual.uv is not None:
        uv = np.asarray(visual.uv, dtype=np.float64)[:, :2]
        material = visual.material
        image = getattr(material, "baseColorTexture", None) or getattr(material, "image", None)
        if image is not None:
            texture = np.asarray(image.convert("RGB"))
    elif visual.kind in ("vertex", "face"):
        colors = np.asarray(visual.vertex_colors, dtype=np.float64)[:, :3] / 255.0
    return Mesh(
        vertices=np.asarray(loaded.vertices, dtype=np.float64),
        faces=faces,
        uv=uv,
        faces_uv=faces if uv is not None else None,
        colors=colors,
        texture=texture,
    )


def load_mesh(path: Path | str, *, texture: bool = True) -> Mesh:
    """Read a mesh of any supported format (``MESH_SUFFIXES``).

    Args:
        path: the file; OBJ textures are found through its MTL.
        texture: False leaves the texture image unread.

    Raises:
        MeshError: missing, empty, damaged or of an unknown format.
        ImageError: the texture is missing or unreadable.
    """
    path = Path(path)
    if not path.is_file():
        raise MeshError(f"{path}: no such file; check the path.")
    suffix = path.suffix.lower()
    if suffix not in MESH_SUFFIXES:
        raise MeshError(
            f"{path}: is not a mesh file ({', '.join(MESH_SUFFIXES)}); export the scan in one of these formats."
        )
    if suffix == ".obj":
        mesh, libraries = read_obj(path)
        image_path = texture_path_of(libraries) if texture and mesh.uv is not None else None
        return replace(mesh, texture=load_texture(image_path)) if image_path is not None else mesh
    import trimesh

    try:
        loaded = trimesh.load(path, process=False)
        mesh = _from_trimesh(loaded, path)
    except MeshError:
        raise
    except Exception as error:  # noqa: BLE001 - third-party parsers raise whatever they meet
        raise MeshError(
            f"{path}: cannot be read ({type(error).__name__}: {error}); export the scan again."
        ) from error
    return check_mesh(mesh, str(path))


def to_trimesh(mesh: Mesh, *, material_name: str = "material0") -> trimesh.Trimesh:
    """Return the mesh as a ``trimesh.Trimesh`` (split at texture seams), with texture or vertex colours."""
    import trimesh
    from PIL import Image

    visual: Any = None
    if mesh.uv is not None and mesh.texture is not None:
        mesh, _ = mesh.split_at_seams()
        image = Image.fromarray(mesh.texture)
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
    mesh: Mesh, path: Path | str, *, texture_name: str = "material0.jpeg", jpeg_quality: int = 95
) -> None:
    """Write a mesh by the suffix of ``path`` (.obj, .ply, .glb), atomically.

    An OBJ with a texture gets ``material0.mtl`` and ``texture_name`` beside it.

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
    elif suffix in (".ply", ".glb"):
        data = to_trimesh(mesh).export(file_type=suffix[1:])
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
