"""The PRT files beside a scan: ``bounce/bounce0.txt`` (rows of 9) and ``bounce/face.npy`` (its triangles)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jiff.base.errors import InputError
from jiff.base.files import atomic_folder, write_json
from jiff.render.sh import SH_COUNT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

BOUNCE_FOLDER = "bounce"
_COEFFICIENTS = "bounce0.txt"
_FACES = "face.npy"
STAMP_FILE = "stamp.json"
# Six decimals are a thousandth of the estimator's noise.
_ROW = " ".join(["%.6f"] * SH_COUNT) + "\n"


@dataclass(frozen=True)
class Prt:
    """Transfer of a scan.

    Attributes:
        coefficients: [N, 9] float32.
        faces: [F, 3] int64 rows of ``coefficients`` for the scan's triangles, in the scan's order.
    """

    coefficients: NDArray[np.float32]
    faces: NDArray[np.int64]

    def corners(self) -> NDArray[np.float32]:
        """[F, 3, 9] coefficients of each triangle's corners."""
        return self.coefficients[self.faces]


def bounce_folder(mesh_path: Path) -> Path:
    """Return where the PRT of a scan lies: ``bounce`` beside its mesh file."""
    return Path(mesh_path).parent / BOUNCE_FOLDER


def has_prt(folder: Path) -> bool:
    """Tell whether ``folder`` holds both PRT files (they are written together)."""
    return (folder / _COEFFICIENTS).is_file() and (folder / _FACES).is_file()


def write_prt(
    folder: Path,
    coefficients: NDArray[np.floating],
    faces: NDArray[np.integer],
    stamp: Mapping[str, Any] | None = None,
) -> None:
    """Write both files so that either both are new or none is.

    Args:
        folder: the ``bounce`` folder; it is replaced.
        coefficients: [N, 9].
        faces: [F, 3].
        stamp: with what they were made, see ``jiff.run.stage``.

    Raises:
        OutputError: the folder cannot be written.
    """
    text = (_ROW * len(coefficients)) % tuple(np.asarray(coefficients, dtype=np.float64).ravel().tolist())
    with atomic_folder(folder) as temporary:
        (temporary / _COEFFICIENTS).write_text(text, encoding="ascii", newline="\n")
        np.save(temporary / _FACES, np.asarray(faces, dtype=np.int64))
        if stamp is not None:
            write_json(temporary / STAMP_FILE, dict(stamp))


def read_prt(folder: Path, face_count: int | None = None) -> Prt:
    """Read the PRT of a scan, also one written by the published script.

    Args:
        folder: the ``bounce`` folder.
        face_count: triangles of the scan; None leaves the agreement unchecked.

    Raises:
        InputError: missing or damaged files, or PRT of another mesh.
    """
    remedy = "run `jiff data prt --overwrite` on the scans"
    text, face_file = folder / _COEFFICIENTS, folder / _FACES
    if not has_prt(folder):
        raise InputError(
            f"{folder}: lacks {_COEFFICIENTS} or {_FACES}; run `jiff data prt` on the scans first."
        )
    try:
        values = np.array(text.read_bytes().split(), dtype=np.float32)
        faces = np.load(face_file, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{folder}: its PRT cannot be read ({error}); {remedy}.") from error
    if values.size == 0 or values.size % SH_COUNT or not np.isfinite(values).all():
        raise InputError(f"{text}: does not hold rows of nine finite numbers; {remedy}.")
    coefficients = values.reshape(-1, SH_COUNT)
    if faces.ndim != 2 or faces.shape[1] != 3 or faces.dtype.kind not in "iu":
        raise InputError(f"{face_file}: is not a list of triangles; {remedy}.")
    faces = faces.astype(np.int64)
    if len(faces) and (faces.min() < 0 or faces.max() >= len(coefficients)):
        raise InputError(f"{face_file}: refers to rows that {_COEFFICIENTS} does not have; {remedy}.")
    if face_count is not None and len(faces) != face_count:
        raise InputError(
            f"{folder}: was made for a mesh of {len(faces)} triangles, but the scan has {face_count}; {remedy}."
        )
    return Prt(coefficients, faces)
