"""``jiff assets list``."""

from __future__ import annotations

import json

from jiff.options.assets import ListConfig
from jiff_cli.console import Console
from jiff_cli.spec.command import config_command


@config_command(ListConfig)
def command(config: ListConfig, console: Console) -> None:
    """List every optional file: there or not, what it is for, its licence, where to get it.

    jiff works without any of them.
    """
    from jiff.assets.folders import assets_dir
    from jiff.assets.registry import ASSETS

    found = [(asset, asset.find()) for asset in ASSETS]
    shown = [(asset, path) for asset, path in found if not (config.missing and path and asset.complete(path))]
    if config.json:
        rows = [
            {
                "name": asset.name,
                "path": str(path) if path else None,
                "complete": path is not None and asset.complete(path),
                "belongs": str(assets_dir() / asset.pattern),
                "purpose": asset.purpose,
                "without": asset.without,
                "licence": asset.licence,
                "source": asset.source,
                "fetchable": asset.fetchable,
            }
            for asset, path in shown
        ]
        console.out(json.dumps(rows, indent=2))
        return
    for asset, path in shown:
        how = "jiff assets fetch " + asset.name if asset.fetchable else asset.source
        console.out(f"{asset.name}: {asset.state(path)} ({asset.purpose}; licence: {asset.licence})")
        if path:
            console.out(f"    {path}")
        else:
            console.out(f"    belongs at {assets_dir() / asset.pattern}")
            console.out(f"    from {how}; without it {asset.without}")
