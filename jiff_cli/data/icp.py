"""``jiff data icp``."""

from __future__ import annotations

from jiff.options.icp import IcpConfig
from jiff_cli.console import Console
from jiff_cli.spec.command import config_command


@config_command(IcpConfig)
def command(config: IcpConfig, console: Console) -> None:
    """Refine the fitted face meshes of a processed set against the scans (point-to-plane, trimmed).

    Run it after 'jiff data face'; a second run changes nothing.
    """
    from jiff.pipelines.icp import run_icp

    report = run_icp(config, console.progress)
    console.finish(
        report, what="subjects", wrote=[config.input], next_command=["jiff", "data", "check", config.input]
    )
