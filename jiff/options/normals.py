"""Options of ``jiff data normals``."""

from __future__ import annotations

from dataclasses import dataclass

from jiff.base.config import option
from jiff.options.photos import PhotosConfig


@dataclass(frozen=True)
class NormalsConfig(PhotosConfig):
    """What ``run_normals`` makes: photos of people as ``run_photos`` takes them, with normals in place of fitted bodies."""

    people: int = option(400, help="Number of people.", flags=("-n",), min=1)
    views: int = option(
        3, help="Photos of each, every one in another pose; all but the first with wrinkles.", min=1, max=64
    )
    seed: int = option(
        500_000,
        help="Person i depends on the seed and i alone; people of one seed are those of the next, moved by one.",
        min=0,
    )
    held_out: int = option(20, help="Every so many people is held out (val.txt); 0 holds out nobody.", min=0)
