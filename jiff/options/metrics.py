"""Options of ``jiff eval metrics``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from jiff.base.config import option

_SAMPLING = "Sampling"


@dataclass(frozen=True)
class MetricsConfig:
    """Options of ``run_metrics``."""

    pred: Path = option(help="Reconstructed mesh, or folder of <name>.obj, .ply or .glb.", positional=True)
    gt: Path = option(help="Scan, folder of scans of the same names, or processed set.", positional=True)
    out: Path | None = option(
        None,
        help="Folder for metrics.json, .csv, .md and .tex; the predictions' folder by default.",
        flags=("-o",),
    )
    align: Literal["none", "depth", "scale", "icp"] = option(
        "none",
        help="Alignment before measuring: none, depth (along the line of sight, which one photo does not tell), scale (height "
        "and centre), icp (scale, then rigid).",
    )
    face_regions: Path | None = option(
        None, help="Folder of <name>_region.txt; a processed set brings its own."
    )
    samples: int = option(50_000, help="Points on each surface.", min=100, panel=_SAMPLING)
    face_samples: int = option(
        20_000, help="Points on each surface around the face.", min=100, panel=_SAMPLING
    )
    volume_spacing_cm: float = option(
        1.5, help="Spacing of the volume samples, cm; at most 2.", min=0.1, max=2.0, panel=_SAMPLING
    )
    all_surfaces: bool = option(
        False, help="Measure surface that cannot be seen from outside too.", panel=_SAMPLING
    )
    seed: int = option(0, help="Seed of the samples.", min=0, panel=_SAMPLING)
    jobs: int = option(0, help="Processes; 0 is one per core.", flags=("-j",), min=0)
