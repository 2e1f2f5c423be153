"""Materials of an OBJ: diffuse textures and colours of MTL files, found safely beside the scan."""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass, replace
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

# Words in names of pictures that are not the colour of a scan.
_NO_COLOR = {
    "ao", "bump", "disp", "displacement", "gloss", "glossiness", "height", "metal", "metallic", "metalness", "nm", "nor",
    "norm", "normal", "normals", "nrm", "occlusion", "opacity", "alpha", "mask", "rough", "roughness", "spec", "specular",
    "cover", "icon", "overview", "preview", "render", "screenshot", "thumb", "thumbnail", "turntable",
}  # fmt: skip


@dataclass(frozen=True)
class Material:
    """One material.

    Attributes:
        name: as in ``newmtl``.
        color: diffuse RGB in [0, 1].
        texture: the name of its diffuse texture as written, or None.
        library: the MTL file it comes from.
        alpha: the name of its opacity texture (``map_d``) as written, or None.
        scale, offset: of texture coordinates (options -s and -o).
        clamp: coordinates outside [0, 1] continue the border instead of repeating (option -clamp on).
        opacity: 1 is solid (``d``, or 1 - ``Tr`` where there is no ``d``).
    """

    name: str
    color: tuple[float, float, float]
    texture: str | None
    library: Path
    alpha: str | None = None
    scale: tuple[float, float] = (1.0, 1.0)
    offset: tuple[float, float] = (0.0, 0.0)
    clamp: bool = False
    opacity: float = 1.0


def _texture_options(words: str) -> tuple[str, dict[str, list[str]]]:
    """Return the file name of a map line (it may hold blanks), and the words of each option before it."""
    rest = words.split()
    options: dict[str, list[str]] = {}
    begin = 0
    while begin < len(rest) and rest[begin].lower() in _OPTION_WORDS:
        option = rest[begin].lower()
        values = options[option] = []
        begin += 1
        for _ in range(_OPTION_WORDS[option]):
            # -o, -s and -t take one to three numbers.
            if begin < len(rest) - 1 and (_is_number(rest[begin]) or option not in ("-o", "-s", "-t")):
                values.append(rest[begin])
                begin += 1
    return (words.strip() if begin == 0 else " ".join(rest[begin:])), options


def _pair(words: list[str] | None, default: float) -> tuple[float, float]:
    numbers = [float(word) for word in words or () if math.isfinite(float(word))]
    return (numbers + [default] * 2)[0], (numbers + [default] * 2)[1]


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
    current = Material("", (1.0, 1.0, 1.0), None, path)
    dissolved: set[str] = set()
    for line in text.splitlines():
        key, _, rest = line.replace("\t", " ").strip().partition(" ")
        key, rest = key.lower(), rest.strip()
        if key == "newmtl":
            current = Material(rest, (1.0, 1.0, 1.0), None, path)
        elif key == "kd":
            current = replace(current, color=_color(rest))
        elif key == "map_kd" and rest:
            name, options = _texture_options(rest)
            current = replace(
                current,
                texture=name,
                scale=_pair(options.get("-s"), 1.0),
                offset=_pair(options.get("-o"), 0.0),
                clamp=options.get("-clamp") == ["on"],
            )
        elif key == "map_d" and rest:
            current = replace(current, alpha=_texture_options(rest)[0])
        elif key == "d" or (key == "tr" and current.name not in dissolved):
            # "d -halo 0.5" is the specification's other form.
            value = rest.split()[-1] if rest else ""
            if not _is_number(value):
                continue
            current = replace(current, opacity=float(value) if key == "d" else 1 - float(value))
            dissolved |= {current.name} if key == "d" else set()
        else:
            continue
        materials[current.name] = current
    return materials


def read_materials(libraries: Iterable[Path]) -> dict[str, Material]:
    """Return the materials of all MTL files that exist; the first of a name wins."""
    materials: dict[str, Material] = {}
    for library in libraries:
        if library.is_file():
            for name, material in read_mtl(library).items():
                materials.setdefault(name, material)
    return materials


def exact_or_other_case(folder: Path, name: str) -> Path | None:
    """Return the file of a relative name, each of its parts also in another letter case; None when there is none."""
    place = folder
    try:
        if (folder / name).is_file():
            return folder / name
        for part in PurePosixPath(name).parts:
            if (place / part).exists():
                place = place / part
                continue
            same = sorted(p for p in place.iterdir() if p.name.lower() == part.lower())
            if not same:
                return None
            place = same[0]
        return place if place.is_file() else None
    except (OSError, ValueError):
        return None


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
        found = exact_or_other_case(folder, inside)
        if found is not None:
            return found
    for place in _TEXTURE_FOLDERS if base not in ("", ".", "..") else ():
        found = exact_or_other_case(folder, f"{place}/{base}" if place else base)
        if found is not None:
            return found
    raise ImageError(
        f"{material.library}: its texture {written} is not there; put it back beside the MTL file."
    )


def loose_texture(mesh_path: Path) -> Path | None:
    """Return the texture of a scan whose MTL is lost: the published name, RenderPeople's, or the only image of one mesh.

    Normal maps, thumbnails and the like are never taken for colour.
    """
    folder = mesh_path.parent
    for pattern in ("material0.*", "tex/*_dif*", "tex/*"):
        found = sorted(
            p for p in folder.glob(pattern) if p.suffix.lower() in IMAGE_SUFFIXES and _may_color(p)
        )
        if found:
            return found[0]
    files = [p for p in sorted(folder.iterdir()) if p.is_file()]
    images = [p for p in files if p.suffix.lower() in IMAGE_SUFFIXES and _may_color(p)]
    own = [p for p in images if p.stem.lower().startswith(mesh_path.stem.lower())]
    if len(own) == 1:
        return own[0]
    alone = sum(p.suffix.lower() == mesh_path.suffix.lower() for p in files) == 1
    return images[0] if len(images) == 1 and alone else None


def _may_color(path: Path) -> bool:
    return not set(re.split(r"[^a-z]+", path.stem.lower())) & _NO_COLOR
