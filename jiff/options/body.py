"""Options of ``jiff data body``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from jiff.base.config import option
from jiff.options.work import WorkOptions


@dataclass(frozen=True)
class BodyConfig(WorkOptions):
    """Options of ``run_body``."""

    input: Path = option(
        help="Test folder with <name>.png and <name>_mask.png.", flags=("-i",), aliases=("--input-dir",)
    )
    overlays: bool = option(
        True, help="Write overlays/<name>_body.png: the body in the photo, and from the side."
    )
    overwrite: bool = option(False, help="Fit again what is complete.")
    names: tuple[str, ...] = ()
    """People of the test folder to work on; empty for all."""
