"""The face models by name: the one table that options, fits, alignment and provenance read."""

from __future__ import annotations

from dataclasses import dataclass

from jiff.base.errors import UsageError


@dataclass(frozen=True)
class FaceModelEntry:
    """One face model.

    Attributes:
        name: as ``--model`` takes it.
        help: what it is, a few words.
        licence: sentence that goes with every result made with it.
        loader: "module:function" that returns a ``jiff.face.model.MorphableModel``.
        photo_reader: "module:function" that returns a network which reads its coefficients off a photo, or None where the
            network's files are absent; empty where there is no such network.
    """

    name: str
    help: str
    licence: str
    loader: str
    photo_reader: str = ""


FACE_MODELS = (
    FaceModelEntry(
        "anny", "free, included", "Face prior: anny, CC0.", "jiff.face.models.anny_face:load_anny_face"
    ),
    FaceModelEntry(
        "bfm",
        "Basel Face Model",
        "Face prior: Basel Face Model, research only; see its licence.",
        "jiff.face.models.bfm:load_bfm",
        photo_reader="jiff.face.models.coeff_fit:load_reader",
    ),
    FaceModelEntry(
        "flame", "FLAME", "Face prior: FLAME; see its licence.", "jiff.face.models.flame:load_flame"
    ),
)

DEFAULT_FACE_MODEL = FACE_MODELS[0].name


def face_model_names() -> tuple[str, ...]:
    """Return the names of all face models."""
    return tuple(entry.name for entry in FACE_MODELS)


def face_model_entry(name: str) -> FaceModelEntry:
    """Return the entry called ``name``.

    Raises:
        UsageError: unknown name.
    """
    for entry in FACE_MODELS:
        if entry.name == name:
            return entry
    raise UsageError(f"--model {name}: is not a face model; choose from {', '.join(face_model_names())}.")


def face_model_help() -> str:
    """Return the help of ``--model``."""
    return "Face model: " + ", ".join(f"{entry.name} ({entry.help})" for entry in FACE_MODELS) + "."
