"""Refuse binary meshes whose headers promise more than the file holds, before a parser believes them."""

from __future__ import annotations

import json
import os
import struct
from pathlib import Path, PureWindowsPath
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from jiff.base.errors import MeshError

if TYPE_CHECKING:
    from collections.abc import Callable

_LONGEST_HEADER = 1 << 16
_GLB_MAGIC = b"glTF"
_JSON_CHUNK = 0x4E4F534A
# Nothing that makes a scan takes more values than this per byte of file (sparse and compressed accessors included).
_VALUES_PER_BYTE = 64


def _damaged(path: Path, cause: str) -> MeshError:
    return MeshError(f"{path}: {cause}; the file is damaged, export it again.")


def _leaves_folder(name: str) -> bool:
    plain = unquote(name).replace("\\", "/")
    return (
        plain.startswith("/")
        or bool(PureWindowsPath(plain).drive)
        or "://" in plain
        or os.path.normpath(plain).startswith("..")
    )


def check_reference(path: Path, name: str) -> None:
    """Refuse a file name inside a mesh file that leads out of its folder.

    Raises:
        MeshError: it does.
    """
    if _leaves_folder(name):
        raise MeshError(
            f"{path}: it refers to {name}, which lies outside its folder; copy that file beside it and export again."
        )


def ply_textures(path: Path) -> list[str]:
    """Return the names in the ``comment TextureFile`` lines of a PLY header."""
    with path.open("rb") as handle:
        head = handle.read(_LONGEST_HEADER)
    lines = [
        line.split() for line in head[: head.find(b"end_header")].decode("utf-8", "replace").splitlines()
    ]
    return [
        " ".join(words[2:])
        for words in lines
        if len(words) >= 3 and words[0] == "comment" and words[1].lower() == "texturefile"
    ]


def check_ply(path: Path) -> None:
    """Check the counts and references of a PLY header."""
    size = path.stat().st_size
    with path.open("rb") as handle:
        head = handle.read(_LONGEST_HEADER)
    end = head.find(b"end_header")
    if not head.startswith(b"ply") or end < 0:
        raise _damaged(path, "it has no PLY header")
    for line in head[:end].decode("latin-1").splitlines():
        words = line.split()
        if len(words) >= 3 and words[0] == "element":
            # An element takes at least one byte.
            if not words[2].isdigit() or int(words[2]) > size:
                raise _damaged(
                    path, f"its header promises {words[2]} of {words[1]}, more than the file holds"
                )
    for name in ply_textures(path):
        check_reference(path, name)


def _glb_json(path: Path) -> bytes:
    size = path.stat().st_size
    with path.open("rb") as handle:
        head = handle.read(20)
        if len(head) < 20 or head[:4] != _GLB_MAGIC:
            raise _damaged(path, "it has no GLB header")
        _, total, length, kind = struct.unpack("<4I", head[4:])
        if total > size or length > size or kind != _JSON_CHUNK:
            raise _damaged(path, "it is shorter than its header says")
        return handle.read(length)


def _check_gltf_tree(path: Path, text: bytes) -> None:
    try:
        tree: Any = json.loads(text.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise _damaged(path, "its glTF description is not valid JSON") from error
    if not isinstance(tree, dict):
        raise _damaged(path, "its glTF description is not an object")
    beside = [p.stat().st_size for p in path.parent.iterdir() if p.suffix.lower() == ".bin" and p.is_file()]
    room = (path.stat().st_size + sum(beside)) * _VALUES_PER_BYTE
    for kind, key in (("accessors", "count"), ("bufferViews", "byteLength"), ("buffers", "byteLength")):
        for item in tree.get(kind) or ():
            count = item.get(key, 0) if isinstance(item, dict) else None
            if not isinstance(count, int) or not 0 <= count <= room:
                raise _damaged(path, f"one of its {kind} has an impossible {key} ({count})")
    for kind in ("buffers", "images"):
        for item in tree.get(kind) or ():
            uri = item.get("uri") if isinstance(item, dict) else None
            if isinstance(uri, str) and not uri.startswith("data:"):
                check_reference(path, uri)


def check_glb(path: Path) -> None:
    """Check the lengths, counts and references of a binary glTF."""
    _check_gltf_tree(path, _glb_json(path))


def check_gltf(path: Path) -> None:
    """Check the counts and references of a text glTF."""
    _check_gltf_tree(path, path.read_bytes())


def check_off(path: Path) -> None:
    """Check the counts of an OFF header."""
    with path.open("rb") as handle:
        words = handle.read(_LONGEST_HEADER).split()[:4]
    counts = words[1:] if words and b"OFF" in words[0] else words
    size = path.stat().st_size
    if not words or any(not word.isdigit() or int(word) > size for word in counts[:2]):
        raise _damaged(path, "its OFF header promises more than the file holds")


def check_stl(path: Path) -> None:
    """Check the triangle count of a binary STL (text files begin with "solid")."""
    size = path.stat().st_size
    with path.open("rb") as handle:
        head = handle.read(84)
    if head.startswith(b"solid"):
        return
    if len(head) < 84 or size < 84 + 50 * struct.unpack("<I", head[80:])[0]:
        raise _damaged(path, "it is shorter than its STL header says")


HEADER_CHECKS: dict[str, Callable[[Path], None]] = {
    ".ply": check_ply,
    ".glb": check_glb,
    ".gltf": check_gltf,
    ".off": check_off,
    ".stl": check_stl,
}
"""The check of each suffix; each raises ``MeshError``."""
