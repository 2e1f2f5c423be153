"""Face models and detectors by name, loaded once per process."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from jiff.assets.folders import assets_dir
from jiff.base.errors import UsageError
from jiff.face.detect.detector import FaceDetector, make_detector

if TYPE_CHECKING:
    from jiff.face.model import MorphableModel

MODEL_NAMES = ("anny", "bfm", "flame")


@lru_cache(maxsize=4)
def load_face_model(name: str = "anny") -> MorphableModel:
    """Return the face model called ``name``.

    Raises:
        UsageError: unknown name.
        AssetError: its files are missing or damaged.
    """
    if name == "anny":
        from jiff.face.models.anny_face import load_anny_face

        return load_anny_face()
    if name == "bfm":
        from jiff.face.models.bfm import load_basel, morphable

        return morphable(load_basel())
    if name == "flame":
        from jiff.face.models.flame import build_flame

        path = assets_dir() / "flame" / "generic_model.pkl"
        return build_flame(path, load_detector(), load_face_model("anny"))
    raise UsageError(f"--model {name}: is not a face model; choose from {', '.join(MODEL_NAMES)}.")


@lru_cache(maxsize=4)
def load_detector(path: Path | None = None) -> FaceDetector:
    """Return the detector of a file, or the best one there is (see ``make_detector``)."""
    return make_detector(path)
