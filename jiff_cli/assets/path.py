"""``jiff assets path``."""

from __future__ import annotations

from dataclasses import dataclass

from jiff.base.config import option
from jiff_cli.console import Console
from jiff_cli.spec.command import config_command


@dataclass(frozen=True)
class PathConfig:
    """Options of ``jiff assets path``."""

    name: str | None = option(
        None, help="Name from 'jiff assets list'; the whole folder when left out.", positional=True
    )


@config_command(PathConfig)
def command(config: PathConfig, console: Console) -> None:
    """Print the folder of optional files, or where one of them lies or belongs.

    Set JIFF_ASSETS to use another folder.
    """
    from jiff.assets.folders import assets_dir
    from jiff.assets.registry import get_asset

    if config.name is None:
        console.out(str(assets_dir()))
        return
    asset = get_asset(config.name)
    console.out(str(asset.find() or assets_dir() / asset.pattern))
