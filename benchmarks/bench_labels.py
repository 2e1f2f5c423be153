"""Labelled points of a training item: a gather from the pool against the published work for every item.

The twin reads the OBJ, samples its surface, moves the samples, adds uniform ones and tests them all with
``trimesh``'s ``contains``: as many as the published code draws to keep 5000.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.process import in_worker
from benchmarks.row import Row, best_seconds
from benchmarks.scans import NAME, write_scan
from jiff.base.files import make_folder
from jiff.data.labels import BOX_MAX_WORLD, BOX_MIN_WORLD, LabelPoolConfig, label_pool
from jiff.data.layout import ProcessedSet

_POINTS, _SIGMA = 5000, 5.0


def _published_item(path: Path, seed: int) -> int:
    import trimesh

    rng = np.random.default_rng(seed)
    mesh = trimesh.load(path, process=False, maintain_order=True, skip_materials=True, force="mesh")
    surface, _ = trimesh.sample.sample_surface(mesh, 4 * _POINTS, seed=seed)
    near = surface + rng.normal(scale=_SIGMA, size=surface.shape)
    uniform = rng.uniform(BOX_MIN_WORLD, BOX_MAX_WORLD, (_POINTS // 4, 3))
    return int(mesh.contains(np.concatenate([near, uniform])).sum())


def _prepare(root: Path) -> None:
    label_pool(ProcessedSet(root), NAME, LabelPoolConfig())


def run(quick: bool) -> list[Row]:
    """Time both ways on one scan; ``quick`` takes a small one."""
    with tempfile.TemporaryDirectory() as folder:
        path = write_scan(Path(folder), quick)
        dataset = ProcessedSet(Path(folder) / "set")
        make_folder(dataset.geometry(NAME).parent)
        path.rename(dataset.geometry(NAME))
        path = dataset.geometry(NAME)
        twin = best_seconds(lambda: _published_item(path, 0), 1 if quick else 3)
        _, build, peak = in_worker(_prepare, dataset.root)
        pool = label_pool(dataset, NAME, LabelPoolConfig())
        rng = np.random.default_rng(0)
        pool.sample(rng, _POINTS)
        items = 20 if quick else 200
        begin = time.perf_counter()
        for _ in range(items):
            pool.sample(rng, _POINTS)
        ours = (time.perf_counter() - begin) / items
    return [
        Row(f"{_POINTS} labelled points of an item", ours, "s", twin, twin / ours, "100 times faster" if not quick else ""),
        Row("the pool, once per scan", build, "s", twin, twin / build),
        Row("memory of the worker", peak, "MiB", target="under 2 GB"),
    ]  # fmt: skip
