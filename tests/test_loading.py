"""Loading processes: batches arrive whole however little memory is shared, and a process that dies ends the run."""

from __future__ import annotations

import dataclasses
import os
import shutil
import signal
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from tiny_set import make_set

from jiff.base.errors import TrainingError
from jiff.base.progress import NullProgress
from jiff.data.data_config import DataConfig
from jiff.data.dataset import TrainingSet
from jiff.data.labels import LabelPoolConfig
from jiff.data.sample import Batch, Sample, collate
from jiff.data.samplers import BatchOrder
from jiff.training import loading
from jiff.training.loading import PipedBatch, batch_bytes, open_batches

CONFIG = DataConfig(
    load_size=64,
    num_sample_inout=200,
    num_sample_face=40,
    labels=LabelPoolConfig(near=4000, fine=500, uniform=500, volume=500, face=500),
)
ORDER = BatchOrder(length=9, batch_size=2, seed=0, first_step=0, last_step=4)


@pytest.fixture(scope="module")
def items(tmp_path_factory: pytest.TempPathFactory) -> TrainingSet:
    dataset = make_set(tmp_path_factory.mktemp("set"), held_out=0)
    return TrainingSet(dataset, dataset.subjects(), CONFIG)


def _same(one: Batch, two: Batch) -> bool:
    tensors = ("images", "calibs", "points_world", "targets")
    faces = zip(one.face.vertices_world, two.face.vertices_world)
    return (
        all(torch.equal(getattr(one, name), getattr(two, name)) for name in tensors)
        and one.subjects == two.subjects
        and torch.equal(one.face.box_world, two.face.box_world)
        and all(torch.equal(a, b) for a, b in faces)
    )


def test_little_shared_memory_takes_pipes(items: TrainingSet, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = list(open_batches(items, ORDER, 0, pin_memory=False, progress=NullProgress()))
    plenty = NullProgress()
    monkeypatch.setattr(loading, "_shared_memory_suffices", lambda *_: True)
    shared = list(open_batches(items, ORDER, 1, pin_memory=False, progress=plenty))
    monkeypatch.undo()
    usage = shutil.disk_usage("/")
    small = usage._replace(free=100_000)
    monkeypatch.setattr(loading, "_SHARED_MEMORY", Path("/tmp"))
    monkeypatch.setattr(loading.shutil, "disk_usage", lambda _: small)
    progress = NullProgress()
    piped = list(open_batches(items, ORDER, 1, pin_memory=False, progress=progress))
    assert any("too small for the batches of 1 loading processes" in text for text in progress.infos)
    assert not plenty.infos and len(expected) == len(shared) == len(piped) == 4
    assert all(_same(a, b) and _same(a, c) for a, b, c in zip(expected, shared, piped))
    # Training writes into nothing of it, but a writable tensor is what it takes.
    assert piped[0].images.add_(1) is not None


def test_a_batch_survives_the_pipe(items: TrainingSet) -> None:
    batch = collate([items[(0, 0)], items[(0, 4)]])
    again = PipedBatch(batch).unpack()
    assert _same(batch, again) and batch_bytes(again) == batch_bytes(batch) > 2 * 3 * 64 * 64 * 4


class Ending(TrainingSet):
    """A set whose loading processes end while they load."""

    def __getitem__(self, pair: tuple[int, int]) -> Sample:
        if pair[0] == 0 and torch.utils.data.get_worker_info() is not None:
            time.sleep(0.2)
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__getitem__(pair)


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_a_loading_process_that_dies_ends_the_run(items: TrainingSet) -> None:
    ending = Ending(items.dataset, items.subjects, CONFIG)
    with pytest.raises(TrainingError, match="A process that loads data ended"):
        list(open_batches(ending, ORDER, 1, pin_memory=False, progress=NullProgress()))


class Unsendable(TrainingSet):
    """A set whose items cannot be handed over, as where shared memory runs out."""

    def __getitem__(self, pair: tuple[int, int]) -> Sample:
        sample = super().__getitem__(pair)
        return dataclasses.replace(sample, subject=(lambda: "no pickle"))  # type: ignore[arg-type]


def test_what_cannot_be_handed_over_ends_the_run(items: TrainingSet) -> None:
    """Regression: the batch was lost in the worker's queue and the run waited for it for ever."""
    unsendable = Unsendable(items.dataset, items.subjects, CONFIG)
    with pytest.raises(TrainingError, match="A process that loads data ended"):
        list(open_batches(unsendable, ORDER, 1, pin_memory=False, progress=NullProgress()))


@pytest.mark.timeout(120)
def test_loaders_start_after_opencv_used_threads(items: TrainingSet) -> None:
    """Regression: a loader forked after OpenCV had started threads waited for them for ever."""
    cv2.setNumThreads(2)
    cv2.GaussianBlur(np.zeros((1500, 1500), np.float32), (0, 0), 5.0)
    batches = list(open_batches(items, ORDER, 1, pin_memory=False, progress=NullProgress()))
    assert len(batches) == 4 and cv2.getNumThreads() == 1
