"""``jiff train person``."""

from __future__ import annotations

from jiff.options.train_person import PersonTrainConfig
from jiff_cli.console import Console
from jiff_cli.spec.command import config_command
from jiff_cli.train.show import stage_presets


@config_command(PersonTrainConfig, presets=stage_presets("person"), runs_networks=True)
def command(config: PersonTrainConfig, console: Console) -> None:
    """Train a prior-held person network on photos of 'jiff data photos': shape, face and colour in one.

    The network that 'jiff reconstruct' uses by default was made with --preset default. Ctrl-C saves; --continue-train goes on.
    """
    from jiff.pipelines.train import train_stage
    from jiff_cli.train.show import show_training

    show_training(train_stage(config, console.progress), config, console)
