"""Options of ``jiff eval align``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from jiff.base.config import option


@dataclass(frozen=True)
class AlignConfig:
    """Options of ``run_align``.

    Attributes:
        pifu: results folder of `jiff eval pifu`.
        test: test folder with images, masks and fitted faces.
        box_margin: border round the face in the box, as a share of the face's height.
        overlays: write pictures of the aligned faces.
        jobs: processes, 0 = one per core.
        overwrite: align again what is aligned to the same reconstruction.
        names: people of the test folder to work on; empty for all.
    """

    pifu: Path = option(help="Folder with the coarse meshes of `jiff eval pifu`.")
    test: Path = option(help="Test folder with images, masks and the meshes of `jiff data face`.")
    box_margin: float = option(
        0.08, help="Border of the face box, as a share of the face's height.", min=0, max=1
    )
    overlays: bool = option(True, help="Write a picture of each aligned face.")
    jobs: int = option(0, help="Processes, 0 for one per core.", min=0)
    overwrite: bool = option(False, help="Align again what is aligned to the same reconstruction.")
    names: tuple[str, ...] = ()
