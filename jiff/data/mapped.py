"""Arrays on disk that processes share: opened where they are used, passed between processes by their path."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jiff.errors import DatasetError

if TYPE_CHECKING:
    from numpy.typing import NDArray


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
                self._array = np.load(self.path, mmap_mode="r", allow_pickle=False)
            except (OSError, ValueError) as error:
                raise DatasetError(
                    f"{self.path}: the cached array is damaged ({error}); delete this file."
                ) from error
        return self._array

    def __getitem__(self, key: Any) -> NDArray[Any]:
        """Return a copy in memory of the chosen part."""
        return np.array(self.array[key])

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "_array": None}
