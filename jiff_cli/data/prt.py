"""``jiff data prt``."""

from __future__ import annotations

from jiff.options.prt import PrtConfig
from jiff_cli.console import Console
from jiff_cli.spec.command import config_command


@config_command(PrtConfig)
def command(config: PrtConfig, console: Console) -> None:
    """Compute how each vertex of a scan sees its surroundings (precomputed radiance transfer).

    Writes bounce/bounce0.txt and bounce/face.npy beside each scan. Run it after 'jiff data rescale'.
    """
    from jiff.pipelines.prt import run_prt

    report = run_prt(config, console.progress)
    console.finish(
        report,
        what="scans",
        wrote=[config.input],
        next_command=["jiff", "data", "render", "-i", config.input, "-o", "PROCESSED"],
    )
