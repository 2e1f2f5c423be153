"""Training of the prior-held network: steps, measures, resuming, refusals, the command line."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from jiff.base.errors import CheckpointError, ConfigError, DatasetError, UsageError
from jiff.base.progress import NullProgress
from jiff.models.checkpoint import load_network
from jiff.models.person.network import PersonNetwork
from jiff.options.presets import (
    PERSON,
    STAGES,
    person_preset_config,
    preset_config,
    preset_names,
    preset_values,
)
from jiff.options.train_person import PersonTrainConfig
from jiff.pipelines.train import TrainReport, train_stage
from jiff.training.run_state import load_state
from jiff.training.validation import score
from tests.held_people import TINY, people_fixture, write_people  # noqa: F401 - a fixture


def tiny(people: Path, folder: Path, **changes: Any) -> PersonTrainConfig:
    values: dict[str, Any] = {
        **TINY, "dataroot": people, "checkpoints_path": folder, "results_path": folder, "name": "run", "device": "cpu",
        "precision": "32", "torch_threads": 1, "tensorboard": False, "batch_size": 2, "num_points": 80,
        "num_head_points": 40, "num_colors": 40, "num_head_colors": 20, "max_steps": 4, "freq_save": 2, "freq_plot": 1,
        "val_every": 100, "val_items": 2, "learning_rate": 3e-3, "optimizer": "adamw", "ema": 0.9, "grad_clip": 1.0,
        "lr_schedule": "cosine",
    }  # fmt: skip
    return PersonTrainConfig(**{**values, **changes})


@pytest.fixture(scope="module")
def straight(people: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainReport:
    progress = NullProgress()
    report = train_stage(tiny(people, tmp_path_factory.mktemp("straight")), progress)
    assert progress.warnings == []
    return report


class Crash(BaseException):
    """Stands for a power cut: nothing of ours may catch it."""


class At(NullProgress):
    """Progress that ends the process, as it were, when the bar reaches ``step``."""

    def __init__(self, step: int) -> None:
        super().__init__()
        self.step = step

    @contextmanager
    def task(self, name: str, total: float | None = None) -> Any:
        outer = self

        class Bar:
            done = 0.0

            def advance(self, steps: float = 1) -> None:
                self.done += steps
                if name.startswith("Training") and self.done == outer.step:
                    raise Crash

            def describe(self, text: str) -> None:
                return None

            def show(self, figures: Any) -> None:
                return None

        yield Bar()


def test_a_run_writes_network_log_and_measures(straight: TrainReport) -> None:
    assert straight.steps == 4 and straight.failures == [] and straight.skipped == 0
    assert straight.latest.parent.name == "person"
    network = load_network(straight.latest)
    assert isinstance(network, PersonNetwork) and network.config.view_channels == (8, 8, 16)
    rows = [row for row in straight.history if "loss" in row]
    assert [row["step"] for row in rows] == [1, 2, 3, 4]
    for part in ("loss", "loss_body", "loss_head", "loss_color", "loss_head_color"):
        assert all(math.isfinite(row[part]) for row in rows)
    for row in rows:
        colors = row["loss_color"] + row["loss_head_color"]
        assert row["loss"] == pytest.approx(row["loss_body"] + row["loss_head"] + 3 * colors, rel=1e-4)
    metrics = straight.metrics
    assert set(metrics) == {"iou", "body_iou", "face_iou", "face_body_iou", "color", "color_hidden"}
    assert 0.1 < metrics["body_iou"] < 0.9 and 0.1 < metrics["iou"] <= 1 and 0 < metrics["color"] < 0.6
    record = yaml.safe_load((straight.folder / "run.yaml").read_text())
    assert record["data"]["subjects"] == ["person_00000", "person_00001"]
    assert record["data"]["held_out"] == ["person_00002"] and record["network"]["hidden"] == [32, 16]


@pytest.mark.parametrize("changes", [{}, {"num_threads": 1}], ids=["alone", "with a loader"])
def test_a_crashed_run_goes_on_bit_identically(
    people: Path, straight: TrainReport, tmp_path: Path, changes: dict[str, Any]
) -> None:
    with pytest.raises(Crash):
        train_stage(tiny(people, tmp_path, **changes), At(3))
    assert load_state(tmp_path / "run" / "person" / "state.ckpt")["step"] == 2
    progress = NullProgress()
    again = train_stage(tiny(people, tmp_path, continue_train=True), progress)
    assert again.steps == 4 and "step 2 of 4" in progress.infos[0]
    assert again.latest.read_bytes() == straight.latest.read_bytes()
    assert again.metrics == straight.metrics


def test_the_loss_falls(people: Path, tmp_path: Path) -> None:
    """Of a coat that stands one unit off bodies: the first thing that there is to learn."""
    report = train_stage(
        tiny(
            people,
            tmp_path,
            max_steps=30,
            ema=0.0,
            freq_plot=10,
            learning_rate=1e-2,
            batch_size=4,
            prints=0.0,
        ),
        NullProgress(),
    )
    losses = [row["loss"] for row in report.history if "loss" in row]
    assert losses[-1] < 0.9 * losses[0]
    assert report.metrics["iou"] > report.metrics["body_iou"] + 0.2


@pytest.mark.parametrize(
    "changes", [{}, {"body": False}, {"close_up": False}, {"body": False, "close_up": False}]
)
@pytest.mark.parametrize("machine", [{}, {"precision": "bf16-mixed"}, {"channels_last": True}])
def test_ablations_train(
    people: Path, tmp_path: Path, changes: dict[str, Any], machine: dict[str, Any]
) -> None:
    report = train_stage(tiny(people, tmp_path, max_steps=1, **machine, **changes), NullProgress())
    network = load_network(report.latest)
    assert isinstance(network, PersonNetwork)
    assert (network.head_encoder is None) == ("close_up" in changes)
    assert network.config.body is changes.get("body", True)
    assert ("loss_head" in report.history[0]) == ("close_up" not in changes)


def test_a_run_starts_from_another(people: Path, straight: TrainReport, tmp_path: Path) -> None:
    report = train_stage(
        tiny(
            people, tmp_path, start=straight.latest, learning_rate=0.0, max_steps=1, ema=0.0, feature_dim=99
        ),
        NullProgress(),
    )
    first, second = (load_network(path).state_dict() for path in (straight.latest, report.latest))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_nobody_held_out_is_said_and_training_people_are_measured(people: Path, tmp_path: Path) -> None:
    root = write_people(tmp_path / "set", 1, 1, 0)
    progress = NullProgress()
    report = train_stage(tiny(root, tmp_path, max_steps=1), progress)
    assert any("validation is on training subjects" in text for text in progress.warnings)
    assert 0 < report.metrics["iou"] <= 1
    quiet = train_stage(tiny(root, tmp_path, name="quiet", max_steps=1, num_eval=False), NullProgress())
    assert quiet.metrics == {}


def test_damaged_photos_are_passed_over_and_told_once(tmp_path: Path) -> None:
    root = write_people(tmp_path / "set", 2, 2, 1)
    hit = root / "person_00000" / "view_1.npz"
    hit.write_bytes(b"no archive")
    progress = NullProgress()
    report = train_stage(tiny(root, tmp_path), progress)
    assert len(report.failures) == 1 and str(hit) in report.failures[0] and report.skipped > 0
    assert sum(str(hit) in text for text in progress.warnings) == 1


def test_what_cannot_be_trained_is_refused(people: Path, straight: TrainReport, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="holds no photos of people"):
        train_stage(tiny(tmp_path / "none", tmp_path), NullProgress())
    root = write_people(tmp_path / "set", 1, 1, 1)
    with pytest.raises(DatasetError, match="holds out everybody"):
        train_stage(tiny(root, tmp_path), NullProgress())
    runs = straight.folder.parents[1]
    with pytest.raises(UsageError, match="holds a run already"):
        train_stage(tiny(people, runs), NullProgress())
    with pytest.raises(CheckpointError, match="trained with another network"):
        train_stage(tiny(people, runs, continue_train=True, feature_dim=16), NullProgress())
    with pytest.raises(ConfigError, match="must be positive"):
        train_stage(tiny(people, tmp_path, view_channels=(8, 0)), NullProgress())
    shape = tmp_path / "shape.safetensors"
    shape.write_bytes(b"nothing")
    with pytest.raises(CheckpointError, match=r"shape\.safetensors"):
        train_stage(tiny(people, tmp_path, start=shape), NullProgress())


def test_the_best_network_is_good_at_surface_head_and_colour() -> None:
    base = {"iou": 0.7, "face_iou": 0.7, "color": 0.1}
    assert score({**base, "iou": 0.8}) > score(base) < score({**base, "face_iou": 0.8})
    assert score({**base, "color": 0.2}) < score(base)
    assert score({"iou": 0.7, "color": 0.1}) == pytest.approx(score(base))


def test_presets_of_this_stage_and_of_the_others_are_apart() -> None:
    assert preset_names(PERSON) == ["default", "demo", "tiny"]
    for stage in STAGES:
        assert "default" not in preset_names(stage) and "tiny" in preset_names(stage)
        with pytest.raises(ConfigError, match="there is no training preset 'default'"):
            preset_values("default", stage)
        with pytest.raises(ConfigError):
            preset_config("default", stage)
    with pytest.raises(ConfigError, match="choose one of default, demo, tiny"):
        preset_values("paper", PERSON)
    # What the published stages share is nothing to this one.
    assert "num_face_vertices" not in preset_values("demo", PERSON)
    config = person_preset_config("default", batch_size=3)
    assert (config.stage, config.batch_size, config.max_steps) == (PERSON, 3, 8000)
    with pytest.raises(ConfigError, match="no_such"):
        person_preset_config("default", no_such=1)


def test_command_line(people: Path, straight: TrainReport, tmp_path: Path) -> None:
    words = [
        sys.executable,
        "-m",
        "jiff_cli",
        "train",
        "person",
        "-i",
        str(people),
        "--checkpoints-path",
        "runs",
    ]
    words += ["--name", "run", "--view-channels", "8,8,16", "--head-channels", "8,8", "--feature-dim", "8"]
    words += ["--head-feature-dim", "8", "--hidden", "32,16", "--device", "cpu", "--precision", "32"]
    words += [
        "--torch-threads",
        "1",
        "--no-tensorboard",
        "--batch-size",
        "2",
        "--num-points",
        "80",
        "--ema",
        "0.9",
    ]
    words += ["--num-head-points", "40", "--num-colors", "40", "--num-head-colors", "20", "--freq-save", "2"]
    words += ["--val-items", "2", "--val-every", "100", "--learning-rate", "3e-3", "--optimizer", "adamw"]
    words += ["--grad-clip", "1", "--lr-schedule", "cosine", "--freq-plot", "1"]

    def run(*more: str) -> subprocess.CompletedProcess[str]:
        env = {**os.environ, "TERMINAL_WIDTH": "200"}
        return subprocess.run(
            [*words, *more], capture_output=True, text=True, timeout=100, cwd=tmp_path, env=env
        )

    done = run("--max-steps", "4")
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert "jiff reconstruct PHOTO --checkpoint runs/run" in " ".join(said.split())
    folder = tmp_path / "runs" / "run" / "person"
    assert (folder / "latest.safetensors").read_bytes() == straight.latest.read_bytes()
    assert {"run.yaml", "state.ckpt", "log.csv"} <= {path.name for path in folder.iterdir()}
    again = run("--max-steps", "4")
    assert again.returncode == 2 and "--continue-train" in again.stderr
    refused = run("--preset", "paper")
    assert refused.returncode == 2 and "default" in refused.stderr
