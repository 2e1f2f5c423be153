"""``jiff data render``."""

from __future__ import annotations

from jiff.options.render import RenderConfig
from jiff_cli.console import Console
from jiff_cli.spec.command import config_command


@config_command(RenderConfig)
def command(config: RenderConfig, console: Console) -> None:
    """Render scans with PRT to images, masks, camera parameters and UV maps: the processed set.

    No display, GL or GPU is needed. Run it after 'jiff data prt'.
    """
    from jiff.pipelines.render import run_render

    report = run_render(config, console.progress)
    console.finish(
        report, what="scans", wrote=[config.out], next_command=["jiff", "data", "face", "-i", config.out]
    )
