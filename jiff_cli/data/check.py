"""``jiff data check``."""

from __future__ import annotations

from jiff.options.check import CheckConfig
from jiff_cli.console import Console
from jiff_cli.spec.command import config_command


@config_command(CheckConfig)
def command(config: CheckConfig, console: Console) -> None:
    """Check raw scans (units, axes, closed, texture), a processed set (complete, silhouettes, faces) or a test folder.

    The exit status is 1 when something must be mended.
    """
    from jiff.data.layout import ProcessedSet
    from jiff.pipelines.check import run_check

    report = run_check(config, console.progress)
    scans = [getattr(item, "facts", {}) for item in report.results.values()]
    following: list[object] = ["jiff", "data", "rescale", "-i", config.root, "-o", f"{config.root}-rescaled"]
    if all(facts.get("prt") and facts.get("rescaled") for facts in scans):
        following = ["jiff", "data", "render", "-i", config.root, "-o", "PROCESSED"]
    elif all(facts.get("rescaled") for facts in scans):
        following = ["jiff", "data", "prt", "-i", config.root]
    if ProcessedSet(config.root).exists():
        following = ["jiff", "train", "shape", "--dataroot", config.root]
    elif any("findings" in facts for facts in scans):
        following = ["jiff", "data", "face", "-i", config.root]
    console.finish(report, what="subjects", next_command=following)
