"""``jiff assets fetch``."""

from __future__ import annotations

from jiff.base.errors import JiffError
from jiff.options.assets import FetchConfig
from jiff.run.parallel import WorkReport
from jiff_cli.console import Console
from jiff_cli.spec.command import config_command


@config_command(FetchConfig)
def command(config: FetchConfig, console: Console) -> None:
    """Download the optional files whose licence lets anybody do so; resumed and verified.

    For the others it says where to ask.
    """
    from jiff.assets.fetch import fetch_asset
    from jiff.assets.registry import ASSETS, get_asset

    chosen = [get_asset(name) for name in config.names] or [asset for asset in ASSETS if asset.fetchable]
    report = WorkReport()
    for asset in chosen:
        try:
            path, fetched = fetch_asset(asset, console.progress, overwrite=config.overwrite)
        except JiffError as error:
            report.failures[asset.name] = str(error)
            continue
        if fetched:
            report.results[asset.name] = path
            report.outputs.append(str(path))
        else:
            report.skipped.append(asset.name)
    console.finish(report, what="files", next_command=["jiff", "assets", "list"])
