"""Training items: time of one on one core, and memory of loader processes over an epoch.

The set is a generated one: an ellipsoid per subject with 512-px images, faces and UV maps, as large as a scan's files
where that matters (labelled points, image and face mesh sizes). Memory is read in every process, early (all items were seen
once) and late, each time the least of many readings: batches on their way come and go. ``growth`` is what many epochs
leave behind.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

import torch
from torch.utils.data import DataLoader

from benchmarks.row import Row
from benchmarks.set_of_people import write_set
from jiff.data.augment import AugmentConfig
from jiff.data.data_config import DataConfig
from jiff.data.dataset import TrainingSet
from jiff.data.labels import LabelPoolConfig
from jiff.data.sample import collate
from jiff.data.samplers import BatchOrder
from jiff.training.memory import children, memory_bytes, private_bytes

_MEBI = 1 << 20
_SEED = 0


def _open(root: Path, stage: str, size: int, cache: bool) -> TrainingSet:
    dataset = write_set(root)
    config = DataConfig(
        stage=stage,  # type: ignore[arg-type]
        load_size=size,
        load_size_fine=2 * size,
        augment=AugmentConfig(random_flip=True, random_scale=True, random_trans=True),
        labels=LabelPoolConfig(),
        cache=cache,
    )
    return TrainingSet(dataset, dataset.subjects(), config)


def _item_seconds(items: TrainingSet, count: int) -> list[float]:
    times = []
    for number in range(count):
        begin = time.process_time()
        items[(number, number % len(items))]
        times.append(time.process_time() - begin)
    return times


def _memory(items: TrainingSet, batches: int, workers: int) -> dict[str, list[float]]:
    """Return memory in MiB, early and late: of all processes, and of the loaders' own data."""
    order = BatchOrder(
        length=len(items), batch_size=4, seed=_SEED, first_step=0, last_step=batches, serial=False
    )
    loader = DataLoader(items, batch_sampler=order, num_workers=workers, collate_fn=collate)  # type: ignore[arg-type]
    # Loaders end before the last batches are taken.
    last = batches - 2 * workers - 1
    windows = {"early": range(batches // 4, batches // 2), "late": range(3 * batches // 4, last)}
    read: dict[str, list[tuple[list[int], list[int]]]] = {name: [] for name in windows}
    for number, _ in enumerate(loader):
        for name, window in windows.items():
            if number in window:
                pids = sorted(children())
                total = [memory_bytes() or 0, *(memory_bytes(pid) or 0 for pid in pids)]
                read[name].append((total, [private_bytes(pid) or 0 for pid in pids]))

    def least(name: str, place: int) -> float:
        # Of every process by itself: buffers of batches on their way come and go.
        return sum(min(sizes) for sizes in zip(*(pair[place] for pair in read[name]))) / _MEBI

    return {key: [least(name, place) for name in windows] for place, key in enumerate(("all", "private"))}


def run(quick: bool) -> list[Row]:
    """Time items of every stage at 512 px (128 when ``quick``), from kept and from compressed images; measure memory."""
    torch.set_num_threads(1)
    import cv2

    cv2.setNumThreads(1)
    size, count = (128, 10) if quick else (512, 100)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        # First, while the process that the loaders are copies of is small.
        batches = 64 if quick else 400
        memory = _memory(_open(Path(folder) / "set", "shape", size, False), batches, workers=2)
        for key, what in (
            ("all", "all processes (shared pages in parts)"),
            ("private", "the loaders' own data"),
        ):
            before, after = memory[key]
            rows.append(Row(f"memory of {what} after {batches} batches", after, "MiB", before))
            rows.append(
                Row(
                    f"growth of {what} from the second to the last quarter", after - before, "MiB", target="0"
                )
            )
        for stage in ("shape", "color_coarse", "color_fine"):
            for cache, images in ((True, "kept images"), (False, "JPEG and PNG")):
                items = _open(Path(folder) / "set", stage, size, cache)
                _item_seconds(items, 3)
                median = statistics.median(_item_seconds(items, count)) * 1000
                target = "at most 15" if stage == "shape" and cache else ""
                rows.append(Row(f"{stage} item, {size} px, {images}, one core", median, "ms", target=target))
    return rows
