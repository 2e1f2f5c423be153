"""One photo of a person as prior-held networks learn from it: pictures, maps of the fitted body, labelled points."""

from __future__ import annotations

import tokenize
import zipfile
import zlib
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from jiff.base.errors import DatasetError
from jiff.base.files import atomic_path

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

FORMAT = 1

# What zipfile, zlib and NumPy raise on bytes that are no view; RuntimeError is that of encrypted or newer archives.
UNREADABLE = (
    OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, RuntimeError, SyntaxError, MemoryError,
    tokenize.TokenError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class PersonView:
    """One view, in the frame of framed photos (camera at +z), world units. S is 256.

    Attributes:
        rgb: [S, S, 3] uint8 the framed photo.
        mask: [S, S] uint8.
        maps: [S, S, 6] uint8, see ``BodyPrior.maps``.
        head_rgb, head_mask, head_maps: the same of the close-up of the head.
        head_window: [4] float32 x, y, z of its middle and half its width.
        points: [N, 3] float32 labelled points, carried with the fitted body.
        distance: [N] float16 signed distance to the person, positive inside; inside it is a lower bound.
        prior: [N, 8] float16, see ``PointPrior.stacked``, at the carried points.
        in_head: [N] bool, drawn for the close-up.
        surface: [M, 3] float32 carried points of the surface.
        color: [M, 3] uint8 RGB as lit in the photo.
        surface_prior: [M, 8] float16.
        surface_in_head: [M] bool.
    """

    rgb: NDArray[np.uint8]
    mask: NDArray[np.uint8]
    maps: NDArray[np.uint8]
    head_rgb: NDArray[np.uint8]
    head_mask: NDArray[np.uint8]
    head_maps: NDArray[np.uint8]
    head_window: NDArray[np.float32]
    points: NDArray[np.float32]
    distance: NDArray[np.float16]
    prior: NDArray[np.float16]
    in_head: NDArray[np.bool_]
    surface: NDArray[np.float32]
    color: NDArray[np.uint8]
    surface_prior: NDArray[np.float16]
    surface_in_head: NDArray[np.bool_]


_NAMES = tuple(item.name for item in fields(PersonView))


def write_view(path: Path, view: PersonView) -> None:
    """Write a view atomically."""
    arrays: dict[str, Any] = {name: getattr(view, name) for name in _NAMES}
    with atomic_path(path) as temporary, open(temporary, "wb") as handle:
        np.savez_compressed(handle, format=np.array(FORMAT), **arrays)


def read_view(path: Path) -> PersonView:
    """Read a view.

    Raises:
        DatasetError: missing, damaged, or of another version.
    """
    try:
        with open(path, "rb") as handle, np.load(handle, allow_pickle=False) as stored:
            if int(stored["format"]) != FORMAT:
                raise ValueError("format")
            return PersonView(**{name: stored[name] for name in _NAMES})
    except UNREADABLE as error:
        raise DatasetError(
            f"{path}: cannot be read as a view of a person ({type(error).__name__}); delete it and run `jiff data photos` again."
        ) from error
