"""``jiff demo``."""

from __future__ import annotations

from jiff.pipelines.demo_config import DemoConfig
from jiff_cli.command import config_command
from jiff_cli.console import Console


@config_command(DemoConfig)
def command(config: DemoConfig, console: Console) -> None:
    """Do the whole job on free data: scans, preparation, training, reconstruction, measurement, report.

    Each command line is printed so that it can be repeated. Run again, it keeps what is complete.
    """
    from jiff.pipelines.demo import run_demo

    run_demo(config, console.progress)
    console.finish()
