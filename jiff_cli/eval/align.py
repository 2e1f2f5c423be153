"""``jiff eval align``."""

from __future__ import annotations

from jiff.options.align import AlignConfig
from jiff_cli.console import Console
from jiff_cli.spec.command import config_command


@config_command(AlignConfig)
def command(config: AlignConfig, console: Console) -> None:
    """Align the face meshes and regions of a test folder to the coarse reconstructions, in place.

    The unaligned mesh is kept as <name>_mesh_unaligned.obj.
    """
    from jiff.pipelines.align import run_align

    report = run_align(config, console.progress)
    console.finish(
        report,
        what="photos",
        wrote=[config.test],
        next_command=["jiff", "eval", "jiff", "-i", config.test, "--checkpoint", "DIR"],
    )
