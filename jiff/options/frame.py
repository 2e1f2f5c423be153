"""Options of ``jiff data frame``, and those of every command that takes photos."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from jiff.base.config import option
from jiff.base.errors import UsageError

_MASK = "Mask"


@dataclass(frozen=True, kw_only=True)
class PhotoOptions:
    """Whom to take out of a photo, and how they are found."""

    person: int | None = option(
        None,
        help="Which person, counted from the left, where a photo shows several; a --view names its own.",
        min=1,
    )
    partial: bool = option(False, help="Take people of whom head or feet are outside the photo.")
    detector_model: Path | None = option(
        None,
        help="YuNet detector file (.onnx), which looks for faces where the person networks did not.",
        panel="Face",
    )
    matting_model: Path | None = option(
        None,
        help="U2-Net or ISNet file (.onnx) that finds the person where no mask is given, instead of the person networks.",
        panel=_MASK,
    )
    matting_kind: Literal["u2net", "isnet"] | None = option(
        None,
        help="Family of --matting-model, which its pictures are made for: u2net (320 pixels) or isnet (1024).",
        panel=_MASK,
    )

    def check_matting(self) -> None:
        """Refuse a network of unknown family.

        Raises:
            UsageError: --matting-model without --matting-kind.
        """
        if self.matting_model is not None and self.matting_kind is None:
            raise UsageError(
                "--matting-model needs --matting-kind u2net (320 pixels) or isnet (1024 pixels); add it."
            )


@dataclass(frozen=True, kw_only=True)
class FrameConfig(PhotoOptions):
    """Options of ``run_frame``."""

    input: Path = option(help="Photo, or folder of photos.", flags=("-i",), aliases=("--input-dir",))
    out: Path = option(help="Test folder to write to.", flags=("-o",))
    overwrite: bool = option(False, help="Frame again what is complete.")

    def __post_init__(self) -> None:
        """Refuse a matting network of unknown family.

        Raises:
            UsageError: --matting-model without --matting-kind.
        """
        self.check_matting()
