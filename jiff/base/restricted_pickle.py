"""An unpickler that builds numpy arrays, numpy scalars and built-in containers, and can run nothing."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
from numpy.typing import NDArray

_ARRAY_MODULES = ("numpy.core.multiarray", "numpy._core.multiarray")
_BUFFER_MODULES = ("numpy.core.numeric", "numpy._core.numeric")
_NUMBER_CODES = ("b1", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8")


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


class ArrayStandIn:
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
    native: NDArray[Any] = array.astype(array.dtype.newbyteorder("="))
    return native


def _reconstruct(*_: object) -> ArrayStandIn:
    return ArrayStandIn()


def _scalar(dtype: _Dtype, data: bytes) -> Any:
    return _number_array(data, dtype, (1,), "C")[0]


def _latin1_bytes(text: str, encoding: str) -> bytes:
    """Stand in for ``_codecs.encode``, by which protocol 2 stores bytes."""
    if not isinstance(text, str) or encoding != "latin1":
        raise pickle.UnpicklingError("an encoding other than latin1")
    return text.encode("latin1")


class PlainUnpickler(pickle.Unpickler):
    """An unpickler that knows stand-ins for numpy arrays and scalars, and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        if module in _ARRAY_MODULES and name in ("_reconstruct", "scalar"):
            return _reconstruct if name == "_reconstruct" else _scalar
        if module in _BUFFER_MODULES and name == "_frombuffer":
            return _number_array
        if module == "numpy" and name in ("ndarray", "dtype"):
            return ArrayStandIn if name == "ndarray" else _Dtype
        if (module, name) == ("_codecs", "encode"):
            return _latin1_bytes
        raise pickle.UnpicklingError(f"it names {module}.{name}")

    def persistent_load(self, pid: Any) -> Any:
        raise pickle.UnpicklingError("it refers to objects outside the file")


def settled(value: Any, depth: int = 0) -> Any:
    """Return ``value`` with stand-ins replaced by their arrays."""
    if depth > 8:
        raise pickle.UnpicklingError("its values are nested too deeply")
    if isinstance(value, ArrayStandIn):
        return settled(value.value, depth + 1)
    if isinstance(value, dict):
        return {key: settled(item, depth + 1) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(settled(item, depth + 1) for item in value)
    return value
