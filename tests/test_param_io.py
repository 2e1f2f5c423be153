"""PARAM records: round trip, published files, and files that try to run code."""

from __future__ import annotations

import io
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jiff.base.errors import InputError
from jiff.data.param_io import encode_param, read_param, write_param
from jiff.geometry.camera import Camera

RECORD = {
    "sh": np.arange(27.0).reshape(9, 3),
    "ortho_ratio": 0.4,
    "scale": np.float64(1.25),
    "center": np.array([0.5, 90.0, -1.0]),
    "R": np.eye(3),
}


def same(a: dict, b: dict) -> bool:
    return a.keys() == b.keys() and all(np.array_equal(a[k], b[k]) for k in a)


def npy_header() -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": "|O", "fortran_order": False, "shape": ()})
    return stream.getvalue()


def holder(value: object) -> np.ndarray:
    array = np.empty((), dtype=object)
    array[()] = value
    return array


def test_round_trip(tmp_path: Path) -> None:
    write_param(tmp_path / "a.npy", RECORD)
    assert same(read_param(tmp_path / "a.npy"), RECORD)


def test_numpy_reads_what_we_write(tmp_path: Path) -> None:
    write_param(tmp_path / "a.npy", RECORD)
    loaded = np.load(tmp_path / "a.npy", allow_pickle=True).item()
    assert same(loaded, RECORD) and loaded["scale"].dtype == np.float64


def test_old_module_names_are_written() -> None:
    blob = encode_param(RECORD)
    assert b"numpy.core.multiarray" in blob and b"numpy._core" not in blob
    assert blob == encode_param(dict(RECORD))


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_every_protocol_is_read(tmp_path: Path, protocol: int) -> None:
    (tmp_path / "a.npy").write_bytes(npy_header() + pickle.dumps(holder(RECORD), protocol=protocol))
    assert same(read_param(tmp_path / "a.npy"), RECORD)


def test_published_files(shared: Path) -> None:
    for yaw in (0, 36, 180, 288):
        record = read_param(shared / "reference/render/expected/PARAM/0001" / f"{yaw}_0_00.npy")
        assert record["sh"].shape == (9, 3)
        assert Camera.from_param(record).yaw_deg == pytest.approx(yaw, abs=1e-9)


class Evil:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.marker),)


@pytest.mark.parametrize("nested", [False, True])
def test_code_is_refused(tmp_path: Path, nested: bool) -> None:
    marker = tmp_path / "ran"
    value = {**RECORD, "scale": Evil(marker)} if nested else Evil(marker)
    path = tmp_path / "evil.npy"
    path.write_bytes(npy_header() + pickle.dumps(holder(value)))
    with pytest.raises(InputError, match=r"evil\.npy: is not a PARAM record of plain numbers"):
        read_param(path)
    assert not marker.exists()


@pytest.mark.parametrize("value", [[1, 2], {1: 2}, {"a": np.array([None])}, {"a": 1j}, 3.0])
def test_other_contents_are_refused(tmp_path: Path, value: object) -> None:
    path = tmp_path / "odd.npy"
    path.write_bytes(npy_header() + pickle.dumps(holder(value)))
    with pytest.raises(InputError):
        read_param(path)


def test_plain_array_missing_and_huge(tmp_path: Path) -> None:
    np.save(tmp_path / "array.npy", np.zeros(3))
    (tmp_path / "huge.npy").write_bytes(b"\0" * (1 << 20 | 1))
    for name, words in [
        ("array", "not a .npy file of one record"),
        ("none", "cannot be read"),
        ("huge", "too large"),
    ]:
        with pytest.raises(InputError, match=words):
            read_param(tmp_path / f"{name}.npy")


def test_only_plain_values_are_written(tmp_path: Path) -> None:
    with pytest.raises(pickle.UnpicklingError):
        write_param(tmp_path / "a.npy", {"a": Evil(tmp_path)})
    assert not (tmp_path / "a.npy").exists()


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damage_gives_a_sentence_or_a_record(tmp_path: Path, data: st.DataObject) -> None:
    blob = bytearray(encode_param(RECORD))
    for _ in range(data.draw(st.integers(1, 3))):
        blob[data.draw(st.integers(0, len(blob) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(blob)))
    path = tmp_path / "mutant.npy"
    path.write_bytes(bytes(blob[: cut if data.draw(st.booleans()) else len(blob)]))
    try:
        assert isinstance(read_param(path), dict)
    except InputError as error:
        assert str(error).count("\n") == 0 and "mutant.npy" in str(error)
