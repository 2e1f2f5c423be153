"""Batches of a run, loaded in the training process or by processes of their own, however little memory these may share."""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from jiff.base.errors import TrainingError
from jiff.data.people_set import PersonBatch
from jiff.data.sample import Batch
from jiff.models.face_input import FaceInput

if TYPE_CHECKING:
    from jiff.base.progress import Progress
    from jiff.data.dataset import TrainingSet
    from jiff.data.people_set import PeopleSet
    from jiff.data.samplers import BatchOrder

    AnyBatch = Batch | PersonBatch
    AnySet = TrainingSet | PeopleSet

_SHARED_MEMORY = Path("/dev/shm")
_PREFETCH = 2
_HEADROOM = 1.5
"""Of what batches need: faces of other sizes, other processes, pages begun."""


class PipedBatch:
    """A batch as plain arrays, which travel between processes through a pipe instead of shared memory."""

    def __init__(self, batch: AnyBatch) -> None:
        def plain(value: Any) -> Any:
            if isinstance(value, Tensor):
                return value.numpy()
            if isinstance(value, dict):
                return {name: plain(item) for name, item in value.items()}
            return [plain(item) for item in value] if isinstance(value, list) else value

        values = dict(vars(batch))
        face = values.pop("face", None)
        self._kind = type(batch)
        self._face = None if face is None else {name: plain(value) for name, value in vars(face).items()}
        self._rest = {name: plain(value) for name, value in values.items()}

    def unpack(self) -> AnyBatch:
        """Return the batch again; it shares the arrays' memory."""

        def tensors(value: Any) -> Any:
            if isinstance(value, np.ndarray):
                return torch.from_numpy(value)
            if isinstance(value, dict):
                return {name: tensors(item) for name, item in value.items()}
            if isinstance(value, list):
                return [tensors(item) for item in value]
            return value

        rest = {name: tensors(value) for name, value in self._rest.items()}
        if self._face is None:
            return PersonBatch(**rest.pop("tensors"), **rest)
        face = FaceInput(**{name: tensors(value) for name, value in self._face.items()})
        return Batch(face=face, **rest)

    def pin_memory(self) -> AnyBatch:
        """Return the batch in page-locked memory (called by ``DataLoader``)."""
        return self.unpack().pin_memory()


class _Piped:
    """Stacks items and makes them travel; a class, so that loading processes can be handed it."""

    def __init__(self, collate: Callable[[Sequence[Any]], AnyBatch]) -> None:
        self._collate = collate

    def __call__(self, samples: Sequence[Any]) -> PipedBatch:
        return PipedBatch(self._collate(samples))


def _end_worker(error: Exception, item: object) -> None:
    # What a worker cannot hand over is lost, and the training process would wait for it for ever.
    os._exit(1)


def _begin_worker(worker: int) -> None:
    import multiprocessing.queues
    import signal

    import cv2

    # Ctrl-C reaches every process of the terminal; the main one decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    multiprocessing.queues.Queue._on_queue_feeder_error = staticmethod(_end_worker)  # type: ignore[attr-defined]
    # A loader is one core's worth, like its torch threads.
    cv2.setNumThreads(1)


def _tensors_in(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _tensors_in(item)
    elif isinstance(value, list):
        for item in value:
            yield from _tensors_in(item)
    elif isinstance(value, FaceInput):
        yield from _tensors_in(vars(value))


def batch_bytes(batch: AnyBatch) -> int:
    """Return the size of a batch's tensors."""
    return sum(tensor.numel() * tensor.element_size() for tensor in _tensors_in(vars(batch)))


def _shared_memory_suffices(items: AnySet, order: BatchOrder, workers: int) -> bool:
    if not _SHARED_MEMORY.is_dir():
        return True
    first = order.pairs(order.first_step)
    one = items.collate([items[first[0]]])  # type: ignore[list-item]
    size = batch_bytes(one) * len(first)
    # Each worker's batches in the making, and the one that is trained on.
    return shutil.disk_usage(_SHARED_MEMORY).free > _HEADROOM * size * (workers * _PREFETCH + 1)


def open_batches(
    items: AnySet, order: BatchOrder, workers: int, *, pin_memory: bool, progress: Progress
) -> Iterator[Any]:
    """Return the batches of a run in their order.

    Args:
        items: what they are made of.
        order: which items each holds.
        workers: processes that load; 0 loads in this one.
        pin_memory: into page-locked memory.
        progress: is told where little shared memory makes loading slower.

    Raises:
        TrainingError: (from the iterator) a loading process ended.
    """
    if workers == 0 or not len(order):
        return (items.collate([items[pair] for pair in pairs]) for pairs in order)  # type: ignore[misc]
    shared = _shared_memory_suffices(items, order, workers)
    if not shared:
        progress.info(
            f"{_SHARED_MEMORY} is too small for the batches of {workers} loading processes, which pass them through pipes; "
            "more of it (docker run --shm-size 2g) loads faster."
        )
    import cv2

    # Threads of OpenCV do not survive a fork, and a forked loader would wait for them for ever: they end first.
    cv2.setNumThreads(1)
    with warnings.catch_warnings():
        # More loaders than cores is the user's choice.
        warnings.filterwarnings("ignore", message="This DataLoader will create")
        loader = DataLoader(
            items,
            batch_sampler=order,  # type: ignore[arg-type]
            num_workers=workers,
            prefetch_factor=_PREFETCH,
            collate_fn=items.collate if shared else _Piped(items.collate),
            pin_memory=pin_memory,
            worker_init_fn=_begin_worker,
            # Its own generator: the global one must not depend on how the data is loaded.
            generator=torch.Generator().manual_seed(order.seed),
        )
    return _watched(loader)


def _watched(loader: DataLoader[Any]) -> Iterator[Any]:
    try:
        for batch in loader:
            yield batch.unpack() if isinstance(batch, PipedBatch) else batch
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise TrainingError(
            "A process that loads data ended (most often memory, or /dev/shm, ran out); go on with --continue-train and fewer "
            "--num-threads, or 0."
        ) from error
