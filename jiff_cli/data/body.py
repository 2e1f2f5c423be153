"""``jiff data body``."""

from __future__ import annotations

from pathlib import Path

from jiff.options.body import BodyConfig
from jiff_cli.console import Console
from jiff_cli.spec.command import config_command


@config_command(BodyConfig)
def command(config: BodyConfig, console: Console) -> None:
    """Fit anny's body to every person of a test folder or processed set: pose, shape, place and how sure each joint is.

    Each person of a test folder gets <name>_body.obj (mesh), <name>_body.npz (vertices, joints), <name>_body.json (pose, shape, residuals).
    Look at overlays/<name>_body.png: the body in the photo, from its left and from behind.

    Each subject of a processed set gets BODY/<subject>/body.json and .obj (the truth of synthetic scans, else a fit to views
    and surface) and views.npz: what the fit to a photo makes of every training view.
    """
    from jiff.data.layout import ProcessedSet
    from jiff.pipelines.body import run_body

    report = run_body(config, console.progress)
    processed = ProcessedSet(config.input).exists()
    following: list[str | Path] = ["jiff", "reconstruct", "PHOTO", "--rig"]
    if processed:
        following = ["jiff", "data", "check", config.input]
    console.finish(report, what="subjects" if processed else "photos", next_command=following)
