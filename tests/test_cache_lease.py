"""Caches have owners: what a running process uses stays, the rest can be deleted, least recently used first."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tiny_set import make_set

from jiff.base.errors import ImageError, UsageError
from jiff.base.progress import NullProgress
from jiff.data.cache_clean import cache_entries, cache_state, clean_caches
from jiff.data.cache_lease import CacheLease, claims
from jiff.data.color_samples import ColorPoolConfig
from jiff.data.data_config import DataConfig
from jiff.data.dataset import TrainingSet
from jiff.data.image_store import ImageStore
from jiff.data.labels import LabelPoolConfig
from jiff.data.layout import ProcessedSet
from jiff.data.set_images import decode_image, read_uv_positions
from jiff.options.check import CheckConfig
from jiff.pipelines.check import run_check


def _entry(dataset: ProcessedSet, name: str, size: int = 1000, age: float = 0.0) -> Path:
    path = dataset.cache("s0") / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size)
    os.utime(path, (1e9 - age, 1e9 - age))
    return path


def _lease_of(dataset: ProcessedSet, **content: object) -> Path:
    path = dataset.caches / ".use" / "other.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    entry = {"host": platform.node(), "pid": os.getpid(), "started": None, "entries": ["s0/a"], **content}
    path.write_text(json.dumps(entry))
    return path


def test_what_a_process_uses_stays(tmp_path: Path) -> None:
    dataset = ProcessedSet(tmp_path)
    used, unused = _entry(dataset, "a"), _entry(dataset, "b")
    with CacheLease(dataset) as lease:
        assert claims(dataset).opening
        assert clean_caches(dataset).freed_bytes == 0, "until it has named them, any may be its own"
        lease.hold([used])
        state = clean_caches(dataset)
        assert (state.total_bytes, state.in_use_bytes, state.freed_bytes) == (1000, 1000, 1000)
        assert used.exists() and not unused.exists()
    assert not (dataset.caches / ".use").exists()
    assert clean_caches(dataset).freed_bytes == 1000 and not used.exists()


def test_a_budget_keeps_what_was_used_last(tmp_path: Path) -> None:
    dataset = ProcessedSet(tmp_path)
    old, new, newest = (_entry(dataset, name, age=age) for name, age in (("c", 300), ("a", 200), ("b", 100)))
    assert [entry.path.name for entry in cache_entries(dataset)] == ["c", "a", "b"]
    assert clean_caches(dataset, keep_bytes=2500).freed_bytes == 1000 and not old.exists()
    with CacheLease(dataset) as lease:
        lease.hold([new])
    assert clean_caches(dataset, keep_bytes=1000).freed_bytes == 1000
    assert new.exists() and not newest.exists(), "the lease was its last use"


def test_leases_of_ended_processes_hold_nothing(tmp_path: Path) -> None:
    dataset = ProcessedSet(tmp_path)
    ended = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True
    )
    path = _lease_of(dataset, pid=int(ended.stdout))
    assert claims(dataset).entries == frozenset() and not path.exists()
    # The number belongs to another process by now.
    path = _lease_of(dataset, started="another time")
    assert claims(dataset).entries == frozenset()
    # Of another machine: while it is renewed.
    path = _lease_of(dataset, host="elsewhere", pid=1)
    assert claims(dataset).entries == {"s0/a"}
    os.utime(path, (1e9, 1e9))
    assert claims(dataset).entries == frozenset() and not path.exists()
    _lease_of(dataset).write_text("{half")
    assert not claims(dataset).opening


def test_a_lease_on_a_missing_set_makes_nothing(tmp_path: Path) -> None:
    with CacheLease(ProcessedSet(tmp_path / "typo")):
        assert list(tmp_path.iterdir()) == []
    (tmp_path / "empty").mkdir()
    with CacheLease(ProcessedSet(tmp_path / "empty")):
        pass
    assert list((tmp_path / "empty").iterdir()) == []


def _config(stage: str) -> DataConfig:
    return DataConfig(
        stage=stage,  # type: ignore[arg-type]
        load_size=64,
        load_size_fine=96,
        labels=LabelPoolConfig(near=4000, fine=500, uniform=500, volume=500, face=500),
        colors=ColorPoolConfig(points=600, face=200),
    )


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> ProcessedSet:
    return make_set(tmp_path_factory.mktemp("data"), subjects=2)


@pytest.mark.parametrize("stage", ["shape", "color_fine"])
def test_two_trainings_with_other_seeds_keep_each_others_caches(dataset: ProcessedSet, stage: str) -> None:
    """Regression: the second one deleted the caches of the first."""
    config = _config(stage)
    one = TrainingSet(dataset, ["s0", "s1"], config)
    first = one[(0, 0)]
    seeded = dataclasses.replace(
        config,
        seed=1,
        labels=dataclasses.replace(config.labels, seed=1),
        colors=dataclasses.replace(config.colors, seed=1),
    )
    two = TrainingSet(dataset, ["s0", "s1"], seeded)
    entries = {*one.cache_entries(), *two.cache_entries()}
    assert len(entries) > len(one.cache_entries()) and all(entry.exists() for entry in entries)
    again = TrainingSet(dataset, ["s0", "s1"], config)
    assert again.cache_entries() == one.cache_entries()
    np.testing.assert_array_equal(again[(0, 0)].points_world, first.points_world)


def test_caches_of_older_sources_go(dataset: ProcessedSet, tmp_path: Path) -> None:
    shutil.copytree(dataset.root, tmp_path / "set")
    copy = ProcessedSet(tmp_path / "set")
    config = _config("shape")
    before = TrainingSet(copy, ["s0"], config).cache_entries()
    path = copy.geometry("s0")
    path.write_bytes(path.read_bytes() + b"\n")
    with CacheLease(copy) as lease:
        lease.hold(before)
        kept = TrainingSet(copy, ["s0"], config).cache_entries()
        assert all(entry.exists() for entry in before), "another training still maps them"
    path.write_bytes(path.read_bytes() + b"\n")
    after = TrainingSet(copy, ["s0"], config).cache_entries()
    assert len({*before, *kept, *after}) > len(after)
    assert not any(entry.exists() for entry in {*before, *kept} - set(after))


def test_large_images_count_as_sources_of_large_images(dataset: ProcessedSet, tmp_path: Path) -> None:
    """Regression: a RENDER_1024 drawn again was not seen."""
    shutil.copytree(dataset.root, tmp_path / "set")
    copy = ProcessedSet(tmp_path / "set")
    views = copy.views("s0")[:1]
    for get, old in ((copy.render_hi, copy.render), (copy.mask_hi, copy.mask)):
        get("s0", views[0]).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(old("s0", views[0]), get("s0", views[0]))
    first = ImageStore(copy, "s0", views, 520, cache=True).cache_entry
    os.utime(copy.render_hi("s0", views[0]), (1e9, 1e9))
    assert ImageStore(copy, "s0", views, 520, cache=True).cache_entry != first
    small = ImageStore(copy, "s0", views, 64, cache=True).cache_entry
    os.utime(copy.render_hi("s0", views[0]), (2e9, 2e9))
    assert ImageStore(copy, "s0", views, 64, cache=True).cache_entry == small


def test_check_tells_and_cleans(dataset: ProcessedSet, tmp_path: Path) -> None:
    shutil.copytree(dataset.root, tmp_path / "set")
    copy = ProcessedSet(tmp_path / "set")
    TrainingSet(copy, ["s0", "s1"], _config("shape"))
    progress = NullProgress()
    run_check(CheckConfig(copy.root, jobs=1), progress)
    assert any("of caches" in text and "--clean deletes these" in text for text in progress.infos)
    run_check(CheckConfig(copy.root, jobs=1, clean=True), progress)
    assert cache_state(copy).total_bytes == 0 and any("deleted" in text for text in progress.infos)
    (tmp_path / "scans").mkdir()
    (tmp_path / "scans" / "a.obj").write_text("v 0 0 0\n")
    with pytest.raises(UsageError, match="holds scans"):
        run_check(CheckConfig(tmp_path / "scans", clean_to=1.0), progress)


def test_images_that_claim_too_much_are_refused(tmp_path: Path) -> None:
    import cv2
    import pyexr
    from PIL import Image

    Image.new("L", (12_000, 10_000)).save(tmp_path / "a.png")
    with pytest.raises(ImageError, match="claims 12000 x 10000 pixels"):
        decode_image(tmp_path / "a.png", cv2.IMREAD_GRAYSCALE)
    with pytest.raises(ImageError, match="no such file"):
        read_uv_positions(tmp_path / "none.exr")
    (tmp_path / "bad.exr").write_bytes(b"v/1\x01" + b"\0" * 64)
    with pytest.raises(ImageError, match="is damaged"):
        read_uv_positions(tmp_path / "bad.exr")
    pyexr.write(str(tmp_path / "good.exr"), np.ones((4, 4, 3), np.float32))
    assert read_uv_positions(tmp_path / "good.exr").shape == (4, 4, 3)
    # A header that claims 100,000 x 100,000.
    blob = (tmp_path / "good.exr").read_bytes()
    window = np.array([0, 0, 3, 3], "<i4").tobytes()
    assert blob.count(window) >= 1
    (tmp_path / "huge.exr").write_bytes(
        blob.replace(window, np.array([0, 0, 99_999, 99_999], "<i4").tobytes())
    )
    with pytest.raises(ImageError, match=r"claims 100000 x 100000 pixels|is damaged"):
        read_uv_positions(tmp_path / "huge.exr")
