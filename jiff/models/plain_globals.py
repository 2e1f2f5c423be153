"""Plain values that trainings keep beside weights, and that PyTorch's restricted reader may make: none of them runs code."""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np


def plain_globals() -> list[Any]:
    """Return what ``torch.serialization.safe_globals`` takes: NumPy scalars and arrays, their types, and option records.

    NumPy 1 and 2 name the function that makes a scalar differently; files of both are read by either.
    """
    core = np.core if np.lib.NumpyVersion(np.__version__) < "2.0.0" else np._core  # type: ignore[attr-defined]
    kinds = (np.float64, np.float32, np.float16, np.int64, np.int32, np.bool_)
    names = [
        (getattr(core.multiarray, maker), f"numpy.{place}.multiarray.{maker}")
        for place in ("core", "_core")
        for maker in ("scalar", "_reconstruct")
    ]
    dtypes = {type(np.dtype(kind)) for kind in kinds}
    return [*names, np.dtype, np.ndarray, *dtypes, argparse.Namespace]
