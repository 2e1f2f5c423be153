"""``jiff assets convert``."""

from __future__ import annotations

from jiff.base.errors import OutputError
from jiff.options.assets import ConvertConfig
from jiff_cli.console import Console
from jiff_cli.spec.command import config_command


@config_command(ConvertConfig)
def command(config: ConvertConfig, console: Console) -> None:
    """Convert a checkpoint between the published .pth format and jiff's safetensors, or to one of half the size."""
    from jiff.pipelines.convert import convert_checkpoint

    if config.target.exists() and not config.overwrite:
        raise OutputError(f"{config.target}: exists already; choose another name or give --overwrite.")
    with console.progress.task("Converting", total=1) as bar:
        report = convert_checkpoint(config.source, config.target, config.kind, half=config.half)
        bar.advance()
    console.say(f"{report.kind}: {report.parameters / 1e6:.1f} million parameters.")
    console.finish(wrote=[report.target])
