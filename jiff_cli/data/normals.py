"""``jiff data normals``."""

from __future__ import annotations

from jiff.options.normals import NormalsConfig
from jiff_cli.console import Console
from jiff_cli.spec.command import config_command


@config_command(NormalsConfig)
def command(config: NormalsConfig, console: Console) -> None:
    """Photograph synthetic people in wrinkled clothes with the normals of what is seen: what 'jiff train normals' learns from.

    Wrinkles are drawn at random all over the clothes, so that a network must read folds from the picture. The same seed gives
    the same people.
    """
    from jiff.pipelines.normals import run_normals

    report = run_normals(config, console.progress)
    console.finish(
        report,
        what="people",
        wrote=[config.out],
        next_command=["jiff", "train", "normals", "-i", config.out],
    )
