"""``jiff demo``."""

from __future__ import annotations

from jiff.options.demo import DemoConfig
from jiff_cli.console import Console
from jiff_cli.spec.command import config_command


@config_command(DemoConfig, runs_networks=True)
def command(config: DemoConfig, console: Console) -> None:
    """Do the whole job on free data: scans, preparation, training, reconstruction, measurement, report.

    Each stage prints the command line that repeats it. Run again, the demo keeps what is complete.
    """
    from jiff.pipelines.demo import run_demo

    report = run_demo(config, console.progress)
    meshes = [path for path in report.outputs if path.endswith(".glb")]
    console.finish(report, what="stages", next_command=["jiff", "view", *meshes[:4]] if meshes else None)
