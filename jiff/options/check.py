"""Options of ``jiff data check``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from jiff.base.config import option


@dataclass(frozen=True)
class CheckConfig:
    """Options of ``run_check``."""

    root: Path = option(help="Folder of scans, a processed set, or a test folder.", positional=True)
    json: Path | None = option(None, help="Write all findings to this JSON file.")
    contact_sheet: Path | None = option(None, help="Write a PNG with pictures of each subject.")
    html: Path | None = option(None, help="Write an HTML page with verdicts, reasons and pictures.")
    face: bool | None = option(None, help="Demand face files; by default when any subject has them.")
    silhouettes: int = option(4, help="Views per subject compared with the mesh.", min=1, max=360)
    clean: bool = option(
        False,
        help="Delete caches of the set that no running training uses; they are made again where needed.",
    )
    clean_to: float | None = option(
        None,
        help="Delete the least recently used of them until the caches take no more than this many GB.",
        min=0,
    )
    jobs: int = option(
        0, help="Processes; 0 means one per core, fewer where memory is short.", flags=("-j",), min=0
    )
