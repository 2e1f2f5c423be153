"""``jiff eval jiff``."""

from __future__ import annotations

from jiff.options.evaluate import EvalJiffConfig
from jiff_cli.console import Console
from jiff_cli.spec.command import config_command


@config_command(EvalJiffConfig, published="eval", runs_networks=True)
def command(config: EvalJiffConfig, console: Console) -> None:
    """Reconstruct every image of a test folder with its aligned face as prior, or with its body by a prior-held network.

    Without a checkpoint the installed prior-held network is used; it reads what 'jiff data body' fitted.
    """
    from jiff.pipelines.held import run_eval

    report = run_eval(config, console.progress)
    console.finish(report, what="photos", next_command=["jiff", "eval", "metrics", "PRED", "GT"])
