"""Run one function over many independent items: progress, failures kept, order of results stable."""

from __future__ import annotations

import multiprocessing
import os
import traceback
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from jiff.base.errors import JiffError, os_sentence
from jiff.run.cluster import run_tasks
from jiff.run.plan import default_jobs, shard_of
from jiff.run.stage import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from jiff.base.progress import Progress
    from jiff.run.plan import WorkPlan

Outcome = tuple[Any, "str | None", "str | None"]
"""Result, failure as one sentence, traceback of an unforeseen failure."""


@dataclass
class WorkReport:
    """What became of each item.

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


def _guarded(function: Callable[..., Any], item: Any) -> Outcome:
    try:
        return function(item), None, None
    except JiffError as error:
        return None, str(error), None
    except OSError as error:
        return None, os_sentence(error), traceback.format_exc()
    except MemoryError:
        return None, "memory ran out; run again with fewer -j.", traceback.format_exc()
    except Exception as error:  # noqa: BLE001 - one bad item must never stop the others
        return None, f"{type(error).__name__}: {error}", traceback.format_exc()


def _verdict(is_complete: Callable[[Any], bool | Verdict], item: Any) -> Verdict:
    try:
        answer = is_complete(item)
    except JiffError:
        # Its files are damaged: the function does them again, or says for this item alone why it cannot.
        return Verdict(False)
    return answer if isinstance(answer, Verdict) else Verdict(answer)


def _say_what_is_redone(again: dict[str, str], title: str, progress: Progress) -> None:
    by_reason: dict[str, list[str]] = {}
    for name, reason in again.items():
        by_reason.setdefault(reason, []).append(name)
    for reason, names in by_reason.items():
        shown = names[0] if len(names) == 1 else f"{len(names)} items ({names[0]}, ...)"
        progress.info(f"{title}: {shown} done again because {reason}")


def add_not_taken(
    report: WorkReport, not_taken: Mapping[str, str], plan: WorkPlan, progress: Progress
) -> None:
    """Count what a folder holds but no stage can take among the failures; of shards each names its own."""
    for name, reason in not_taken.items():
        if plan.shard is None or shard_of(name, plan.shard[1]) == plan.shard[0]:
            report.failures[name] = reason
            progress.warn(reason)


def _limit_threads() -> None:
    # Each worker is one core's worth; libraries that start a thread per core would fight over them.
    os.environ["OMP_NUM_THREADS"] = "1"
    import cv2

    cv2.setNumThreads(1)


def _guarded_elsewhere(function: Callable[..., Any], item: Any) -> Outcome:
    _limit_threads()
    return _guarded(function, item)


def _in_pool(
    function: Callable[..., Any],
    todo: Sequence[tuple[str, Any]],
    processes: int,
    note: Callable[[str, Outcome], None],
) -> list[tuple[str, Any]]:
    """Run items in a pool of processes; return those left over when one of the processes was killed."""
    context = multiprocessing.get_context("spawn")
    left = dict(todo)
    with ProcessPoolExecutor(
        min(processes, len(todo)), mp_context=context, initializer=_limit_threads
    ) as pool:
        futures = {}
        try:
            for name, item in todo:
                futures[pool.submit(_guarded, function, item)] = name
        except BrokenProcessPool:
            # Starting many processes takes a while: the first may be gone before the last item is handed over.
            pass
        try:
            for future in as_completed(futures):
                try:
                    outcome = future.result()
                except BrokenProcessPool:
                    continue
                note(futures[future], outcome)
                del left[futures[future]]
        except BaseException:
            # Ctrl-C must not wait for the items that nobody has begun. Waiting here for the begun ones keeps
            # the end of the block from taking the cancellation back before the pool has seen it.
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    return list(left.items())


def _in_pools(
    function: Callable[..., Any],
    todo: Sequence[tuple[str, Any]],
    processes: int,
    note: Callable[[str, Outcome], None],
    progress: Progress,
) -> None:
    """Run all items, starting another pool when a process of the first was killed.

    Those that were being worked on are tried again one by one: if one of them kills its process once more, it alone
    fails; if none does, there was too little memory for all at once, and half as many go on.
    """
    left = list(todo)
    while left:
        left = _in_pool(function, left, processes, note)
        if not left:
            return
        progress.warn("A worker process was killed (out of memory?); its items are tried again one by one.")
        suspects, left = left[:processes], left[processes:]
        guilty = False
        for name, item in suspects:
            if _in_pool(function, [(name, item)], 1, note):
                guilty = True
                reason = "its worker process was killed (out of memory?); see that the file is sound, or free some memory."
                note(name, (None, reason, None))
        if not guilty and left and processes > 1:
            processes = max(1, processes // 2)
            progress.warn(f"Going on with {processes} process{'es' if processes > 1 else ''} at once.")


def run_items(
    function: Callable[[Any], Any],
    items: Sequence[tuple[str, Any]],
    *,
    jobs: int = 1,
    plan: WorkPlan | None = None,
    progress: Progress,
    title: str,
    is_complete: Callable[[Any], bool | Verdict] | None = None,
) -> WorkReport:
    """Call ``function(item)`` for each ``(name, item)``: here, in spawned processes, or on a cluster.

    Args:
        function: picklable; raises ``JiffError`` for failures that the user can understand.
        items: (name, picklable item) pairs; names are unique.
        jobs: number of processes; 1 runs in this process, 0 means one per core. Not read with ``plan``.
        plan: where to run and which items; those not named in it are left out.
        progress: receives one bar named ``title``, a warning per failure, and what was decided.
        title: what is being done, e.g. ``"Rendering"``.
        is_complete: when given, items for which it is true are skipped; of a ``Verdict`` the reason is said.

    Returns:
        The report; results are in the order of ``items``.

    Raises:
        AssetError, InputError, UsageError: the plan's cluster cannot be used.
    """
    report = WorkReport()
    processes = plan.processes if plan is not None else jobs or default_jobs()
    if plan is not None and plan.shard is not None:
        own = set(plan.names)
        items = [(name, item) for name, item in items if name in own]
        part = f"{title}: shard {plan.shard[0]}/{plan.shard[1]} has {len(items)} of {plan.total} subjects"
        if plan.total:
            progress.info(part if items else f"{part}, so there is nothing to do")
        else:
            # Of the others nothing is there yet, or the folder is the wrong one.
            progress.warn(f"{part} that are there so far, so there is nothing to do.")
    todo, again = [], {}
    for name, item in items:
        verdict = Verdict(False) if is_complete is None else _verdict(is_complete, item)
        if verdict:
            report.skipped.append(name)
        else:
            todo.append((name, item))
            if verdict.reason:
                again[name] = verdict.reason
    _say_what_is_redone(again, title, progress)
    outcomes: dict[str, Outcome] = {}
    if plan is not None and plan.reason and len(todo) > 1:
        started = min(processes, len(todo))
        progress.info(f"{title}: {started} process{'es' if started > 1 else ''}, {plan.reason}")
    with progress.task(title, total=len(todo)) as bar:

        def note(name: str, outcome: Outcome) -> None:
            outcomes[name] = outcome
            if outcome[1] is not None:
                progress.warn(f"{name}: {outcome[1]}")
            bar.describe(name)
            bar.advance()

        if plan is not None and plan.scheduler is not None and todo:
            run_tasks(
                _guarded_elsewhere, function, todo, address=plan.scheduler, progress=progress, note=note
            )
        elif processes == 1 or len(todo) <= 1:
            for name, item in todo:
                bar.describe(name)
                note(name, _guarded(function, item))
        else:
            _in_pools(function, todo, processes, note, progress)
    for name, _ in todo:
        result, failure, detail = outcomes[name]
        if failure is None:
            report.results[name] = result
        else:
            report.failures[name] = failure
            if detail is not None:
                report.details[name] = detail
    return report
