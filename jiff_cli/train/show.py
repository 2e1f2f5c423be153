"""What the training commands share: their presets, and what they say at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from jiff.options.presets import preset_names, preset_values
from jiff.options.train import TrainConfig
from jiff.options.train_normals import NormalsTrainConfig
from jiff_cli.spec.config_file import Presets

if TYPE_CHECKING:
    from jiff.options.training_run import TrainingRun
    from jiff.pipelines.train import TrainReport
    from jiff_cli.console import Console

_FOLLOWING = {"shape": "color-coarse", "color_coarse": "color-fine"}


def stage_presets(stage: str) -> Presets:
    """Return the presets of a training stage."""
    return Presets(tuple(preset_names(stage)), lambda name: preset_values(name, stage))


def next_command(config: TrainingRun) -> list[object]:
    """Return the words of the command that usually follows a stage."""
    if isinstance(config, NormalsTrainConfig):
        best = config.folder / "best.safetensors"
        return ["jiff", "assets", "convert", best, config.folder / "half.safetensors", "--half"]
    if not isinstance(config, TrainConfig):
        return ["jiff", "reconstruct", "PHOTO", "--checkpoint", config.checkpoints_path / config.name]
    following = _FOLLOWING.get(config.stage)
    run = config.checkpoints_path / config.name
    if following is None:
        return ["jiff", "eval", "pifu", "-i", "TEST", "--checkpoint", run]
    words: list[object] = ["jiff", "train", following, "--dataroot", config.dataroot]
    words += ["--checkpoints-path", config.checkpoints_path, "--name", config.name]
    return [*words, "--network", config.network]


def show_training(report: TrainReport, config: TrainingRun, console: Console) -> None:
    """Name the checkpoints, the last validation and the next command.

    Raises:
        typer.Exit: status 130 when Ctrl-C ended the run.
    """
    console.say(f"{report.steps} steps in {report.seconds / 60:.1f} min.")
    metrics = report.best_metrics or report.metrics
    if metrics:
        console.say("Validation: " + ", ".join(f"{name} {value:.4g}" for name, value in metrics.items()))
    if report.failures:
        console.error(
            f"{len(report.failures)} subjects or files could not be used ({report.skipped} items were replaced):"
        )
        for failure in report.failures[:20]:
            console.error(f"  {failure}")
    if report.interrupted:
        console.say(f"Saved {report.latest}")
        console.error("Interrupted; the same command with --continue-train goes on.")
        raise typer.Exit(130)
    console.finish(
        wrote=[report.best, report.latest, report.folder / "log.csv"], next_command=next_command(config)
    )
