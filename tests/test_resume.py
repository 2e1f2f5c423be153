"""Killed and resumed runs go on bit-identically; Ctrl-C saves; a full disk keeps the previous checkpoint."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from tiny_set import make_set

from jiff.base.config import to_plain
from jiff.base.errors import CheckpointError, OutputError
from jiff.base.files import write_json
from jiff.base.progress import NullProgress
from jiff.models.checkpoint import load_network
from jiff.options.presets import preset_config
from jiff.pipelines.train import TrainConfig, train_stage
from jiff.training.run_state import kept_epochs, load_state, save_state


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return make_set(tmp_path_factory.mktemp("set"))


def config_of(dataset, folder: Path, **changes) -> TrainConfig:
    values = {
        "dataroot": dataset.root, "checkpoints_path": folder, "results_path": folder, "name": "run", "device": "cpu", "precision": "32",
        "jobs": 1, "torch_threads": 1, "random_flip": True, "random_scale": True, "tensorboard": False, "max_steps": 8, "freq_save": 3,
        "num_eval": False, "ema": 0.9,
    }  # fmt: skip
    return preset_config("tiny", "shape", **{**values, **changes})


class Crash(BaseException):
    """Stands for a power cut: nothing of ours may catch it."""


class At(NullProgress):
    """Progress that calls ``action`` when the bar reaches ``step``."""

    def __init__(self, step: int, action) -> None:
        super().__init__()
        self.step, self.action = step, action

    @contextmanager
    def task(self, name: str, total: float | None = None):
        outer = self

        class Bar:
            done = 0.0

            def advance(self, steps: float = 1) -> None:
                self.done += steps
                if name.startswith("Training") and self.done == outer.step:
                    outer.action()

            def describe(self, text: str) -> None:
                return None

            def show(self, figures) -> None:
                return None

        yield Bar()


def _crash() -> None:
    raise Crash


def _weights(report) -> dict[str, torch.Tensor]:
    return load_network(report.latest).state_dict()


@pytest.fixture(scope="module")
def straight(dataset, tmp_path_factory):
    return train_stage(config_of(dataset, tmp_path_factory.mktemp("straight")), NullProgress())


@pytest.mark.parametrize("step", [4, 6])
@pytest.mark.parametrize("stage_options", [{}, {"num_threads": 1}])
def test_a_crashed_run_goes_on_bit_identically(dataset, straight, tmp_path, step, stage_options):
    with pytest.raises(Crash):
        train_stage(config_of(dataset, tmp_path, **stage_options), At(step, _crash))
    # Saved after steps 3 and 6; the crash comes before the save of its own step.
    assert load_state(tmp_path / "run" / "shape" / "state.ckpt")["step"] == 3
    progress = NullProgress()
    report = train_stage(config_of(dataset, tmp_path, continue_train=True), progress)
    assert report.steps == 8
    assert "step 3 of 8" in progress.infos[0]
    expected, found = _weights(straight), _weights(report)
    assert all(torch.equal(expected[key], found[key]) for key in expected)
    assert [row["step"] for row in report.history] == list(range(1, 9))
    assert [row["loss"] for row in report.history] == [row["loss"] for row in straight.history]


_SCRIPT = """
import sys
from jiff.base.config import from_plain
from jiff.base.files import read_json
from jiff.pipelines.train import TrainConfig, train_stage
from jiff.base.progress import NullProgress
train_stage(from_plain(TrainConfig, read_json(sys.argv[1])), NullProgress())
"""


def test_sigkill_at_any_moment_goes_on_bit_identically(dataset, straight, tmp_path):
    folder = tmp_path / "runs"
    config = config_of(dataset, folder, freq_save=1, max_steps=100_000, continue_train=True)
    write_json(tmp_path / "config.json", to_plain(config))
    process = subprocess.Popen([sys.executable, "-c", _SCRIPT, str(tmp_path / "config.json")])
    state = folder / "run" / "shape" / "state.ckpt"
    deadline = time.monotonic() + 120
    while not state.is_file() and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    reached = load_state(state)["step"]
    if reached >= 8:
        pytest.skip("the machine trained 8 steps before the kill could arrive")
    report = train_stage(config_of(dataset, folder, continue_train=True), NullProgress())
    expected, found = _weights(straight), _weights(report)
    assert all(torch.equal(expected[key], found[key]) for key in expected)
    assert not list((folder / "run" / "shape").glob(".*.part*")) or reached >= 1


def test_ctrl_c_finishes_the_step_saves_and_says_how_to_go_on(dataset, straight, tmp_path):
    progress = At(5, lambda: os.kill(os.getpid(), signal.SIGINT))
    before = signal.getsignal(signal.SIGINT)
    report = train_stage(config_of(dataset, tmp_path), progress)
    assert signal.getsignal(signal.SIGINT) is before
    assert report.interrupted and report.steps == 5
    assert any("step 5 of 8" in text and "--continue-train" in text for text in progress.infos)
    report = train_stage(config_of(dataset, tmp_path, continue_train=True), NullProgress())
    assert all(torch.equal(a, b) for a, b in zip(_weights(straight).values(), _weights(report).values()))


def test_a_finished_run_is_left_as_it_is(dataset, tmp_path):
    first = train_stage(config_of(dataset, tmp_path), NullProgress())
    stamp = first.latest.stat().st_mtime_ns
    again = train_stage(config_of(dataset, tmp_path, continue_train=True), NullProgress())
    assert again.steps == 8 and [r["loss"] for r in again.history] == [r["loss"] for r in first.history]
    assert first.latest.stat().st_mtime_ns == stamp


def test_continue_without_a_run_begins_one(dataset, tmp_path):
    assert (
        train_stage(config_of(dataset, tmp_path, continue_train=True, max_steps=1), NullProgress()).steps == 1
    )


def test_last_epochs_are_kept_and_can_be_gone_on_from(dataset, tmp_path):
    # 6 items in batches of 2: an epoch is 3 steps.
    report = train_stage(config_of(dataset, tmp_path, max_steps=9, keep_last=2), NullProgress())
    assert kept_epochs(report.folder) == [1, 2]
    expected = _weights(report)
    again = train_stage(
        config_of(dataset, tmp_path, max_steps=9, keep_last=2, continue_train=True, resume_epoch=1),
        NullProgress(),
    )
    assert all(torch.equal(a, b) for a, b in zip(expected.values(), _weights(again).values()))
    with pytest.raises(CheckpointError, match=r"epoch 7 is not kept \(kept: 1, 2\)"):
        train_stage(config_of(dataset, tmp_path, continue_train=True, resume_epoch=7), NullProgress())


def test_a_run_of_another_network_is_refused(dataset, tmp_path):
    train_stage(config_of(dataset, tmp_path, max_steps=3), NullProgress())
    with pytest.raises(CheckpointError, match="trained with another network"):
        train_stage(config_of(dataset, tmp_path, continue_train=True, num_stack=1), NullProgress())


def test_data_that_changed_since_are_told(tmp_path):
    dataset = make_set(tmp_path / "set")
    first = train_stage(config_of(dataset, tmp_path, max_steps=2), NullProgress())
    assert (
        f"fingerprint: {load_state(first.folder / 'state.ckpt')['data']}"
        in (first.folder / "run.yaml").read_text()
    )
    path = dataset.face_region("s0")
    path.touch()
    unchanged, changed = NullProgress(), NullProgress()
    train_stage(config_of(dataset, tmp_path, continue_train=True, max_steps=3), unchanged)
    assert not any("changed since" in text for text in unchanged.warnings)
    path.write_text(path.read_text() + " ")
    train_stage(config_of(dataset, tmp_path, continue_train=True, max_steps=4), changed)
    assert any("have changed since" in text for text in changed.warnings)


def test_a_state_without_later_options_still_fits(dataset, tmp_path):
    report = train_stage(config_of(dataset, tmp_path, max_steps=2), NullProgress())
    path = report.folder / "state.ckpt"
    state = load_state(path)
    del state["config"]["single_head"], state["data"], state["version"]
    save_state(path, state)
    assert (
        train_stage(config_of(dataset, tmp_path, continue_train=True, max_steps=3), NullProgress()).steps == 3
    )


def test_a_damaged_state_is_one_sentence(dataset, tmp_path):
    report = train_stage(config_of(dataset, tmp_path, max_steps=3), NullProgress())
    path = report.folder / "state.ckpt"
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(CheckpointError, match=r"state\.ckpt: is damaged"):
        train_stage(config_of(dataset, tmp_path, continue_train=True), NullProgress())


def test_a_full_disk_keeps_the_previous_checkpoint(dataset, tmp_path, monkeypatch):
    report = train_stage(config_of(dataset, tmp_path, max_steps=3), NullProgress())
    path = report.folder / "state.ckpt"
    before = path.read_bytes()
    real = Path.write_bytes

    def full(self: Path, data) -> int:
        if self.suffix == ".ckpt":
            real(self, bytes(data)[:100])
            raise OSError(28, "No space left on device")
        return real(self, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OutputError, match=r"state\.ckpt: cannot be written because the disk is full"):
        train_stage(config_of(dataset, tmp_path, continue_train=True), NullProgress())
    monkeypatch.undo()
    assert path.read_bytes() == before
    assert not list(report.folder.glob(".*part*"))
    assert train_stage(config_of(dataset, tmp_path, continue_train=True), NullProgress()).steps == 8


def test_half_written_checkpoints_of_a_killed_run_are_removed(dataset, tmp_path: Path) -> None:
    config = config_of(dataset, tmp_path, max_steps=1)
    config.folder.mkdir(parents=True)
    (config.folder / ".state.0123abcd.part.ckpt").write_bytes(b"half")
    train_stage(config, NullProgress())
    assert (config.folder / "state.ckpt").is_file()
    assert not [path.name for path in config.folder.iterdir() if path.name.startswith(".")]
