"""``jiff data rescale``."""

from __future__ import annotations

from jiff.options.rescale import RescaleConfig
from jiff_cli.console import Console
from jiff_cli.spec.command import config_command


@config_command(RescaleConfig)
def command(config: RescaleConfig, console: Console) -> None:
    """Bring scans to the frame of training: 180 units high, feet at 0, centred.

    Without -o the scans are changed in place. Texture, UV and normals are kept.
    """
    from jiff.pipelines.rescale import run_rescale

    report = run_rescale(config, console.progress)
    folder = config.out or config.input
    console.finish(report, what="scans", wrote=[folder], next_command=["jiff", "data", "prt", "-i", folder])
