"""Ctrl-C ends a parallel batch soon: items that nobody has begun are dropped."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from jiff.base.progress import NullProgress, Task
from jiff.run.parallel import run_items


def slow(path: Path) -> None:
    """Leave a file after a moment."""
    time.sleep(0.1)
    path.write_text("done")


class _InterruptedTask:
    def advance(self, steps: float = 1) -> None:
        raise KeyboardInterrupt

    def describe(self, text: str) -> None:
        return None

    def show(self, figures: object) -> None:
        return None


class InterruptedProgress(NullProgress):
    """Stands for a user who presses Ctrl-C when the first item is done."""

    @contextmanager
    def task(self, name: str, total: float | None = None) -> Iterator[Task]:
        yield _InterruptedTask()


def test_items_not_begun_are_dropped(tmp_path: Path) -> None:
    items = [(f"{index}", tmp_path / f"{index}.txt") for index in range(300)]
    with pytest.raises(KeyboardInterrupt):
        run_items(slow, items, jobs=2, progress=InterruptedProgress(), title="Slow")
    for worker in multiprocessing.active_children():
        worker.join(timeout=60)
    assert 1 <= len(list(tmp_path.iterdir())) < 200
