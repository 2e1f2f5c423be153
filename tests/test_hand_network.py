"""The network of hands, which came later than the others: missing, damaged, fetched, and told of."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import time
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from typer.testing import CliRunner

from jiff.assets import wheel as wheel_module
from jiff.assets.registry import get_asset
from jiff.assets.wheel import Member, Wheel
from jiff.base.errors import AssetError
from jiff.base.progress import NullProgress
from jiff.perception import files
from jiff.perception import networks as networks_module
from jiff.perception.hands import see_hands
from jiff.perception.landmarks import Pose
from jiff.perception.networks import HAND_FILE, PersonNetworks
from jiff_cli.app import app

runner = CliRunner()


class FakeHeads:
    """Reads whatever a file holds."""

    def __init__(self, path: Path, size: int, outputs: object) -> None:
        if path.read_bytes() == b"wrong":
            raise AssetError(f"{path}: cannot be read; fetch it again.")

    def run(self, picture: np.ndarray) -> dict[str, np.ndarray]:
        return {}


CONTENT = {"pkg/a.tflite": b"network", f"pkg/{HAND_FILE}": b"hands"}


def _older(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make an asset whose folder lacks the network of hands, as of an earlier version; return the folder."""
    import hashlib

    members = tuple(
        Member(k, hashlib.sha256(v).hexdigest(), len(v), later=k.endswith(HAND_FILE))
        for k, v in CONTENT.items()
    )
    wheel = Wheel("pkg==1", "pkg-1-cp312-cp312-manylinux_2_28_x86_64.whl", "0" * 64, members)
    asset = dataclasses.replace(get_asset("perception"), pattern="pkg-1", wheel=wheel)
    for module in (files, networks_module):
        monkeypatch.setattr(module, "get_asset", lambda name: asset)
    monkeypatch.setattr("jiff.assets.registry.ASSETS", (asset,))
    monkeypatch.setattr(networks_module, "DenseHeads", FakeHeads)
    monkeypatch.setattr(files, "_TRIED", set())
    monkeypatch.setattr(files, "_WARNED", set())
    monkeypatch.setenv("JIFF_ASSETS", str(folder))
    monkeypatch.setenv("JIFF_CACHE", str(folder / "cache"))
    monkeypatch.delenv("JIFF_PERCEPTION")
    (folder / "pkg-1").mkdir()
    (folder / "pkg-1" / "a.tflite").write_bytes(b"network")
    return folder / "pkg-1"


