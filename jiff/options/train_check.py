"""Options of ``jiff train check``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from jiff.base.config import option


@dataclass(frozen=True)
class TrainCheckConfig:
    """Options of ``run_train_check``."""

    dataroot: Path = option(help="Folder of the processed set.", flags=("-i",))
    out: Path = option(Path("train_check.png"), help="Picture to write.", flags=("-o",))
    items: int = option(8, help="Training items to show.", min=1, max=64)
    size: int = option(384, help="Side of each image in pixels.", min=64, max=1024)
    random_flip: bool = option(True, help="Mirror half of the images, as --random-flip in training does.")
    random_scale: bool = option(True, help="Magnify as --random-scale in training does.")
    random_trans: bool = option(True, help="Shift as --random-trans in training does.")
    seed: int = option(0, help="Seed of the choice.", min=0)
