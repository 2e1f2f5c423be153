"""Stages on a real ``dask.distributed`` cluster: a killed worker's task is done by another, to the same bytes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from render_scans import write_scan

from jiff.base.errors import AssetError, InputError
from jiff.base.progress import NullProgress
from jiff.options.prt import PrtConfig
from jiff.options.render import RenderConfig
from jiff.options.work import WorkOptions
from jiff.pipelines.prt import run_prt
from jiff.pipelines.render import run_render
from jiff.run import cluster

ROOT = Path(__file__).resolve().parents[1]
_VIEWS = 90


def _start(folder: Path, program: str, *words: str) -> subprocess.Popen:
    command = [sys.executable, "-m", f"distributed.cli.{program}", "--no-dashboard", *words]
    with (folder / f"{program}_{Path(words[-1]).name}.log").open("wb") as log:
        return subprocess.Popen(command, cwd=folder, stdout=log, stderr=subprocess.STDOUT)


def _until(condition, what: str, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


@pytest.fixture
def two_workers(tmp_path: Path) -> Iterator[tuple[Path, list[subprocess.Popen]]]:
    """A scheduler file and the processes of two workers."""
    pytest.importorskip("distributed", reason="the extra 'cluster' is not installed")
    folder = tmp_path / "cluster"
    folder.mkdir()
    file = folder / "scheduler.json"
    started = [
        _start(folder, "dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(file))
    ]
    try:
        _until(file.is_file, "no scheduler")
        common = ["--scheduler-file", str(file), "--no-nanny", "--nthreads", "1", "--host", "127.0.0.1"]
        started += [_start(folder, "dask_worker", *common, "--name", name) for name in ("one", "two")]
        yield file, started[1:]
    finally:
        for process in started:
            process.kill()
            process.wait()


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_a_killed_workers_task_is_done_again_elsewhere(tmp_path: Path, two_workers) -> None:
    scheduler, workers = two_workers
    for name in ("a", "b"):
        write_scan(tmp_path / "scans", name)
    (tmp_path / "scans" / "bad").mkdir()
    (tmp_path / "scans" / "bad" / "bad.obj").write_text("v 0 0 0\n")
    options = ["--size", "128", "--high-size", "256", "--yaw-step", str(360 // _VIEWS)]
    command = [sys.executable, "-m", "jiff_cli", "data", "render", "-i", "scans", "-o", "there", *options]
    # Relative paths, in another folder than the workers'.
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    client = subprocess.Popen(
        [*command, "--scheduler", str(scheduler)], cwd=tmp_path, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip

    def drawn(name: str) -> int:
        return len(list((tmp_path / "there" / "RENDER" / name).glob("[0-9]*.jpg")))

    try:
        _until(
            lambda: (drawn("a") >= 2 and drawn("b") >= 2) or client.poll() is not None, "nothing was drawn"
        )
        os.kill(workers[0].pid, signal.SIGKILL)
        caught = [drawn("a"), drawn("b")]
        output, errors = client.communicate(timeout=120)
    finally:
        client.kill()
    assert all(2 <= count < _VIEWS for count in caught), f"the kill came too late: {caught}\n{errors}"
    assert client.returncode == 1 and "bad.obj" in errors and "2 scans done, 1 failed" in output
    (tmp_path / "scans" / "bad" / "bad.obj").unlink()
    (tmp_path / "scans" / "bad").rmdir()
    local = RenderConfig(
        tmp_path / "scans", tmp_path / "here", size=128, high_size=256, yaw_step=360 // _VIEWS, jobs=1
    )
    assert run_render(local, NullProgress()).ok
    assert tree(tmp_path / "there") == tree(tmp_path / "here")


def test_paths_are_absolute_for_workers_only() -> None:
    near, far = PrtConfig(Path("scans")), PrtConfig(Path("scans"), scheduler="tcp://host:8786")
    assert near.located() is near
    assert far.located().input == Path.cwd() / "scans"
    assert WorkOptions(scheduler="x").located() == WorkOptions(scheduler="x")


def test_a_worker_that_ends_meanwhile_is_one_sentence() -> None:
    class Client:
        def run(self, function):
            raise ConnectionResetError("Connection reset by peer")

    with pytest.raises(InputError, match=r"^x: a worker ended .*Connection reset by peer\); run the same"):
        cluster._checked_workers(Client(), "x", NullProgress())


def test_without_the_extra_one_sentence_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    write_scan(tmp_path, "a", columns=12, rows=6)
    with pytest.raises(AssetError, match=r"pip install 'jiff\[cluster\]'"):
        run_prt(
            PrtConfig(tmp_path, directions=8, scheduler="tcp://127.0.0.1:8786", overwrite=True),
            NullProgress(),
        )


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "nonsense://x", "no-such-host.invalid:1"])
def test_no_scheduler_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    pytest.importorskip("distributed", reason="the extra 'cluster' is not installed")
    monkeypatch.setattr(cluster, "CONNECT_SECONDS", 0.5)
    write_scan(tmp_path, "a", columns=12, rows=6)
    with pytest.raises(InputError, match="no dask scheduler answers there") as caught:
        run_prt(PrtConfig(tmp_path, directions=8, scheduler=address, overwrite=True), NullProgress())
    assert "\n" not in str(caught.value)
