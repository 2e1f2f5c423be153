"""One photo of a person with the normals of what it shows, as networks of normals learn from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from jiff.base.errors import DatasetError
from jiff.base.files import atomic_path
from jiff.data.person_view import UNREADABLE

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

FORMAT = 1
_MIDDLE, _STEP = 128, 127


@dataclass(frozen=True, eq=False)
class NormalView:
    """One view, cut out around the person: H and W differ.

    Attributes:
        rgb: [H, W, 3] uint8 the photo.
        normals: [H, W, 3] uint8 see ``stored_normals``.
    """

    rgb: NDArray[np.uint8]
    normals: NDArray[np.uint8]


def stored_normals(normals: NDArray[np.floating], there: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return normals [..., 3] (camera frame: x right, y up, z to the camera) as bytes from 1 to 255; 0 where nobody is there."""
    found = np.clip(np.rint(normals * _STEP + _MIDDLE), 1, 255)
    return np.where(there[..., None], found, 0).astype(np.uint8)


def read_normals(stored: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return normals [..., 3] of length one, 0 where nobody is, and the mask [...] of 0 and 1."""
    there = (stored[..., 0] > 0).astype(np.float32)
    normals = (stored.astype(np.float32) - _MIDDLE) / _STEP
    normals /= np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-6)
    return (normals * there[..., None]).astype(np.float32), there


def write_normal_view(path: Path, view: NormalView) -> None:
    """Write a view atomically."""
    arrays: dict[str, Any] = {"rgb": view.rgb, "normals": view.normals}
    with atomic_path(path) as temporary, open(temporary, "wb") as handle:
        np.savez_compressed(handle, format=np.array(FORMAT), **arrays)


def read_normal_view(path: Path) -> NormalView:
    """Read a view.

    Raises:
        DatasetError: missing, damaged, of another version, or of nobody.
    """
    try:
        with open(path, "rb") as handle, np.load(handle, allow_pickle=False) as stored:
            if int(stored["format"]) != FORMAT:
                raise ValueError("format")
            view = NormalView(stored["rgb"], stored["normals"])
            shapes = {item.shape for item in (view.rgb, view.normals)}
            if (
                len(shapes) > 1
                or view.rgb.ndim != 3
                or view.rgb.shape[2] != 3
                or not view.normals[..., 0].any()
            ):
                raise ValueError("shape")
            return view
    except UNREADABLE as error:
        raise DatasetError(
            f"{path}: cannot be read as a photo with normals ({type(error).__name__}); delete it and run `jiff data normals` again."
        ) from error
