"""Options of ``jiff data prt``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from jiff.base.config import option
from jiff.options.work import WorkOptions


@dataclass(frozen=True)
class PrtConfig(WorkOptions):
    """Options of ``run_prt``."""

    input: Path = option(help="Folder of scans.", flags=("-i",))
    directions: int = option(
        40, help="n of the published n x n directions; the default sampler casts n^2 / 16 rays per vertex.",
        flags=("-n",), aliases=("--n-sample",), min=2, max=512,
    )  # fmt: skip
    sampling: Literal["cosine", "uniform"] = option(
        "cosine", help="cosine is better and faster; uniform is the published one."
    )
    overwrite: bool = option(False, help="Compute again what is there.")
    seed: int = option(0, help="Seed of the sampling.", min=0)
