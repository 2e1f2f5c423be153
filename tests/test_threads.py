"""Threads: as many as there are free cores, none where the user has chosen, and no burning of cores while waiting."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest

from jiff.base import threads
from jiff.base.threads import ThreadGovernor, allowed_cores, free_threads, prepare_waiting


@pytest.mark.parametrize(
    ("most", "cores", "others", "expected"),
    [
        (2, 2.0, 0.0, 2),
        (2, 2.0, 0.3, 2),
        (2, 2.0, 0.7, 1),
        (2, 2.0, 1.0, 1),
        (2, 2.0, 2.0, 1),
        (8, 16.0, 1.0, 8),
        (16, 16.0, 1.0, 15),
        (16, 1.5, 0.0, 1),
    ],
)
def test_threads_that_are_free(most: int, cores: float, others: float, expected: int) -> None:
    assert free_threads(most, cores, others) == expected


def test_the_governor_follows_its_neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    """A neighbour that comes takes a thread, one that goes gives it back."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "TORCH_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    state = {"clock": 100.0, "busy": 50.0, "own": 5.0}
    monkeypatch.setattr(threads, "_busy_seconds", lambda: state["busy"])
    monkeypatch.setattr(threads.time, "monotonic", lambda: state["clock"])
    monkeypatch.setattr(threads.time, "process_time", lambda: state["own"])
    monkeypatch.setattr(threads, "allowed_cores", lambda: 2.0)
    monkeypatch.setattr(threads, "_own_choice", lambda: 2)
    current = [2]
    fake = SimpleNamespace(
        get_num_threads=lambda: current[0], set_num_threads=lambda n: current.__setitem__(0, n)
    )
    monkeypatch.setitem(sys.modules, "torch", fake)
    governor = ThreadGovernor()

    def after(seconds: float, own: float, others: float) -> int:
        state["clock"] += seconds
        state["own"] += own * seconds
        state["busy"] += (own + others) * seconds
        governor.tick()
        return current[0]

    assert after(2.0, 2.0, 0.0) == 2
    assert after(2.0, 1.3, 0.7) == 1, "three threads share two cores"
    assert after(0.5, 1.0, 0.0) == 1, "not looked at yet"
    assert after(2.0, 1.0, 1.0) == 1
    assert after(2.0, 1.0, 0.0) == 2
    governor = ThreadGovernor(window_seconds=5.0)
    assert after(3.0, 1.5, 0.5) == 2, "a short visit"
    assert after(3.0, 2.0, 0.0) == 2, "on the mean of the window there is room"
    assert after(5.0, 1.3, 0.7) == 1
    assert after(5.0, 1.0, 0.0) == 2
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    governor = ThreadGovernor()
    assert after(2.0, 1.0, 1.0) == 2, "the user's choice stays"
    monkeypatch.delenv("OMP_NUM_THREADS")
    governor = ThreadGovernor(chosen=2)
    assert after(2.0, 1.0, 1.0) == 2
    monkeypatch.setattr(threads, "_busy_seconds", lambda: None)
    governor = ThreadGovernor()
    assert after(2.0, 1.0, 1.0) == 2, "systems that do not tell"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc/stat")
def test_busy_seconds_grow_by_what_is_computed() -> None:
    before, own = threads._busy_seconds(), time.process_time()
    while time.process_time() - own < 0.5:
        pass
    after = threads._busy_seconds()
    assert before is not None and after is not None and after - before >= 0.4
    assert 1.0 <= allowed_cores() <= (os.cpu_count() or 1)


def test_waiting_is_settled_before_torch_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
    for name in names:
        monkeypatch.delenv(name, raising=False)
    prepare_waiting()
    assert os.environ["OMP_WAIT_POLICY"] == "PASSIVE" and all(name in os.environ for name in names)
    for name in names[1:]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    prepare_waiting()
    assert os.environ["OMP_WAIT_POLICY"] == "ACTIVE" and "GOMP_SPINCOUNT" not in os.environ


@pytest.mark.parametrize(
    "command", ["train shape", "train color-fine", "eval jiff", "reconstruct", "demo", "eval pifu"]
)
def test_commands_that_run_networks_settle_it(command: str) -> None:
    """In a process of its own: the setting counts only before torch is imported."""
    code = f"""
import os, sys
for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME"):
    os.environ.pop(name, None)
from jiff.base import threads
import jiff_cli.spec.command as made
whole = made.prepare_waiting
def seen():
    assert "torch" not in sys.modules
    whole()
    print("settled")
    raise SystemExit(0)
made.prepare_waiting = seen
from jiff_cli.app import app
app({command.split()!r} + sys.argv[1:])
"""
    more = {
        "reconstruct": ["x.png", "-o", "y"],
        "eval jiff": ["--test-folder-path", "x"],
        "eval pifu": ["--test-folder-path", "x"],
    }
    done = subprocess.run(
        [sys.executable, "-c", code, *more.get(command, [])], capture_output=True, text=True
    )
    assert done.stdout.strip().endswith("settled"), done.stderr
