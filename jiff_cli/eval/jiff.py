"""``jiff eval jiff``."""

from __future__ import annotations

from jiff.options.evaluate import EvalJiffConfig
from jiff_cli.console import Console
from jiff_cli.spec.command import config_command


@config_command(EvalJiffConfig, published="eval", runs_networks=True)
def command(config: EvalJiffConfig, console: Console) -> None:
    """Reconstruct every image of a test folder with its aligned face as prior."""
    from jiff.pipelines.evaluate import run_eval_jiff

    report = run_eval_jiff(config, console.progress)
    console.finish(report, what="photos", next_command=["jiff", "eval", "metrics", "PRED", "GT"])
