"""Options of ``jiff data rescale``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from jiff.base.config import option
from jiff.options.work import WorkOptions

UpChoice = Literal["auto", "y", "z", "x", "y-down", "z-down", "x-down"]


@dataclass(frozen=True)
class RescaleConfig(WorkOptions):
    """Options of ``run_rescale``."""

    input: Path = option(
        help="Folder of scans: THuman2.0, RenderPeople, or any OBJ, PLY and GLB.",
        flags=("-i",),
        aliases=("--input-dir",),
    )
    out: Path | None = option(
        None,
        help="Folder for the results; without it the scans are changed in place.",
        flags=("-o",),
        aliases=("--output-dir",),
    )
    overwrite: bool = option(False, help="Do again what is done.")
    yaw_deg: float = option(
        0.0,
        help="Turn about the vertical axis, degrees from +z towards +x.",
        aliases=("--yaw",),
        panel="Facing",
    )
    up: UpChoice = option(
        "auto",
        help="Axis of the scans that points up: y or z by the longer side, or the one given.",
        panel="Facing",
    )
    frontal: bool = option(
        False,
        help="First turn each scan to face +z, by its face and its feet; says what decided.",
        panel="Facing",
    )
    detector_model: Path | None = option(
        None, help="YuNet face detector (.onnx) for --frontal; without it the assets folder's, else Haar.",
        panel="Facing",
    )  # fmt: skip
