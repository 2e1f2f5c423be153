"""``jiff train color-fine``."""

from __future__ import annotations

from jiff.options.train import TrainConfig
from jiff_cli.console import Console
from jiff_cli.spec.command import config_command
from jiff_cli.train.show import stage_presets


@config_command(
    TrainConfig,
    published="train",
    fixed={"stage": "color_fine"},
    presets=stage_presets("color_fine"),
    runs_networks=True,
)
def command(config: TrainConfig, console: Console) -> None:
    """Train the fine colour network; it reads the features of the shape and the coarse colour network.

    Without --shape-checkpoint and --coarse-checkpoint those of the run's own stages.
    Ctrl-C saves; --continue-train goes on.
    """
    from jiff.pipelines.train import train_stage
    from jiff_cli.train.show import show_training

    show_training(train_stage(config, console.progress), config, console)
