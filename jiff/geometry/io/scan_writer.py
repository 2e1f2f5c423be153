"""Write a scan in the layout of the pipeline: ``<subject>.obj``, ``material0.mtl`` and its texture beside it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from jiff.base.errors import ImageError, OutputError
from jiff.base.files import write_bytes, write_text
from jiff.geometry.io.obj_io import library_paths, obj_text

if TYPE_CHECKING:
    from jiff.geometry.io.obj_surface import Surface
    from jiff.geometry.io.obj_text import ObjData

STEM = "material0"
_RECORD = "# jiff rescale "
_JPEG_SUFFIXES = (".jpg", ".jpeg")
# Lines of an MTL that name images; only the diffuse one travels along.
_IMAGE_KEYS = ("map_", "bump", "disp", "decal", "refl", "norm")


def texture_name(source: Path | None) -> str:
    """Return the name under which a texture is kept: the published ``material0.jpeg`` for any JPEG."""
    if source is None:
        return f"{STEM}.jpeg"
    suffix = source.suffix.lower()
    return f"{STEM}.jpeg" if suffix in _JPEG_SUFFIXES else f"{STEM}{suffix}"


def _material_text(data: ObjData, source: Path | None, texture: str | None) -> str:
    """Return an MTL with all used materials, their other properties kept, showing ``texture``."""
    shown = [] if texture is None else [f"map_Kd {texture}"]
    kept: dict[str, list[str]] = {}
    for library in library_paths(data, source) if source is not None else []:
        if not library.is_file():
            continue
        name = ""
        for line in library.read_bytes().decode("utf-8", "replace").splitlines():
            key, _, rest = line.strip().partition(" ")
            if key.lower() == "newmtl":
                name = rest.strip()
                kept.setdefault(name, [])
            elif key and not key.startswith("#") and not key.lower().startswith(_IMAGE_KEYS) and name:
                kept[name].append(line.strip())
    lines: list[str] = []
    for name in data.materials:
        properties = kept.get(name) or ["Ka 1 1 1", "Kd 1 1 1"]
        lines += [f"newmtl {name}", *properties, *shown]
    return "\n".join(lines) + "\n"


def _encoded(texture: Any) -> bytes:
    # Colours at full resolution: in an atlas the neighbouring pixels may belong to another part of the body.
    fine = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    settings = [cv2.IMWRITE_JPEG_QUALITY, 97, *fine]
    ok, blob = cv2.imencode(".jpg", np.ascontiguousarray(texture[..., ::-1]), settings)
    if not ok:
        raise ImageError(
            f"a texture of {texture.shape[1]} x {texture.shape[0]} pixels cannot be written as JPEG."
        )
    return bytes(blob.tobytes())


def write_scan(surface: Surface, target: Path, record: dict[str, Any], source: Path | None = None) -> None:
    """Write texture, MTL and, last, the OBJ, each atomically; files that are there with the same bytes are left alone.

    A folder that was made for a scan which then cannot be written is removed again.

    Args:
        surface: the scan.
        target: the OBJ.
        record: plain values kept in the OBJ's first line; see ``read_record``.
        source: the file it was read from, whose materials are kept.

    Raises:
        OutputError: the folder cannot be written.
    """
    fresh = not target.parent.exists()
    try:
        _write_files(surface, target, record, source)
    except OutputError:
        if fresh:
            shutil.rmtree(target.parent, ignore_errors=True)
        raise


def _write_files(surface: Surface, target: Path, record: dict[str, Any], source: Path | None) -> None:
    data, name = surface.data, None
    if surface.texture is not None:
        name = texture_name(surface.source)
        blob = surface.source.read_bytes() if surface.source is not None else _encoded(surface.texture)
        _write_if_other(target.with_name(name), blob)
    library = None
    if data.materials:
        library = f"{STEM}.mtl"
        materials = _material_text(data, source if surface.source is not None else None, name)
        _write_if_other(target.with_name(library), materials.encode("utf-8"))
    header = f"{_RECORD[2:]}{json.dumps(record)}"
    write_text(target, obj_text(data, header=header, library=library))


def _write_if_other(path: Path, blob: bytes) -> None:
    if not path.is_file() or path.stat().st_size != len(blob) or path.read_bytes() != blob:
        write_bytes(path, blob)


def read_record(path: Path) -> dict[str, Any] | None:
    """Return the record of an OBJ that ``write_scan`` wrote, or None."""
    try:
        with path.open("rb") as handle:
            line = handle.readline(4096)
    except OSError:
        return None
    if not line.startswith(_RECORD.encode()):
        return None
    try:
        record = json.loads(line[len(_RECORD) :].decode("utf-8"))
    except ValueError:
        return None
    return record if isinstance(record, dict) else None
