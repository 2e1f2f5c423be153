"""``jiff eval pifu``."""

from __future__ import annotations

from jiff.options.evaluate import EvalPifuConfig
from jiff_cli.console import Console
from jiff_cli.spec.command import config_command


@config_command(EvalPifuConfig, published="eval", runs_networks=True)
def command(config: EvalPifuConfig, console: Console) -> None:
    """Reconstruct every image + mask of a test folder without the face prior.

    Its meshes are what 'jiff eval align' aligns the faces to.
    """
    from jiff.pipelines.evaluate import run_eval_pifu

    report = run_eval_pifu(config, console.progress)
    console.finish(report, what="photos", next_command=["jiff", "data", "face", "-i", config.input])
