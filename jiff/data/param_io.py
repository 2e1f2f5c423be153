"""Read and write PARAM records: ``.npy`` files that hold a pickled dict of plain numbers.

Reading goes through an unpickler that can only build numpy arrays, numpy scalars and built-in containers, so that a
file from elsewhere cannot run code. Writing names the modules as numpy 1 did, which every numpy reads.
"""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jiff.base.errors import InputError
from jiff.base.files import write_bytes
from jiff.base.restricted_pickle import PlainUnpickler, settled

if TYPE_CHECKING:
    from collections.abc import Mapping


_MAX_BYTES = 1 << 20
_PLAIN = (int, float, bool, str, np.number, np.bool_)


def _check_plain(value: Any, depth: int = 0) -> None:
    if depth > 8:
        raise pickle.UnpicklingError("its values are nested too deeply")
    if isinstance(value, np.ndarray):
        if value.dtype.hasobject:
            raise pickle.UnpicklingError("it holds an array of objects")
    elif isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise pickle.UnpicklingError("a key is not a string")
            _check_plain(item, depth + 1)
    elif isinstance(value, (list, tuple)):
        for item in value:
            _check_plain(item, depth + 1)
    elif value is not None and not isinstance(value, _PLAIN):
        raise pickle.UnpicklingError(f"it holds a {type(value).__name__}")


def _skip_header(stream: io.BytesIO) -> None:
    """Move past the ``.npy`` header of a 0-d object array; numpy's own parser fails in many ways on damaged ones."""
    magic = stream.read(8)
    width = 2 if magic[6:7] == b"\x01" else 4
    header = stream.read(int.from_bytes(stream.read(width), "little"))
    fields = b"".join(header.split()).replace(b'"', b"'")
    if not magic.startswith(b"\x93NUMPY") or any(
        word not in fields for word in (b"'descr':'|O'", b"'shape':()")
    ):
        raise pickle.UnpicklingError("it is not a .npy file of one record")


def read_param(path: Path | str) -> dict[str, Any]:
    """Read a PARAM record.

    Args:
        path: ``.npy`` file of a pickled dict, as published or as ``write_param`` makes it.

    Returns:
        Name -> number, string, array, list or dict of such.

    Raises:
        InputError: missing, damaged, or holding anything but plain numbers, strings, arrays and containers.
    """
    path = Path(path)
    try:
        size = path.stat().st_size
        if size > _MAX_BYTES:
            raise InputError(
                f"{path}: is too large for a PARAM record ({size} bytes); render the view again."
            )
        stream = io.BytesIO(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); render the view again.") from error
    try:
        _skip_header(stream)
        record = settled(PlainUnpickler(stream).load())
        if not isinstance(record, dict):
            raise pickle.UnpicklingError("it is not a dict")
        _check_plain(record)
    except (
        pickle.UnpicklingError, ValueError, TypeError, EOFError, AttributeError, IndexError, KeyError,
        MemoryError, OverflowError, ImportError, RecursionError,
    ) as error:  # fmt: skip
        cause = " ".join(str(error).split())
        raise InputError(
            f"{path}: is not a PARAM record of plain numbers ({cause}); do not trust it, render the view again."
        ) from error
    return record


def encode_param(record: Mapping[str, Any]) -> bytes:
    """Return the bytes of a PARAM file: same record, same bytes, whichever numpy writes them."""
    _check_plain(dict(record))
    holder = np.empty((), dtype=object)
    holder[()] = dict(record)
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": "|O", "fortran_order": False, "shape": ()})
    # Protocol 3 writes module names between newlines, without lengths, so that renaming one is safe.
    blob = pickle.dumps(holder, protocol=3)
    stream.write(blob.replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n"))
    return stream.getvalue()


def write_param(path: Path | str, record: Mapping[str, Any]) -> None:
    """Write a PARAM record atomically; plain numbers, strings, arrays and containers only."""
    write_bytes(path, encode_param(record))
