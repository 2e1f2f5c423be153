"""The scans of a folder: which are taken, and which are not and why."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from jiff.base.errors import DatasetError

RESCALE_STAMP = "rescale.json"
"""Lies beside a scan that ``jiff data rescale`` wrote: a copy of another one, unless that is not taken."""
SCAN_SUFFIXES = (".obj", ".ply", ".glb", ".gltf")
_UNREAD_SUFFIXES = (".fbx", ".stl", ".dae", ".blend", ".usd", ".usdz", ".3ds", ".abc", ".max", ".zpr", ".ztl")
_IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".tga", ".webp", ".exr")
_DEEPEST = 4
"""Folders below the given one in which scans are looked for."""


@dataclass
class FoundScans:
    """What a folder holds.

    Attributes:
        scans: subject -> mesh file.
        not_taken: name of a file or folder that holds scans but is not taken -> one sentence with the reason.
    """

    scans: dict[str, Path] = field(default_factory=dict)
    not_taken: dict[str, str] = field(default_factory=dict)

    def take(self, name: str, path: Path) -> None:
        """Take a scan unless another one has its name."""
        other = self.scans.setdefault(name, path)
        if other != path and not path.with_name(RESCALE_STAMP).is_file():
            self.not_taken[str(path.parent)] = (
                f"{path}: is not taken because {other} has the same name; rename one of their folders."
            )


def find_scans(root: Path, *, may_lack: bool = False) -> FoundScans:
    """Look through a folder of raw scans.

    Taken: ``ROOT/<subject>/<subject>.obj`` (THuman2.0), ``ROOT/<name>_OBJ/*.obj`` (RenderPeople, subject is ``<name>``, the
    largest file named after it), ``ROOT/<subject>/`` with a single OBJ, PLY, GLB or glTF, the same in folders below, and
    mesh files directly in ROOT.

    Args:
        root: the folder.
        may_lack: others are still making the scans (shards): a folder without any is no error.

    Raises:
        DatasetError: missing folder, or nothing in it can be taken.
    """
    root = Path(root)
    if not root.is_dir():
        raise DatasetError(f"{root}: no such folder; give the folder that holds the scans.")
    found = FoundScans()
    folders = [entry for entry in _visible(root) if entry.is_dir()]
    # What lies at the top has its name before what lies below, a folder before the loose file it was rescaled from.
    for entry in sorted(folders, key=lambda folder: (not _holds_mesh(folder), folder.name)):
        _look_into(entry, entry, found, 1)
    for entry in _visible(root):
        if entry.is_file() and entry.suffix.lower() in SCAN_SUFFIXES:
            found.scans.setdefault(entry.stem, entry)
        elif entry.is_file() and entry.suffix.lower() in _UNREAD_SUFFIXES and entry.stem not in found.scans:
            found.not_taken[entry.name] = _unread(entry)
    found.scans = dict(sorted(found.scans.items()))
    if not found.scans and not may_lack:
        why = next(iter(found.not_taken.values()), "")
        raise DatasetError(
            why
            or f"{root}: holds no scans; expected <subject>/<subject>.obj folders or OBJ, PLY, GLB or glTF files directly inside."
        )
    return found


def _unread(path: Path) -> str:
    return f"{path}: {path.suffix} files cannot be read; export the scan as OBJ, PLY, GLB or glTF."


def _visible(folder: Path) -> list[Path]:
    # Hidden files are what a killed writer left, or a file manager.
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def _holds_mesh(folder: Path) -> bool:
    return any(path.suffix.lower() in SCAN_SUFFIXES and path.is_file() for path in _visible(folder))


def _look_into(folder: Path, top: Path, found: FoundScans, depth: int) -> None:
    """Take the scan of a folder, or those of the folders in it."""
    content = _visible(folder)
    if (folder / "GEO" / "OBJ").is_dir():
        # A processed set: its scans are copies.
        return
    meshes = [path for path in content if path.suffix.lower() in SCAN_SUFFIXES and path.is_file()]
    if meshes:
        names = {folder.name, folder.name.removesuffix("_OBJ"), top.name, top.name.removesuffix("_OBJ")}
        chosen = _choose(meshes, names)
        if chosen is not None:
            found.take(folder.name.removesuffix("_OBJ"), chosen)
            return
        listed = ", ".join(path.name for path in meshes[:4]) + (" and others" if len(meshes) > 4 else "")
        found.not_taken[str(folder.relative_to(top.parent))] = (
            f"{folder}: holds several meshes ({listed}), none of which is named after the folder; "
            f"rename one to {folder.name}{meshes[0].suffix}, or give each a folder of its own."
        )
        return
    unread = [path for path in content if path.suffix.lower() in _UNREAD_SUFFIXES and path.is_file()]
    before = len(found.scans) + len(found.not_taken)
    if depth < _DEEPEST:
        inner = FoundScans()
        for path in content:
            if path.is_dir():
                _look_into(path, top, inner, depth + 1)
        found.not_taken.update(inner.not_taken)
        for name, path in inner.scans.items():
            # One scan that its own folder does not name, "anna/mesh/model.obj": the outer folder is the person's.
            alone = depth == 1 and len(inner.scans) == 1 and path.stem != path.parent.name
            found.take(folder.name.removesuffix("_OBJ") if alone else name, path)
    if unread and len(found.scans) + len(found.not_taken) == before:
        found.not_taken[str(folder.relative_to(top.parent))] = _unread(unread[0])


def _choose(meshes: list[Path], names: set[str]) -> Path | None:
    # OBJ first: that is what `jiff data rescale` leaves beside a PLY or GLB.
    meshes = sorted(meshes, key=lambda path: (path.suffix.lower() != ".obj", path.name))
    preferred = [path for path in meshes if path.stem in names]
    if preferred or len(meshes) == 1:
        return (preferred or meshes)[0]
    variants = [path for path in meshes if any(path.stem.startswith(name) for name in names)]
    if not variants:
        return None
    # RenderPeople: the same scan at several resolutions.
    return max(variants, key=lambda path: (path.suffix.lower() == ".obj", path.stat().st_size))


def scan_inputs(scan: Path) -> dict[str, Path]:
    """Return the files that decide what a scan looks like, by what a message calls them: the mesh, MTL files, pictures."""
    files = _visible(scan.parent)
    alone = sum(path.suffix.lower() in SCAN_SUFFIXES and path.is_file() for path in files) == 1
    for folder in [path for path in files if path.is_dir()]:
        if folder.name == "tex" or (alone and not _holds_mesh(folder)):
            files += _visible(folder)
    kinds = (".mtl", ".bin", *_IMAGE_SUFFIXES)
    beside = [path for path in files if path.suffix.lower() in kinds and path.is_file()]
    if not alone:
        # Scans that lie side by side: only what is named after this one.
        beside = [
            path for path in beside if path.stem.startswith(scan.stem) or path.stem.startswith("material0")
        ]
    return {"scan": scan, **{path.relative_to(scan.parent).as_posix(): path for path in beside}}
