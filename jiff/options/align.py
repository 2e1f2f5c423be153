"""Options of ``jiff eval align``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from jiff.base.config import option


@dataclass(frozen=True)
class AlignConfig:
    """Options of ``run_align``."""

    pifu: Path = option(
        help="Folder with the coarse meshes of `jiff eval pifu`.", aliases=("-pifu", "--PIFu-path")
    )
    test: Path = option(
        help="Test folder with images, masks and the meshes of `jiff data face`.",
        aliases=("-test", "--test-path"),
    )
    box_margin: float = option(
        0.08, help="Border of the face box, as a share of the face's height.", min=0, max=1
    )
    overlays: bool = option(True, help="Write a picture of each aligned face.")
    jobs: int = option(0, help="Processes, 0 for one per core.", min=0)
    overwrite: bool = option(False, help="Align again what is aligned to the same reconstruction.")
    names: tuple[str, ...] = ()
