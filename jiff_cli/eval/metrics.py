"""``jiff eval metrics``."""

from __future__ import annotations

from jiff.pipelines.metrics import MetricsConfig
from jiff_cli.command import config_command
from jiff_cli.console import Console


@config_command(MetricsConfig)
def command(config: MetricsConfig, console: Console) -> None:
    """Measure reconstructions against ground truth: Chamfer, point-to-surface, normals, IoU; body and face."""
    from jiff.pipelines.metrics import run_metrics

    report = run_metrics(config, console.progress)
    console.finish(report, what="meshes")
