"""``jiff train color-coarse``."""

from __future__ import annotations

from jiff.options.train import TrainConfig
from jiff_cli.console import Console
from jiff_cli.spec.command import config_command
from jiff_cli.train.show import stage_presets


@config_command(
    TrainConfig,
    published="train",
    fixed={"stage": "color_coarse"},
    presets=stage_presets("color_coarse"),
    runs_networks=True,
)
def command(config: TrainConfig, console: Console) -> None:
    """Train the coarse colour network; it reads the features of a trained shape network.

    Without --shape-checkpoint that of the run's own shape stage. Ctrl-C saves; --continue-train goes on.
    """
    from jiff.pipelines.train import train_stage
    from jiff_cli.train.show import show_training

    show_training(train_stage(config, console.progress), config, console)
