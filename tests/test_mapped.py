"""Arrays on disk that processes share."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from training_items import CONFIG, POOL, dataset_fixture, same, stage_config  # noqa: F401

from jiff.base.errors import DatasetError, OutputError
from jiff.base.files import atomic_folder
from jiff.data.dataset import TrainingSet
from jiff.data.layout import ProcessedSet
from jiff.data.mapped import MappedArray
from jiff.data.mesh_cache import cached_maps
from jiff.data.sample import collate


@pytest.mark.parametrize("stage", ["shape", "color_fine"])
def test_workers_get_paths_not_data(dataset, stage):
    items = TrainingSet(dataset, ["s0", "s1"], stage_config(stage))
    before = items[(1, 2)]
    sent = pickle.dumps(items)
    # Names of views and files; a face of BFM's size alone has 857 kB.
    assert len(sent) < 5000
    after = pickle.loads(sent)[(1, 2)]  # noqa: S301
    assert same(collate([after]), collate([before]))
    np.testing.assert_array_equal(after.face.vertices_world, before.face.vertices_world)


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="this system does not list open files")
def test_mapped_files_are_not_held_open(dataset):
    items = TrainingSet(dataset, ["s0", "s1", "s2"], stage_config("color_fine"))
    items[(0, 0)]
    before = len(list(Path("/proc/self/fd").iterdir()))
    again = TrainingSet(dataset, ["s0", "s1", "s2"], stage_config("color_fine"))
    for index in range(9):
        again[(0, index)]
    # Many systems let a process open 1024 files; a set of 526 scans has several per scan.
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_mapped_arrays_are_those_of_numpy(tmp_path: Path, rng: np.random.Generator):
    arrays = (
        rng.random((5, 3)),
        rng.integers(0, 9, 7).astype(np.uint8),
        np.zeros((0, 3), np.float32),
        np.array(4),
    )
    for number, array in enumerate(arrays):
        path = tmp_path / f"{number} ö.npy"
        np.save(path, array)
        mapped = MappedArray(path)
        assert mapped.array.dtype == array.dtype and not mapped.array.flags.writeable
        np.testing.assert_array_equal(mapped[...], array)
    rows = MappedArray(tmp_path / "0 ö.npy")
    assert len(rows) == 5
    np.testing.assert_array_equal(rows[[4, 0]], arrays[0][[4, 0]])
    path = tmp_path / "0 ö.npy"
    whole = path.read_bytes()
    garbled = [
        whole.replace(old, new) for old, new in ((b"}", b"1"), (b"<f8", b"<08"), (b"(5, 3)", b"(5, -3"))
    ]
    for content in (whole[:-8], whole[:40], b"", *garbled):
        path.write_bytes(content)
        with pytest.raises(DatasetError, match=r"is damaged .*; delete this file"):
            len(MappedArray(path))
    path.unlink()
    with pytest.raises(DatasetError, match="delete this file"):
        len(MappedArray(path))


def test_two_trainings_may_make_the_same_copy_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    arrays = {"a": np.arange(3), "b": np.ones(2)}

    def store() -> dict[str, MappedArray]:
        return cached_maps(ProcessedSet(tmp_path), "s0", "kind", "key_0", ("a", "b"), lambda: arrays)

    def slower() -> dict[str, np.ndarray]:
        store()
        return {name: array + 1 for name, array in arrays.items()}

    maps = cached_maps(ProcessedSet(tmp_path), "s0", "kind", "key_0", ("a", "b"), slower)
    np.testing.assert_array_equal(maps["a"][...], arrays["a"])

    @contextmanager
    def late(path: Path) -> Iterator[Path]:
        with atomic_folder(path) as temporary:
            yield temporary
        raise OutputError("the folder is not empty.")

    folder = tmp_path / "CACHE" / "s0"
    (folder / "kind_key_0" / "a.npy").unlink()
    monkeypatch.setattr("jiff.data.mesh_cache.atomic_folder", late)
    np.testing.assert_array_equal(store()["a"][...], arrays["a"])
    assert [path.name for path in folder.iterdir()] == ["kind_key_0"]


def test_copies_of_meshes_are_read_without_torch() -> None:
    code = "import sys, jiff.data.mesh_cache; print('torch' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "False"
