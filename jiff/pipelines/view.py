"""``jiff view``: write a page that shows meshes side by side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from jiff.base.errors import InputError, UsageError
from jiff.base.files import write_text
from jiff.geometry.io.gltf_motion import read_motion
from jiff.geometry.io.mesh_io import load_mesh
from jiff.options.view import ViewConfig
from jiff.report.viewer.page import ViewItem, viewer_page
from jiff.run.parallel import WorkReport

if TYPE_CHECKING:
    from jiff.base.progress import Progress

_SUFFIXES = (".obj", ".ply", ".glb", ".gltf", ".stl", ".off")
_MOST = 8


def _files(config: ViewConfig) -> list[Path]:
    files: list[Path] = []
    for path in config.mesh:
        if path.is_dir():
            found = sorted(child for child in path.iterdir() if child.suffix.lower() in _SUFFIXES)
            by_name = {child.stem: child for child in reversed(found)}
            if not by_name:
                raise InputError(f"{path}: holds no mesh ({', '.join(_SUFFIXES)}); give another folder.")
            files.extend(sorted(by_name.values()))
        elif path.is_file():
            files.append(path)
        else:
            raise InputError(f"{path}: no such file or folder; check the path.")
    if len(files) > _MOST:
        raise UsageError(f"{len(files)} meshes are too many to see side by side; name at most {_MOST}.")
    if len(config.label) > len(files):
        raise UsageError(
            f"--label is given {len(config.label)} times for {len(files)} meshes; leave some out."
        )
    return files


def run_view(config: ViewConfig, progress: Progress) -> WorkReport:
    """Write the page.

    Returns:
        The report; its output is the page.

    Raises:
        InputError: a path does not exist or a folder holds no meshes.
        UsageError: more meshes than can be seen side by side.
        MeshError: a mesh cannot be read or shown.
        OutputError: the page cannot be written.
    """
    files = _files(config)
    items = []
    with progress.task("Reading meshes", total=len(files)) as bar:
        for index, path in enumerate(files):
            bar.describe(path.name)
            mesh = load_mesh(path)
            label = config.label[index] if index < len(config.label) else path.name
            note = f"{len(mesh.vertices):,} vertices, {len(mesh.faces):,} triangles"
            motion = read_motion(path) if path.suffix.lower() in (".glb", ".gltf") else None
            items.append(ViewItem(mesh, label, note, motion))
            bar.advance()
    write_text(config.out, viewer_page(items, " | ".join(item.label for item in items)))
    return WorkReport(results={str(path): None for path in files}, outputs=[str(config.out)])
