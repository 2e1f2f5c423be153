"""``jiff reconstruct``."""

from __future__ import annotations

from jiff.pipelines.reconstruct import ReconstructConfig
from jiff_cli.command import config_command
from jiff_cli.console import Console


@config_command(ReconstructConfig)
def command(config: ReconstructConfig, console: Console) -> None:
    """Turn one photo, or a folder of photos, into coloured meshes with the face prior."""
    from jiff.pipelines.reconstruct import run_reconstruct

    report = run_reconstruct(config, console.progress)
    meshes = sorted(path for path in report.outputs if path.endswith(".glb"))
    console.finish(report, what="photos", next_command=["jiff", "view", *meshes[:4]] if meshes else None)
