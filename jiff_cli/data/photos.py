"""``jiff data photos``."""

from __future__ import annotations

from jiff.options.photos import PhotosConfig
from jiff_cli.console import Console
from jiff_cli.spec.command import config_command


@config_command(PhotosConfig)
def command(config: PhotosConfig, console: Console) -> None:
    """Photograph synthetic people and fit bodies to the photos: what 'jiff train person' learns from.

    Every photo shows another pose in another light; masks, landmarks, faces and bodies are found as in users' photos, with
    their errors. The same seed gives the same people.
    """
    from jiff.pipelines.photos import run_photos

    report = run_photos(config, console.progress)
    console.finish(
        report,
        what="people",
        wrote=[config.out],
        next_command=["jiff", "train", "person", "-i", config.out],
    )
