"""Arrays on disk that processes share: opened where they are used, passed between processes by their path."""

from __future__ import annotations

import math
import tokenize
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jiff.base.errors import DatasetError

if TYPE_CHECKING:
    from numpy.typing import NDArray


def _map(path: Path) -> NDArray[np.generic]:
    """Map a ``.npy`` file read-only, and close it again.

    NumPy's own mapping keeps the file open. A worker reads several files of each subject and most systems let a process
    open 1024: the 526 scans of THuman2.0 are too many.
    """
    # Preparation reads mesh copies beside this file's users and needs no torch.
    import torch

    with open(path, "rb") as handle:
        version = np.lib.format.read_magic(handle)
        read = (
            np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        )
        shape, fortran, dtype = read(handle)
        offset = handle.tell()
    if fortran or dtype.hasobject:
        raise ValueError("it is not a plain array")
    size = offset + math.prod(shape) * dtype.itemsize
    if path.stat().st_size < size:
        raise ValueError("it is cut off")
    if size == offset:
        array = np.zeros(shape, dtype)
    else:
        storage = torch.UntypedStorage.from_file(str(path), shared=False, nbytes=size)
        raw = torch.empty(0, dtype=torch.uint8).set_(storage).numpy()  # type: ignore[arg-type]
        array = raw[offset:].view(dtype).reshape(shape)
    array.flags.writeable = False
    return array


class MappedArray:
    """A read-only memory-mapped ``.npy`` file; pickling keeps the path, not the data."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._array: NDArray[Any] | None = None

    @property
    def array(self) -> NDArray[Any]:
        """The mapped array.

        Raises:
            DatasetError: the file is missing or damaged.
        """
        if self._array is None:
            try:
                self._array = _map(self.path)
            except (OSError, ValueError, RuntimeError, SyntaxError, tokenize.TokenError) as error:
                raise DatasetError(
                    f"{self.path}: the cached array is damaged ({error}); delete this file."
                ) from error
        return self._array

    def __len__(self) -> int:
        return len(self.array)

    def __getitem__(self, key: Any) -> NDArray[Any]:
        """Return a copy in memory of the chosen part."""
        return np.array(self.array[key])

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "_array": None}
