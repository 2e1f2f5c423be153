"""Where a result comes from and how far it can be trusted: the sidecar beside each mesh."""

from __future__ import annotations

from importlib import metadata
from typing import TYPE_CHECKING, Any

from jiff import __version__
from jiff.base.config import to_plain
from jiff.base.errors import InputError
from jiff.base.files import read_json
from jiff.options.face_models import FACE_MODELS

if TYPE_CHECKING:
    from pathlib import Path

    from jiff.inference.networks import NetworkFiles
    from jiff.photo.test_folder import PersonFiles

_PACKAGES = (
    "torch", "numpy", "embreex", "xatlas", "fast-simplification", "manifold3d", "opencv-python-headless",
)  # fmt: skip
_RESULT = (
    "Made with jiff (MIT); a result inherits the terms of the photo and of the data behind the checkpoints."
)
_MODELS = {entry.name: entry.licence for entry in FACE_MODELS}


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def provenance(
    files: NetworkFiles, fingerprints: dict[str, str], options: Any, person: PersonFiles, face: bool
) -> dict[str, Any]:
    """Return what made a result, as plain values.

    Args:
        files: the checkpoints.
        fingerprints: stage -> digest of those that were used.
        options: configuration of the command.
        person: inputs of the result.
        face: whether the face prior was used.
    """
    fit = _read(person.fit) if face else {}
    model = str(fit.get("model", ""))
    notes = [_RESULT, *([_MODELS[model]] if model in _MODELS else [])]
    return {
        "jiff": __version__,
        "checkpoints": {
            stage: {"file": str(getattr(files, stage)), "blake2b": digest}
            for stage, digest in fingerprints.items()
        },
        "options": to_plain(options),
        "versions": {name: version for name in _PACKAGES if (version := _version(name)) is not None},
        "licence_notes": notes,
    }


def quality(person: PersonFiles, face: bool, numbers: dict[str, Any], notes: list[str]) -> dict[str, Any]:
    """Return flags by which results can be sorted.

    Args:
        person: inputs of the result.
        face: whether the face prior was used.
        numbers: of the reconstruction.
        notes: of the reconstruction.
    """
    framing = _read(person.image.with_name(f"{person.name}_framing.json"))
    flags: dict[str, Any] = {
        "watertight": numbers.get("watertight"),
        "pieces": numbers.get("pieces"),
        "face_prior": face,
        "mask": framing.get("mask", "given"),
        "warnings": [*framing.get("notes", []), *notes],
    }
    if face:
        fit = _read(person.fit)
        flags["face_fit"] = {
            key: fit[key] for key in ("model", "evidence", "accepted", "quality") if key in fit
        }
    return flags


def _read(path: Path) -> dict[str, Any]:
    """Return a record that an earlier step left, empty where there is none."""
    if not path.is_file():
        return {}
    try:
        stored = read_json(path)
    except InputError:
        return {}
    return stored if isinstance(stored, dict) else {}
