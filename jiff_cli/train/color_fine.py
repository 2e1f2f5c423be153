"""``jiff train color-fine``."""

from __future__ import annotations

from jiff.pipelines.train import TrainConfig
from jiff_cli.command import config_command
from jiff_cli.console import Console


@config_command(
    TrainConfig,
    published="train",
    fixed={"stage": "color_fine"},
    required=("load_netg_checkpoint_path", "load_netc_coarse_checkpoint_path"),
)
def command(config: TrainConfig, console: Console) -> None:
    """Train the fine colour network; it reads the features of the shape and the coarse colour network.

    Ctrl-C saves; --continue-train goes on.
    """
    from jiff.pipelines.train import train_stage

    from jiff_cli.train.show import show_training

    show_training(train_stage(config, console.progress), config, console)
