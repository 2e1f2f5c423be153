"""``jiff assets path``."""

from __future__ import annotations

from jiff.options.assets import PathConfig
from jiff_cli.console import Console
from jiff_cli.spec.command import config_command


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
