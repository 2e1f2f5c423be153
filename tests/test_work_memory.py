"""Processes that work on many items: bounded by free memory, and what becomes of one that is killed."""

from __future__ import annotations

import os
import signal
import time
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import pytest

from jiff.base import memory
from jiff.base.progress import NullProgress
from jiff.options.work import WorkOptions
from jiff.run import plan as plan_module
from jiff.run.parallel import run_items
from jiff.run.plan import plan_work

GIB = 1 << 30


def test_processes_are_bounded_by_free_memory_unless_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan_module, "default_jobs", lambda: 8)
    monkeypatch.setattr(plan_module, "free_bytes", lambda: 10 * GIB)
    names = [str(k) for k in range(20)]
    plan = plan_work(WorkOptions(), names, worker_gib=3.0)
    assert (plan.processes, plan.threads) == (3, 2)
    assert plan.reason == "as 10.0 GiB of free memory hold no more of 3 GiB each"
    assert plan_work(WorkOptions(), names, worker_gib=1.0).reason == "one per core"
    told = plan_work(WorkOptions(jobs=6), names, worker_gib=3.0)
    assert (told.processes, told.threads, told.reason) == (6, 1, "")
    assert plan_work(WorkOptions(), names, worker_gib=100.0).processes == 1
    assert plan_work(WorkOptions(), names[:2], worker_gib=1.0).threads == 4
    monkeypatch.setattr(plan_module, "free_bytes", lambda: None)
    assert plan_work(WorkOptions(), names, worker_gib=3.0).processes == 8


def test_what_was_chosen_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan_module, "default_jobs", lambda: 4)
    monkeypatch.setattr(plan_module, "free_bytes", lambda: GIB)
    progress = NullProgress()
    plan = plan_work(WorkOptions(), "ab", worker_gib=1.0)
    report = run_items(str.upper, [("a", "a"), ("b", "b")], plan=plan, progress=progress, title="Working")
    assert report.results == {"a": "A", "b": "B"}
    assert progress.infos == ["Working: 1 process, as 1.0 GiB of free memory hold no more of 1 GiB each"]


def test_limits_of_control_groups_count(tmp_path: Path) -> None:
    own, root = tmp_path / "cgroup", tmp_path / "fs"
    job = root / "slurm" / "job_7"
    job.mkdir(parents=True)
    (root / "slurm" / "memory.max").write_text(f"{8 * GIB}\n")
    (root / "slurm" / "memory.current").write_text(f"{6 * GIB}\n")
    (root / "slurm" / "memory.stat").write_text(f"anon 5\ninactive_file {GIB}\n")
    (job / "memory.max").write_text("max\n")
    (job / "memory.current").write_text(f"{GIB}\n")
    own.write_text("0::/slurm/job_7\n")
    assert memory.group_free_bytes(root, own) == 3 * GIB
    (root / "memory" / "a").mkdir(parents=True)
    (root / "memory" / "a" / "memory.limit_in_bytes").write_text(f"{2 * GIB}")
    (root / "memory" / "a" / "memory.usage_in_bytes").write_text(f"{GIB}")
    own.write_text("5:cpu,memory:/a\n0::/nowhere\n")
    assert memory.group_free_bytes(root, own) == GIB
    own.write_text("0::/nowhere\n")
    assert memory.group_free_bytes(root, own) is None
    assert memory.group_free_bytes(root, tmp_path / "absent") is None


def test_free_memory_of_this_machine() -> None:
    free = memory.free_bytes()
    assert free is None or 1 << 20 < free < 1 << 50


def _kill_itself(item: tuple[Path, str]) -> str:
    folder, name = item
    with (folder / name).open("a") as handle:
        handle.write("tried\n")
    if name == "bad":
        os.kill(os.getpid(), signal.SIGKILL)
    return name.upper()


def test_a_scan_that_kills_its_process_fails_alone(tmp_path: Path) -> None:
    names = ["a", "bad", "c", "d", "e"]
    progress = NullProgress()
    report = run_items(
        _kill_itself, [(n, (tmp_path, n)) for n in names], jobs=2, progress=progress, title="Working"
    )
    assert report.results == {n: n.upper() for n in names if n != "bad"}
    assert list(report.failures) == ["bad"] and "its worker process was killed" in report.failures["bad"]
    assert (tmp_path / "bad").read_text() == "tried\ntried\n"
    assert any("tried again one by one" in text for text in progress.warnings)


def _kill_once(item: tuple[Path, str]) -> str:
    folder, name = item
    try:
        (folder / "killed").touch(exist_ok=False)
    except FileExistsError:
        time.sleep(0.3)  # so that some are left when the process of the first is gone
        return name.upper()
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def test_too_little_memory_for_all_at_once_costs_no_item(tmp_path: Path) -> None:
    names = ["a", "b", "c", "d"]
    progress = NullProgress()
    report = run_items(
        _kill_once, [(n, (tmp_path, n)) for n in names], jobs=2, progress=progress, title="Working"
    )
    assert report.ok and len(report.results) == 4
    assert progress.warnings[-1] == "Going on with 1 process at once."


def test_a_process_killed_while_items_are_handed_over_costs_none(monkeypatch: pytest.MonkeyPatch) -> None:
    pools = []

    class Pool:
        def __init__(self, *arguments, **options) -> None:
            self.taken = 0
            pools.append(self)

        def __enter__(self):
            return self

        def __exit__(self, *error) -> None:
            return None

        def submit(self, *call):
            self.taken += 1
            future: Future = Future()
            if self is pools[0]:
                if self.taken > 1:
                    raise BrokenProcessPool("a process ended")
                future.set_exception(BrokenProcessPool("a process ended"))
            else:
                future.set_result(call[0](*call[1:]))
            return future

    monkeypatch.setattr("jiff.run.parallel.ProcessPoolExecutor", Pool)
    progress = NullProgress()
    report = run_items(str.upper, [(n, n) for n in "abcd"], jobs=2, progress=progress, title="Working")
    assert report.results == {"a": "A", "b": "B", "c": "C", "d": "D"} and len(pools) == 4
