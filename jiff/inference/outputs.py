"""Files of one reconstruction: OBJ, PLY, GLB in metres, preview, sidecar."""

from __future__ import annotations

import zlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jiff.base.errors import InputError, UsageError
from jiff.base.files import read_json, write_bytes, write_json
from jiff.geometry.camera import BODY_HEIGHT_WORLD
from jiff.geometry.io.mesh_io import save_image, save_mesh
from jiff.geometry.io.skinned_glb import skinned_glb_bytes
from jiff.options.mesh_output import MeshOutput
from jiff.photo.images import resize_image
from jiff.render.preview import contact_sheet, orbit_views
from jiff.render.turntable import write_turntable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jiff.geometry.io.skinned_glb import SkinnedMesh
    from jiff.geometry.mesh import Mesh

FORMATS = ("obj", "glb", "ply")
_PREVIEW_SIZE = 512
_PREVIEW_YAWS = (0.0, 90.0, 180.0)


def check_formats(formats: tuple[str, ...]) -> tuple[str, ...]:
    """Return the wanted formats without repeats, commas taken apart.

    Raises:
        UsageError: none, or an unknown one.
    """
    wanted = tuple(dict.fromkeys(f.strip().lower() for text in formats for f in text.split(",") if f.strip()))
    unknown = [f for f in wanted if f not in FORMATS]
    if unknown or not wanted:
        raise UsageError(f"--format {','.join(formats)}: choose among {', '.join(FORMATS)}.")
    return wanted


def to_metres(mesh: Mesh, height_cm: float) -> Mesh:
    """Return the mesh in metres, 180 world units being ``height_cm``."""
    factor = height_cm / 100.0 / BODY_HEIGHT_WORLD
    return replace(mesh, vertices=mesh.vertices * factor)


def preview(mesh: Mesh, photo: NDArray[np.uint8] | None = None) -> NDArray[np.uint8]:
    """Return one picture [H, W, 3]: the photo, then the mesh from the front, the side and the back."""
    pictures = orbit_views(mesh, _PREVIEW_YAWS, size=_PREVIEW_SIZE, canonical=True)
    labels = ["front", "side", "back"]
    if photo is not None:
        pictures = [resize_image(photo, (_PREVIEW_SIZE, _PREVIEW_SIZE)), *pictures]
        labels = ["photo", *labels]
    return contact_sheet(pictures, labels, columns=len(pictures))


def result_files(
    folder: Path, name: str, formats: tuple[str, ...], output: MeshOutput | None = None
) -> list[Path]:
    """Return the files that make a result complete: meshes, turntable, preview, and last the sidecar."""
    turntable = None if output is None else output.turntable
    return [
        *(folder / f"{name}.{suffix}" for suffix in formats),
        *([folder / f"{name}_turntable.{turntable}"] if turntable else []),
        folder / f"{name}.png",
        folder / f"{name}.json",
    ]


def write_result(
    folder: Path,
    name: str,
    mesh: Mesh,
    *,
    formats: tuple[str, ...],
    height_cm: float,
    photo: NDArray[np.uint8] | None,
    sidecar: dict[str, Any],
    output: MeshOutput | None = None,
    skinned: SkinnedMesh | None = None,
) -> list[Path]:
    """Write one reconstruction and return its files; a textured OBJ's MTL and PNG come besides.

    OBJ and PLY are in world units (180 per body height) in the camera's frame, so that the alignment and metric
    steps can use them; GLB is in metres, y up, the person looking along +z, on bones where ``skinned`` is given.
    """
    files = result_files(folder, name, formats, output)
    meshes, turntable = files[: len(formats)], files[len(formats) : -2]
    files[-1].unlink(missing_ok=True)
    with_normals = replace(mesh, normals=mesh.vertex_normals())
    texture = texture_name(name)
    for path in meshes:
        if path.suffix == ".glb" and skinned is not None:
            write_bytes(path, skinned_glb_bytes(skinned, name=path.stem, extras=_public(sidecar)))
        elif path.suffix == ".glb":
            save_mesh(to_metres(with_normals, height_cm), path, extras=_public(sidecar))
        else:
            save_mesh(with_normals, path, texture_name=texture)
    if mesh.texture is not None and "obj" in formats:
        sides = [folder / texture, (folder / texture).with_suffix(".mtl")]
        files = [*meshes, *sides, *files[len(formats) :]]
    for path in turntable:
        write_turntable(mesh, path)
    save_image(files[-2], preview(mesh, photo))
    write_json(files[-1], {**sidecar, "files": [path.name for path in files[:-1]]})
    return files


def _public(sidecar: dict[str, Any]) -> dict[str, Any]:
    """Return what may travel inside a mesh that is handed on: no paths of this machine."""
    made = sidecar.get("provenance", {})
    networks = {stage: entry["blake2b"] for stage, entry in made.get("checkpoints", {}).items()}
    return {"networks": networks, "licence_notes": made.get("licence_notes", [])} if made else {}


def texture_name(name: str) -> str:
    """Return the file name of a textured OBJ's picture; readers of MTL files disagree about blanks."""
    if len(name.split()) > 1:
        # "a b" and "a_b" must not share a file.
        name = f"{'_'.join(name.split())}_{zlib.crc32(name.encode()):08x}"
    return f"{name}_texture.png"


def has_result(folder: Path, name: str, formats: tuple[str, ...], output: MeshOutput | None = None) -> bool:
    """Tell whether all files of a result are there, those too that its sidecar names."""
    files = result_files(folder, name, formats, output)
    if not all(path.is_file() for path in files):
        return False
    try:
        stored = read_json(files[-1])
    except InputError:
        # The sidecar is damaged: done again.
        return False
    return isinstance(stored, dict) and all(
        (folder / str(file)).is_file() for file in stored.get("files", [])
    )
