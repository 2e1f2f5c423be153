"""Options of ``jiff reconstruct``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from jiff.base.config import option
from jiff.base.errors import UsageError
from jiff.options.evaluate import EvalJiffConfig
from jiff.options.face_models import DEFAULT_FACE_MODEL, face_model_help
from jiff.options.inference import FineInferenceConfig

_FACE, _MASK = "Face", "Mask"


@dataclass(frozen=True)
class ReconstructConfig(FineInferenceConfig):
    """Options of ``run_reconstruct`` besides the shared ones."""

    input: Path = option(help="Photo (JPEG, PNG, WebP, TIFF) or folder of photos.", positional=True)
    out: Path = option(Path("reconstructed"), help="Folder for the results.", flags=("-o",))
    person: int | None = option(
        None,
        help="Which person, counted from the left, where a photo shows several; a --view names its own.",
        min=1,
    )
    no_face: bool = option(False, help="Leave the face prior out: plain PIFu.", panel=_FACE)
    model: str = option(DEFAULT_FACE_MODEL, help=face_model_help(), panel=_FACE)
    detector_model: Path | None = option(
        None, help="YuNet detector file (.onnx); without it the assets folder's, else Haar.", panel=_FACE
    )

    view: tuple[str, ...] = option(
        (),
        help="A further photo of the person and its turn, YAW:FILE (90 shows the right side, 180 the back), given once"
        " per view; 180:back.jpg:2 means the second person from the left; needs networks trained with --num-views.",
        split=False,
        metavar="YAW:FILE[:PERSON]",
    )
    matting_model: Path | None = option(
        None,
        help="U2-Net or ISNet file (.onnx) that finds the person where no mask is given; GrabCut does without it.",
        panel=_MASK,
    )
    matting_kind: Literal["u2net", "isnet"] | None = option(
        None,
        help="Family of --matting-model, which its pictures are made for: u2net (320 pixels) or isnet (1024).",
        panel=_MASK,
    )

    def __post_init__(self) -> None:
        """Refuse a network of unknown family.

        Raises:
            UsageError: --matting-model without --matting-kind.
        """
        super().__post_init__()
        if self.matting_model is not None and self.matting_kind is None:
            raise UsageError(
                "--matting-model needs --matting-kind u2net (320 pixels) or isnet (1024 pixels); add it."
            )

    def evaluation(self, **changes: Any) -> EvalJiffConfig:
        """Return the options of the evaluation steps."""
        folders = {"input": self.out / "crops", "out": self.out}
        return self.handed_to(EvalJiffConfig, **{**folders, **changes})
