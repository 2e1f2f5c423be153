"""``jiff train check``."""

from __future__ import annotations

from jiff.options.train_check import TrainCheckConfig
from jiff_cli.console import Console
from jiff_cli.spec.command import config_command


@config_command(TrainCheckConfig)
def command(config: TrainCheckConfig, console: Console) -> None:
    """Draw a few training items with mesh outline, samples, face box and face mesh in one picture.

    Look at it before a long run. The exit status is 1 when images and scans disagree.
    """
    from jiff.pipelines.train_check import run_train_check

    report = run_train_check(config, console.progress)
    console.finish(
        report, what="items", next_command=["jiff", "train", "shape", "--dataroot", config.dataroot]
    )
