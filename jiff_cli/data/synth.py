"""``jiff data synth``."""

from __future__ import annotations

from jiff.options.synth import SynthConfig
from jiff_cli.console import Console
from jiff_cli.spec.command import config_command


@config_command(SynthConfig)
def command(config: SynthConfig, console: Console) -> None:
    """Write free synthetic scans: clothed, textured people in the folder layout of THuman2.0, in metres.

    The same seed gives the same bytes. Nothing has to be licensed or fetched.
    """
    from jiff.pipelines.synth import run_synth

    report = run_synth(config, console.progress)
    console.finish(
        report,
        what="scans",
        wrote=[config.out],
        next_command=["jiff", "data", "rescale", "-i", config.out, "-o", f"{config.out}-rescaled"],
    )
