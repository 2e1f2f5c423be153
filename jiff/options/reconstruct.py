"""Options of ``jiff reconstruct``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jiff.base.config import option
from jiff.options.evaluate import EvalJiffConfig
from jiff.options.face_models import DEFAULT_FACE_MODEL, face_model_help
from jiff.options.frame import PhotoOptions
from jiff.options.inference import FineInferenceConfig
from jiff.options.rig import RigOptions

_FACE = "Face"


@dataclass(frozen=True)
class ReconstructConfig(PhotoOptions, RigOptions, FineInferenceConfig):
    """Options of ``run_reconstruct`` besides the shared ones."""

    input: Path = option(help="Photo (JPEG, PNG, WebP, TIFF) or folder of photos.", positional=True)
    out: Path = option(Path("reconstructed"), help="Folder for the results.", flags=("-o",))
    no_face: bool = option(
        False, help="Leave the face out: plain PIFu, or a body without the photo's face.", panel=_FACE
    )
    model: str = option(DEFAULT_FACE_MODEL, help=face_model_help(), panel=_FACE)
    view: tuple[str, ...] = option(
        (),
        help="A further photo of the person and its turn, YAW:FILE (90 shows the right side, 180 the back), given once"
        " per view; 180:back.jpg:2 means the second person from the left; needs networks trained with --num-views.",
        split=False,
        metavar="YAW:FILE[:PERSON]",
    )

    def __post_init__(self) -> None:
        """Refuse a network of unknown family and options that do nothing.

        Raises:
            UsageError: --matting-model without --matting-kind, or options of a rig without one.
        """
        super().__post_init__()
        self.check_matting()
        self.check_rig(self.format)

    def evaluation(self, **changes: Any) -> EvalJiffConfig:
        """Return the options of the evaluation steps."""
        folders = {"input": self.out / "crops", "out": self.out}
        return self.handed_to(EvalJiffConfig, **{**folders, **changes})
