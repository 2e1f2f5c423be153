"""Options of ``jiff view``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from jiff.base.config import option


@dataclass(frozen=True)
class ViewConfig:
    """Options of ``run_view``."""

    mesh: tuple[Path, ...] = option(help="Mesh files (OBJ, PLY, GLB), or folders of them.", positional=True)
    out: Path = option(Path("jiff-view.html"), help="Page to write; it works offline.", flags=("-o",))
    label: tuple[str, ...] = option(
        (), help="Text below a mesh, in their order; the file names by default.", split=False
    )
    open: bool = option(True, help="Open the page in the browser.")
