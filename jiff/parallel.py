"""Run one function over many independent items: progress, failures kept, order of results stable."""

from __future__ import annotations

import multiprocessing
import os
import traceback
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from jiff.errors import JiffError, os_sentence

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jiff.progress import Progress


@dataclass
class BatchReport:
    """What became of each item of a batch.

    Attributes:
        results: item name -> what its function returned.
        skipped: names that were complete already.
        failures: item name -> one sentence that says why.
        details: item name -> traceback of failures that were not a ``JiffError``.
        outputs: paths worth naming to the user.
    """

    results: dict[str, Any] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)
    details: dict[str, str] = field(default_factory=dict)
    outputs: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether nothing failed."""
        return not self.failures


def default_jobs() -> int:
    """Return the number of processor cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return max(1, os.cpu_count() or 1)


def _guarded(function: Callable[..., Any], item: Any) -> tuple[Any, str | None, str | None]:
    try:
        return function(item), None, None
    except JiffError as error:
        return None, str(error), None
    except OSError as error:
        return None, os_sentence(error), traceback.format_exc()
    except Exception as error:  # noqa: BLE001 - one bad item must never stop a batch
        return None, f"{type(error).__name__}: {error}", traceback.format_exc()


def _says_complete(is_complete: Callable[[Any], bool], item: Any) -> bool:
    try:
        return is_complete(item)
    except JiffError:
        # Its files are damaged: the function does them again, or says for this item alone why it cannot.
        return False


def _limit_threads() -> None:
    # Each worker is one core's worth; libraries that start a thread per core would fight over them.
    os.environ["OMP_NUM_THREADS"] = "1"
    import cv2

    cv2.setNumThreads(1)


def run_batch(
    function: Callable[[Any], Any],
    items: Sequence[tuple[str, Any]],
    *,
    jobs: int = 1,
    progress: Progress,
    title: str,
    is_complete: Callable[[Any], bool] | None = None,
) -> BatchReport:
    """Call ``function(item)`` for each ``(name, item)``, in ``jobs`` spawned processes when above 1.

    Args:
        function: picklable; raises ``JiffError`` for failures that the user can understand.
        items: (name, picklable item) pairs; names are unique.
        jobs: number of processes; 1 runs in this process, 0 means one per core.
        progress: receives one bar named ``title`` and a warning per failure.
        title: what is being done, e.g. ``"Rendering"``.
        is_complete: when given, items for which it is true are skipped.

    Returns:
        The report; results are in the order of ``items``.
    """
    report = BatchReport()
    jobs = jobs or default_jobs()
    todo = []
    for name, item in items:
        if is_complete is not None and _says_complete(is_complete, item):
            report.skipped.append(name)
        else:
            todo.append((name, item))
    outcomes: dict[str, tuple[Any, str | None, str | None]] = {}
    with progress.task(title, total=len(todo)) as bar:

        def note(name: str, outcome: tuple[Any, str | None, str | None]) -> None:
            outcomes[name] = outcome
            if outcome[1] is not None:
                progress.warn(f"{name}: {outcome[1]}")
            bar.describe(name)
            bar.advance()

        if jobs == 1 or len(todo) <= 1:
            for name, item in todo:
                bar.describe(name)
                note(name, _guarded(function, item))
        else:
            context = multiprocessing.get_context("spawn")
            with ProcessPoolExecutor(
                min(jobs, len(todo)), mp_context=context, initializer=_limit_threads
            ) as pool:
                futures = {pool.submit(_guarded, function, item): name for name, item in todo}
                try:
                    for future in as_completed(futures):
                        try:
                            note(futures[future], future.result())
                        except BrokenProcessPool:
                            note(
                                futures[future],
                                (
                                    None,
                                    "its worker process was killed (out of memory?); run again with fewer -j.",
                                    None,
                                ),
                            )
                except BaseException:
                    # Ctrl-C must not wait for the items that nobody has begun. Waiting here for the begun ones keeps
                    # the end of the block from taking the cancellation back before the pool has seen it.
                    pool.shutdown(wait=True, cancel_futures=True)
                    raise
    for name, _ in todo:
        result, failure, detail = outcomes[name]
        if failure is None:
            report.results[name] = result
        else:
            report.failures[name] = failure
            if detail is not None:
                report.details[name] = detail
    return report
