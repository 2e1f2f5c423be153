"""The inputs and outputs that an ONNX file declares, read without the onnx package.

Field numbers are those of ``onnx.proto3`` (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto3).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

_MODEL_GRAPH = 7
_GRAPH_INITIALIZER, _GRAPH_INPUT, _GRAPH_OUTPUT = 5, 11, 12
_TENSOR_NAME = 8
_VALUE_NAME, _VALUE_TYPE, _TYPE_TENSOR, _TENSOR_SHAPE, _SHAPE_DIM, _DIM_VALUE = 1, 2, 1, 2, 1, 1


@dataclass(frozen=True)
class OnnxHeader:
    """What a network takes and gives.

    Attributes:
        input_shape: of its first input; None for sizes that are free.
        outputs: names, in the file's order.
    """

    input_shape: tuple[int | None, ...]
    outputs: tuple[str, ...]


def _varint(blob: memoryview, place: int) -> tuple[int, int]:
    """Return a base-128 number and the place after it."""
    value = shift = 0
    while True:
        byte = blob[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
        shift += 7
        if shift > 63:
            raise ValueError("a number is too long")


def _fields(blob: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Yield (number, value) of every field of a protobuf message."""
    place = 0
    while place < len(blob):
        key, place = _varint(blob, place)
        kind, value = key & 7, 0
        if kind == 0:
            value, place = _varint(blob, place)
            yield key >> 3, value
            continue
        length = {1: 8, 5: 4}.get(kind)
        if kind == 2:
            length, place = _varint(blob, place)
        if length is None or place + length > len(blob):
            raise ValueError("a field runs past the end")
        yield key >> 3, blob[place : place + length]
        place += length


def _messages(blob: memoryview, number: int) -> list[memoryview]:
    return [value for key, value in _fields(blob) if key == number and isinstance(value, memoryview)]


def _shape(value_info: memoryview) -> tuple[int | None, ...]:
    blobs = [value_info]
    for number in (_VALUE_TYPE, _TYPE_TENSOR, _TENSOR_SHAPE):
        blobs = [inner for blob in blobs for inner in _messages(blob, number)]
    sizes: list[int | None] = []
    for dim in (inner for blob in blobs for inner in _messages(blob, _SHAPE_DIM)):
        values = [value for key, value in _fields(dim) if key == _DIM_VALUE and isinstance(value, int)]
        sizes.append(values[0] if values and values[0] > 0 else None)
    return tuple(sizes)


def read_onnx_header(blob: bytes) -> OnnxHeader:
    """Return the header of an ONNX file's bytes.

    Raises:
        ValueError: these bytes are no ONNX network with an input and an output.
    """
    try:
        graphs = _messages(memoryview(blob), _MODEL_GRAPH)
        if not graphs:
            raise ValueError("there is no graph in it")
        inputs: list[memoryview] = []
        outputs: list[str] = []
        weights: set[bytes] = set()
        for number, value in _fields(graphs[0]):
            if not isinstance(value, memoryview):
                continue
            if number == _GRAPH_INITIALIZER:
                weights.update(bytes(name) for name in _messages(value, _TENSOR_NAME))
            elif number == _GRAPH_INPUT:
                inputs.append(value)
            elif number == _GRAPH_OUTPUT:
                outputs += [bytes(name).decode() for name in _messages(value, _VALUE_NAME)]
        # Old files list their weights among the inputs.
        real = [value for value in inputs if bytes(_messages(value, _VALUE_NAME)[0]) not in weights]
    except (IndexError, UnicodeDecodeError) as error:
        raise ValueError("it ends early or is damaged") from error
    if not real or not outputs:
        raise ValueError("it has no input or no output")
    return OnnxHeader(_shape(real[0]), tuple(outputs))