def _offline(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Let pip find no index; return where its calls are noted."""
    calls: list[object] = []

    def fails(*args: object, **kwargs: object) -> subprocess.CompletedProcess[str]:
        calls.append(args)
        return subprocess.CompletedProcess([], 1, "", "ERROR: No matching distribution found\n")

    monkeypatch.setattr(wheel_module.subprocess, "run", fails)
    return calls


def test_offline_the_others_go_on_without_the_network_of_hands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    members = get_asset("perception").wheel.members  # type: ignore[union-attr]
    assert [member.name for member in members if member.later] == [HAND_FILE]
    folder = _older(tmp_path, monkeypatch)
    calls = _offline(monkeypatch)
    progress = NullProgress()
    for _ in range(2):
        found = files.ensure_networks(progress)
        assert found is not None and found.folder == folder and not found.sees_hands
    assert len(calls) == 1, "tried once"
    assert len(progress.warnings) == 1 and "hands are not looked for" in progress.warnings[0]
    assert "GrabCut" not in progress.warnings[0]
    (folder / "a.tflite").unlink()
    assert files.find_networks() is None


def test_a_failed_try_is_remembered_for_a_day(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Regression: offline every command waited for the network, and told so."""
    _older(tmp_path, monkeypatch)
    calls = _offline(monkeypatch)

    def command() -> NullProgress:
        """Do what a process of its own does."""
        files._TRIED.clear()
        progress = NullProgress()
        found = files.ensure_networks(progress)
        assert found is not None and not found.sees_hands
        return progress

    assert len(command().warnings) == 1
    noted = tmp_path / "cache" / files._TRIED_FILE
    assert [path.name for path in noted.parent.iterdir()] == [noted.name]
    again = command()
    assert len(calls) == 1 and not again.warnings and not again.infos
    assert runner.invoke(app, ["assets", "fetch", "perception"]).exit_code == 1
    assert len(calls) == 2, "whoever asks for it is not put off"
    now = time.time()
    for later, tries in ((25 * 3600.0, 3), (25 * 3600.0, 3), (-3600.0, 4)):
        monkeypatch.setattr(files.time, "time", lambda then=now + later: then)
        command()
        assert len(calls) == tries, "a day later, and where the clock was wrong"
    for number, damaged in enumerate(("", "{", "[1]", '{"a": "b"}', "9" * 5000, "[" * 100_000), 5):
        noted.write_text(damaged)
        command()
        assert len(calls) == number, "an unreadable file tells nothing"
    monkeypatch.setenv("JIFF_CACHE", str(tmp_path / "pkg-1" / "a.tflite"))
    assert len(command().warnings) == 1, "a cache that cannot be written costs the memory only"


def test_a_damaged_network_of_hands_costs_the_hands_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression: every photo failed."""
    folder = _older(tmp_path, monkeypatch)
    _offline(monkeypatch)
    (folder / HAND_FILE).write_bytes(b"hand")
    before = files.find_networks()
    assert before is not None and not before.sees_hands, "a part of it"
    (folder / HAND_FILE).write_bytes(b"wrong")
    progress = NullProgress()
    for _ in range(2):
        found = files.ensure_networks(progress)
        assert found is not None and not found.sees_hands
        assert see_hands(found, np.zeros((4, 4, 3), np.uint8), cast("Pose", None)) == (None, None)
    assert len(progress.warnings) == 1 and not progress.infos
    assert HAND_FILE in progress.warnings[0] and "hands are not looked for" in progress.warnings[0]


def test_opencv_tells_a_damaged_network_of_hands(networks: PersonNetworks, tmp_path: Path) -> None:
    size = next(m.size for m in get_asset("perception").wheel.members if m.name == HAND_FILE)  # type: ignore[union-attr]
    (tmp_path / HAND_FILE).write_bytes(bytes(size))
    damaged = PersonNetworks(tmp_path)
    assert not damaged.sees_hands and "cannot read this network" in str(damaged.hand_problem)


def test_folders_without_hands_are_told_from_whole_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression: they were "found", hand points and all, and ``verify`` asked for ``--overwrite``."""
    folder = _older(tmp_path, monkeypatch)
    asset = files.get_asset("perception")
    for module in ("jiff.assets.registry", "jiff_cli.inspection"):
        monkeypatch.setattr(f"{module}.ASSETS", (asset,))
    state = "found, without hands: `jiff assets fetch perception`"
    for options in ([], ["--missing"]):
        text = runner.invoke(app, ["assets", "list", *options]).stdout
        assert f"perception: {state}" in text and str(folder) in text
    (row,) = json.loads(runner.invoke(app, ["assets", "list", "--json"]).stdout)
    assert (row["path"], row["complete"]) == (str(folder), False)
    assert state in runner.invoke(app, ["doctor"]).stdout
    for content in (None, b"hand"):
        if content is not None:
            (folder / HAND_FILE).write_bytes(content)
        refused = runner.invoke(app, ["assets", "verify"]).stderr
        assert "run `jiff assets fetch perception`." in refused and "--overwrite" not in refused
    (folder / HAND_FILE).write_bytes(b"HANDS")
    assert "fetch perception --overwrite`" in runner.invoke(app, ["assets", "verify"]).stderr
    (folder / HAND_FILE).write_bytes(b"hands")
    assert runner.invoke(app, ["assets", "verify"]).exit_code == 0
    assert "perception: found (" in runner.invoke(app, ["assets", "list"]).stdout
    assert "perception" not in runner.invoke(app, ["assets", "list", "--missing"]).stdout


def test_a_folder_of_an_earlier_version_is_fetched_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = _older(tmp_path, monkeypatch)

    def take(wheel: Wheel, target: Path, progress: object) -> None:
        (target / HAND_FILE).write_bytes(b"hands")

    monkeypatch.setattr("jiff.assets.fetch.take_from_wheel", take)
    before = files.find_networks()
    assert before is not None and not before.sees_hands
    found = files.ensure_networks(NullProgress())
    assert found is not None and found.sees_hands and found.folder == folder
    progress = NullProgress()
    assert files.ensure_networks(progress) is not None and not progress.infos, "nothing is left to fetch"
