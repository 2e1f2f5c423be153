"""Options of ``jiff data icp``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from jiff.base.config import option
from jiff.options.work import WorkOptions


@dataclass(frozen=True)
class IcpConfig(WorkOptions):
    """Options of ``run_icp``."""

    input: Path = option(
        help="Processed set whose faces were fitted.", flags=("-i",), aliases=("--input-dir",)
    )
    box_margin: float = option(
        0.08, help="Border of the face box, as a share of the face's height.", min=0, max=1
    )
    overwrite: bool = option(False, help="Refine again what was refined.")
