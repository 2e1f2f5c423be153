"""``jiff reconstruct``."""

from __future__ import annotations

from jiff.options.reconstruct import ReconstructConfig
from jiff_cli.console import Console
from jiff_cli.spec.command import config_command


@config_command(ReconstructConfig, runs_networks=True)
def command(config: ReconstructConfig, console: Console) -> None:
    """Turn one photo, or a folder of photos, into textured or coloured meshes.

    Without a checkpoint the network that is installed with jiff is used: it clothes a body fitted to the photo. Published
    networks take --checkpoint.
    """
    from jiff.pipelines.reconstruct import run_reconstruct

    report = run_reconstruct(config, console.progress)
    names = sorted([*report.results, *report.skipped])
    kind = "glb" if "glb" in config.format else config.format[0]
    meshes = [config.out / f"{name}.{kind}" for name in names]
    console.finish(report, what="photos", next_command=["jiff", "view", *meshes[:4]] if meshes else None)
