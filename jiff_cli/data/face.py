"""``jiff data face``."""

from __future__ import annotations

from dataclasses import replace

from jiff.options.face import FaceConfig
from jiff_cli.console import Console
from jiff_cli.spec.command import config_command


@config_command(FaceConfig, published="face")
def command(config: FaceConfig, console: Console) -> None:
    """Find faces and fit a 3D face model, on a processed set or on a test folder of photos.

    A processed set gets FACE_REGION, FACE_3DMM and FILE_NUMBER; a test folder gets <name>_region.txt and
    <name>_mesh.obj beside each image. Poor fits are refused and listed.
    """
    from jiff.data.layout import ProcessedSet
    from jiff.pipelines.face import run_face

    if config.input.name == "RENDER":
        # The published command names the images; everything else of the set lies beside them.
        config = replace(config, input=config.input.parent)
    report = run_face(config, console.progress)
    processed = ProcessedSet(config.input).exists()
    following = ["jiff", "data", "icp", "-i", config.input]
    if not processed:
        following = ["jiff", "eval", "align", "--pifu", "RESULTS", "--test", config.input]
    console.finish(
        report, what="subjects" if processed else "photos", wrote=[config.input], next_command=following
    )
