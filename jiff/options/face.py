"""Options of ``jiff data face``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from jiff.base.config import option
from jiff.options.face_models import DEFAULT_FACE_MODEL, face_model_help
from jiff.options.work import WorkOptions

_FIT = "Fit"


@dataclass(frozen=True)
class FaceConfig(WorkOptions):
    """Options of ``run_face``."""

    input: Path = option(
        help="Processed set, or test folder with <name>.jpg|png and <name>_mask.png.",
        flags=("-i",),
        aliases=("--input-dir",),
    )
    model: str = option(DEFAULT_FACE_MODEL, help=face_model_help(), panel=_FIT)
    detector_model: Path | None = option(
        None,
        help="YuNet detector file (.onnx) to use where no <name>_person.json tells the face; without it the person networks, else Haar.",
        panel=_FIT,
    )
    face_mesh: Path | None = option(
        None, help="Folder with <name>.obj, .ply or .glb: use these faces (DECA, FLAME, a scan) instead of a model.",
        aliases=("--face-mesh-dir",), panel=_FIT,
    )  # fmt: skip
    min_visible: float = option(
        0.3, help="Share of the face that a yaw must show to be used in training.", min=0, max=1, panel=_FIT
    )
    box_margin: float = option(
        0.08, help="Border of the face box, as a share of the face's height.", min=0, max=1, panel=_FIT
    )
    detect_yaws: bool = option(
        False, help="List a yaw only if the detector finds the face in its image too.", panel=_FIT
    )
    overlays: bool = option(True, help="Write a picture of each fit.")
    overwrite: bool = option(False, help="Fit again what is complete.")
    names: tuple[str, ...] = ()
    """People of the test folder to work on; empty for all."""
