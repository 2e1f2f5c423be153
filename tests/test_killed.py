"""Stages killed at any instant and started again end with the bytes of an uninterrupted run."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import time
from pathlib import Path

import pytest
from face_people import person, write_subject
from render_scans import egg

from jiff.base import files
from jiff.base.files import remove_leftovers
from jiff.base.progress import NullProgress
from jiff.data.layout import ProcessedSet
from jiff.data.scans import find_scans
from jiff.geometry.io.mesh_io import save_mesh
from jiff.options.face import FaceConfig
from jiff.options.icp import IcpConfig
from jiff.options.prt import PrtConfig
from jiff.options.rescale import RescaleConfig
from jiff.pipelines.face import run_face
from jiff.pipelines.icp import run_icp
from jiff.pipelines.prt import run_prt
from jiff.pipelines.rescale import run_rescale


def tree(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "CACHE" not in path.parts
    }


def test_leftovers_are_told_from_everything_else(tmp_path: Path) -> None:
    for name in (
        ".a.0123abcd.part.obj",
        ".bounce.0123abcd.part/x",
        ".other.0123abcd.part",
        "a.part.obj",
        ".hidden",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    remove_leftovers(tmp_path, "bounce")
    assert not (tmp_path / ".bounce.0123abcd.part").exists() and (tmp_path / ".a.0123abcd.part.obj").exists()
    remove_leftovers(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == [".hidden", "a.part.obj"]
    remove_leftovers(tmp_path / "absent")


def test_half_a_scan_is_not_a_scan(tmp_path: Path) -> None:
    save_mesh(egg(12, 6), tmp_path / "a" / ".a.0123abcd.part.obj")
    save_mesh(egg(12, 6), tmp_path / "b" / "b.obj")
    assert list(find_scans(tmp_path).scans) == ["b"]


def _prepare(scans: Path, out: Path) -> None:
    where = {"jobs": 1}
    run_rescale(RescaleConfig(scans, out, **where), NullProgress())
    run_prt(PrtConfig(out, directions=16, **where), NullProgress())


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_rescale_and_prt_killed_again_and_again(tmp_path: Path) -> None:
    scans = tmp_path / "scans"
    for name in ("a", "b b", "ü"):
        save_mesh(egg(48, 24), scans / name / f"{name}.obj")
    begin = time.perf_counter()
    _prepare(scans, tmp_path / "whole")
    seconds = time.perf_counter() - begin
    context = multiprocessing.get_context("fork")
    killed = 0
    for part in (0.1, 0.25, 0.4, 0.55, 0.7, 0.85):
        process = context.Process(target=_prepare, args=(scans, tmp_path / "out"))
        process.start()
        process.join(part * seconds)
        if process.exitcode is None:
            os.kill(process.pid, signal.SIGKILL)
            killed += 1
        process.join()
    _prepare(scans, tmp_path / "out")
    assert killed >= 1
    assert tree(tmp_path / "out") == tree(tmp_path / "whole")


class Killed(BaseException):
    """Stands for SIGKILL: nothing of ours may catch it."""


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A set before its faces are fitted, after, and refined."""
    root = tmp_path_factory.mktemp("set")
    found = {name: root / name for name in ("bare", "fitted", "refined")}
    write_subject(found["bare"], "front", person().mesh)
    shutil.copytree(found["bare"], found["fitted"])
    assert run_face(FaceConfig(input=found["fitted"], jobs=1), NullProgress()).ok
    shutil.copytree(found["fitted"], found["refined"])
    assert run_icp(IcpConfig(input=found["refined"], jobs=1), NullProgress()).ok
    return found


def _killed_after(monkeypatch: pytest.MonkeyPatch, writes: int) -> None:
    """Let the process end at the next write but ``writes`` within a set."""
    left, write = [writes], files.os.fsync

    def fsync(handle: int) -> None:
        if left[0] == 0:
            raise Killed
        left[0] -= 1
        write(handle)

    monkeypatch.setattr(files.os, "fsync", fsync)


@pytest.mark.parametrize("stage", ["face", "icp"])
def test_face_and_icp_killed_at_each_write(
    sets: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    before, after = ("bare", "fitted") if stage == "face" else ("fitted", "refined")

    def run() -> None:
        if stage == "face":
            assert run_face(FaceConfig(input=tmp_path / "set", jobs=1), NullProgress()).ok
        else:
            assert run_icp(IcpConfig(input=tmp_path / "set", jobs=1), NullProgress()).ok

    shutil.copytree(sets[before], tmp_path / "set")
    kills = 0
    # Each further run gets one write further, whatever the earlier ones left.
    for writes in range(20):
        with monkeypatch.context() as patch:
            _killed_after(patch, writes)
            try:
                run()
            except Killed:
                kills += 1
                continue
        break
    assert kills >= 4
    run()
    assert tree(tmp_path / "set") == tree(sets[after])
    assert not list((tmp_path / "set").rglob("*pending*"))
    assert "median_cm" in ProcessedSet(tmp_path / "set").dataset_file.read_text()
