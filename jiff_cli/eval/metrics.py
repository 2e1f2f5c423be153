"""``jiff eval metrics``."""

from __future__ import annotations

from jiff.options.metrics import MetricsConfig
from jiff_cli.console import Console
from jiff_cli.spec.command import config_command


@config_command(MetricsConfig)
def command(config: MetricsConfig, console: Console) -> None:
    """Measure reconstructions against ground truth: Chamfer, point-to-surface, normals, IoU; body and face."""
    from jiff.pipelines.metrics import run_metrics

    report = run_metrics(config, console.progress)
    files = config.pred.is_file() and config.gt.is_file()
    console.finish(
        report, what="meshes", next_command=["jiff", "view", config.pred, config.gt] if files else None
    )
