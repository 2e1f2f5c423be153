"""``jiff train normals``."""

from __future__ import annotations

from jiff.options.train_normals import NormalsTrainConfig
from jiff_cli.console import Console
from jiff_cli.spec.command import config_command


@config_command(NormalsTrainConfig, runs_networks=True)
def command(config: NormalsTrainConfig, console: Console) -> None:
    """Train a network of normals on photos of 'jiff data normals': what gives meshes their folds, collars and hems.

    Validation is the mean angle in degrees. Ctrl-C saves; --continue-train goes on.
    """
    from jiff.pipelines.train import train_stage
    from jiff_cli.train.show import show_training

    show_training(train_stage(config, console.progress), config, console)
