"""Options of ``jiff data photos``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from jiff.base.config import option
from jiff.options.work import WorkOptions


@dataclass(frozen=True)
class PhotosConfig(WorkOptions):
    """What ``run_photos`` makes."""

    out: Path = option(help="Folder that receives one folder per person.", flags=("-o",))
    people: int = option(600, help="Number of people.", flags=("-n",), min=1)
    views: int = option(4, help="Photos of each, every one in another pose.", min=1, max=64)
    seed: int = option(
        100_000,
        help="Person i depends on the seed and i alone; people of one seed are those of the next, moved by one.",
        min=0,
    )
    held_out: int = option(24, help="Every so many people is held out (val.txt); 0 holds out nobody.", min=0)
    texture_size: int = option(
        1024, help="Side of people's textures in pixels, a power of two.", min=256, max=4096
    )
    overwrite: bool = option(False, help="Make complete people again.")
