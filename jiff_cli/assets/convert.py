"""``jiff assets convert``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from jiff.base.config import option
from jiff.base.errors import OutputError
from jiff_cli.console import Console
from jiff_cli.spec.command import config_command


@dataclass(frozen=True)
class ConvertConfig:
    """Options of ``jiff assets convert``."""

    source: Path = option(
        help="Published checkpoint (.pth), or own network file (.safetensors).", positional=True
    )
    target: Path = option(
        help="File to write: .safetensors from a .pth and the other way round.", positional=True
    )
    kind: Literal["shape", "color_coarse", "color_fine"] | None = option(
        None, help="Which network it is; seen from its tensors when left out."
    )
    overwrite: bool = option(False, help="Replace the target when it exists.")


@config_command(ConvertConfig)
def command(config: ConvertConfig, console: Console) -> None:
    """Convert a checkpoint between the published .pth format and jiff's safetensors."""
    from jiff.pipelines.convert import convert_checkpoint

    if config.target.exists() and not config.overwrite:
        raise OutputError(f"{config.target}: exists already; choose another name or give --overwrite.")
    with console.progress.task("Converting", total=1) as bar:
        report = convert_checkpoint(config.source, config.target, config.kind)
        bar.advance()
    console.say(f"{report.kind}: {report.parameters / 1e6:.1f} million parameters.")
    console.finish(wrote=[report.target])
