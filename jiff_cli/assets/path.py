"""``jiff assets path``."""

from __future__ import annotations

from dataclasses import dataclass

from jiff.config import option
from jiff_cli.command import config_command
from jiff_cli.console import Console


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
    from jiff.asset_registry import get_asset
    from jiff.assets import assets_dir

    if config.name is None:
        console.out(str(assets_dir()))
        return
    asset = get_asset(config.name)
    console.out(str(asset.find() or assets_dir() / asset.pattern))
