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

from jiff.errors import InputError
from jiff.files import write_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

_MAX_BYTES = 1 << 20
_ARRAY_MODULES = ("numpy.core.multiarray", "numpy._core.multiarray")
_BUFFER_MODULES = ("numpy.core.numeric", "numpy._core.numeric")
_NUMBER_CODES = ("b1", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8")
_PLAIN = (int, float, bool, str, np.number, np.bool_)


class _Dtype:
    """Stands in for ``numpy.dtype``, whose own state setter trusts its input with memory."""

    def __init__(self, code: str, *_: object) -> None:
        if code != "O8" and code != "O" and code not in _NUMBER_CODES:
            raise pickle.UnpicklingError(f"an array of type {str(code)[:8]}")
        self.code = code
        self.order = "="

    def __setstate__(self, state: Any) -> None:
        if state[1] not in ("<", ">", "=", "|") or any(part is not None for part in state[2:5]):
            raise pickle.UnpicklingError("a structured array")
        self.order = state[1]

    @property
    def is_object(self) -> bool:
        return self.code.startswith("O")

    def real(self) -> np.dtype[Any]:
        return np.dtype(("=" if self.order == "|" else self.order) + self.code)


class _Array:
    """Stands in for ``numpy.ndarray`` until the whole record is read."""

    value: Any = None

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, fortran, data = state
        if not isinstance(dtype, _Dtype):
            raise pickle.UnpicklingError("an array without a type")
        if dtype.is_object:
            if shape != () or not isinstance(data, list) or len(data) != 1:
                raise pickle.UnpicklingError("an array of objects")
            self.value = data[0]
        else:
            self.value = _number_array(data, dtype, shape, "F" if fortran else "C")


def _number_array(data: Any, dtype: _Dtype, shape: Any, order: str) -> NDArray[Any]:
    if not isinstance(data, (bytes, bytearray)) or dtype.is_object or order not in ("C", "F"):
        raise pickle.UnpicklingError("an array whose data are not bytes")
    array = np.frombuffer(data, dtype=dtype.real()).reshape(shape, order="F" if order == "F" else "C")
    return array.astype(array.dtype.newbyteorder("="))


def _reconstruct(*_: object) -> _Array:
    return _Array()


def _scalar(dtype: _Dtype, data: bytes) -> Any:
    return _number_array(data, dtype, (1,), "C")[0]


def _latin1_bytes(text: str, encoding: str) -> bytes:
    """Stand in for ``_codecs.encode``, by which protocol 2 stores bytes."""
    if not isinstance(text, str) or encoding != "latin1":
        raise pickle.UnpicklingError("an encoding other than latin1")
    return text.encode("latin1")


class _PlainUnpickler(pickle.Unpickler):
    """An unpickler that knows stand-ins for numpy arrays and scalars, and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        if module in _ARRAY_MODULES and name in ("_reconstruct", "scalar"):
            return _reconstruct if name == "_reconstruct" else _scalar
        if module in _BUFFER_MODULES and name == "_frombuffer":
            return _number_array
        if module == "numpy" and name in ("ndarray", "dtype"):
            return _Array if name == "ndarray" else _Dtype
        if (module, name) == ("_codecs", "encode"):
            return _latin1_bytes
        raise pickle.UnpicklingError(f"it names {module}.{name}")

    def persistent_load(self, pid: Any) -> Any:
        raise pickle.UnpicklingError("it refers to objects outside the file")


def _settled(value: Any, depth: int = 0) -> Any:
    """Return ``value`` with stand-ins replaced by their arrays."""
    if depth > 8:
        raise pickle.UnpicklingError("its values are nested too deeply")
    if isinstance(value, _Array):
        return _settled(value.value, depth + 1)
    if isinstance(value, dict):
        return {key: _settled(item, depth + 1) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_settled(item, depth + 1) for item in value)
    return value


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
        record = _settled(_PlainUnpickler(stream).load())
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
