"""``jiff data frame``."""

from __future__ import annotations

from jiff.options.frame import FrameConfig
from jiff_cli.console import Console
from jiff_cli.spec.command import config_command


@config_command(FrameConfig)
def command(config: FrameConfig, console: Console) -> None:
    """Find the person of each photo and frame them as in training: the test folder that faces and evaluation begin with.

    Each photo becomes <name>.png, <name>_mask.png, <name>_framing.json (where it lies in the photo) and <name>_person.json
    (landmarks of body and face in photo pixels). Look at previews/<name>.png.
    """
    from jiff.pipelines.frame import run_frame

    report = run_frame(config, console.progress)
    console.finish(report, what="photos", next_command=["jiff", "data", "face", "-i", config.out])
