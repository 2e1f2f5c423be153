"""Options of ``jiff data body``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from jiff.base.config import option
from jiff.options.work import WorkOptions

_SET = "Processed set"


@dataclass(frozen=True)
class BodyConfig(WorkOptions):
    """Options of ``run_body``."""

    input: Path = option(
        help="Processed set, or test folder with <name>.png and <name>_mask.png.",
        flags=("-i",),
        aliases=("--input-dir",),
    )
    scans: Path | None = option(
        None, help="Folder of `jiff data synth`, where the set does not know it: the truth of synthetic scans.",
        panel=_SET,
    )  # fmt: skip
    views: int = option(
        1, help="Fit every N-th yaw of training as a photo, for the errors that training meets; 0 for none.", min=0,
        max=360, panel=_SET,
    )  # fmt: skip
    overlays: bool = option(
        True, help="Write overlays/<name>_body.png: the body in the photo, and from the side."
    )
    face: bool = option(
        True, help="Test folder: carry the face that `jiff data face` fitted with anny's own face model."
    )
    overwrite: bool = option(False, help="Fit again what is complete.")
    names: tuple[str, ...] = ()
    """People of the test folder to work on; empty for all."""
