"""Materials of an OBJ: diffuse textures and colours of MTL files, found safely beside the scan."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING

from jiff.base.errors import ImageError, MeshError

if TYPE_CHECKING:
    from collections.abc import Iterable

IMAGE_SUFFIXES = (".jpeg", ".jpg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".tga")
# Where exporters put textures that the MTL names without a folder.
_TEXTURE_FOLDERS = ("", "tex", "textures", "texture", "maps")
# Options of map_Kd and how many words follow each (MTL specification, section 5-18).
_OPTION_WORDS = {
    "-blendu": 1, "-blendv": 1, "-bm": 1, "-boost": 1, "-cc": 1, "-clamp": 1, "-imfchan": 1, "-mm": 2,
    "-o": 3, "-s": 3, "-t": 3, "-texres": 1, "-type": 1,
}  # fmt: skip


@dataclass(frozen=True)
class Material:
    """One material.

    Attributes:
        name: as in ``newmtl``.
        color: diffuse RGB in [0, 1].
        texture: the name of its diffuse texture as written, or None.
        library: the MTL file it comes from.
    """

    name: str
    color: tuple[float, float, float]
    texture: str | None
    library: Path


def _texture_name(words: str) -> str:
    """Return the file name of a ``map_Kd`` line, without options; it may hold blanks."""
    rest = words.split()
    begin = 0
    while begin < len(rest) and rest[begin].lower() in _OPTION_WORDS:
        option = rest[begin].lower()
        begin += 1
        for _ in range(_OPTION_WORDS[option]):
            # -o, -s and -t take one to three numbers.
            if begin < len(rest) - 1 and (_is_number(rest[begin]) or option not in ("-o", "-s", "-t")):
                begin += 1
    return words.strip() if begin == 0 else " ".join(rest[begin:])


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _color(words: str) -> tuple[float, float, float]:
    numbers = [float(word) for word in words.split() if _is_number(word)]
    numbers = [min(max(value, 0.0), 1.0) if value == value else 1.0 for value in numbers[:3]]
    return (numbers[0], numbers[1], numbers[2]) if len(numbers) == 3 else (1.0, 1.0, 1.0)


def read_mtl(path: Path) -> dict[str, Material]:
    """Return the materials of an MTL file by name.

    Raises:
        MeshError: the file cannot be read.
    """
    try:
        text = path.read_bytes().decode("utf-8", "replace")
    except OSError as error:
        raise MeshError(f"{path}: cannot be read ({error.strerror}); put it back beside its OBJ.") from error
    materials: dict[str, Material] = {}
    name, color, texture = "", (1.0, 1.0, 1.0), None
    for line in text.splitlines():
        key, _, rest = line.replace("\t", " ").strip().partition(" ")
        key, rest = key.lower(), rest.strip()
        if key == "newmtl":
            name, color, texture = rest, (1.0, 1.0, 1.0), None
        elif key == "kd":
            color = _color(rest)
        elif key == "map_kd" and rest:
            texture = _texture_name(rest)
        else:
            continue
        materials[name] = Material(name, color, texture, path)
    return materials


def read_materials(libraries: Iterable[Path]) -> dict[str, Material]:
    """Return the materials of all MTL files that exist; the first of a name wins."""
    materials: dict[str, Material] = {}
    for library in libraries:
        if library.is_file():
            for name, material in read_mtl(library).items():
                materials.setdefault(name, material)
    return materials


def _exact_or_other_case(path: Path) -> Path | None:
    """Return ``path`` if it is a file, else the one file of that name in another case, else None."""
    try:
        if path.is_file():
            return path
        same = [p for p in path.parent.iterdir() if p.name.lower() == path.name.lower() and p.is_file()]
    except (OSError, ValueError):
        return None
    return same[0] if same else None


def find_texture(material: Material) -> Path:
    """Return the file of a material's texture: where the MTL says, else by its name in the usual folders beside it.

    Absolute paths of other machines and backslashes are understood by file name. Nothing outside the MTL's folder is
    ever opened.

    Raises:
        MeshError: the path leads out of the scan's folder.
        ImageError: the file is not there.
    """
    folder, written = material.library.parent, material.texture or ""
    name = written.replace("\\", "/")
    base = PurePosixPath(name).name
    absolute = name.startswith("/") or bool(PureWindowsPath(written).drive)
    if not absolute:
        inside = os.path.normpath(name)
        if inside.startswith(".."):
            raise MeshError(
                f"{material.library}: its texture path {written} leads out of the scan's folder; "
                "copy the texture beside it and name it without a folder."
            )
        found = _exact_or_other_case(folder / inside)
        if found is not None:
            return found
    for place in _TEXTURE_FOLDERS if base not in ("", ".", "..") else ():
        found = _exact_or_other_case(folder / place / base)
        if found is not None:
            return found
    raise ImageError(
        f"{material.library}: its texture {written} is not there; put it back beside the MTL file."
    )


def loose_texture(mesh_path: Path) -> Path | None:
    """Return the texture of a scan whose MTL is lost: the published name, RenderPeople's, or the only image there."""
    folder = mesh_path.parent
    for pattern in ("material0.*", "tex/*_dif*", "tex/*"):
        found = sorted(p for p in folder.glob(pattern) if p.suffix.lower() in IMAGE_SUFFIXES)
        if found:
            return found[0]
    images = [p for p in sorted(folder.iterdir()) if p.suffix.lower() in IMAGE_SUFFIXES and p.is_file()]
    return images[0] if len(images) == 1 else None
