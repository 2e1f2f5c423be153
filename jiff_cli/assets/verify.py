"""``jiff assets verify``."""

from __future__ import annotations

from jiff.base.errors import AssetError
from jiff.options.assets import VerifyConfig
from jiff.run.parallel import WorkReport
from jiff_cli.console import Console
from jiff_cli.spec.command import config_command


@config_command(VerifyConfig)
def command(config: VerifyConfig, console: Console) -> None:
    """Check the optional files: present, not empty, checksum where one is published.

    The exit status is 1 when a named file is missing or a file is not what it should be.
    """
    from jiff.assets.registry import ASSETS, get_asset, verify

    chosen = [get_asset(name) for name in config.names] or [asset for asset in ASSETS if asset.find()]
    report = WorkReport()
    for asset in chosen:
        path = asset.find()
        try:
            if path is None:
                raise AssetError(f"{asset.target}: is missing; get it from {asset.source}.")
            report.results[asset.name] = verify(asset, path)
            console.say(f"{asset.name}: {report.results[asset.name]} ({path})")
        except AssetError as error:
            report.failures[asset.name] = str(error)
    console.finish(report, what="files")
