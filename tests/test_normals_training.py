"""``jiff data normals`` and ``jiff train normals``: drawn people, steps, the measure, resuming, refusals, the command line."""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from jiff.base.errors import CheckpointError, DatasetError, TrainingError, UsageError
from jiff.base.progress import NullProgress
from jiff.data.normal_view import read_normal_view, read_normals
from jiff.data.normals_set import NormalsSet, NormalsSetConfig
from jiff.data.people_set import NORMALS, held_out_people, list_views
from jiff.models.normals.default import load_normals
from jiff.models.normals.network import NormalNetwork, mean_angle_deg
from jiff.options.normals import NormalsConfig
from jiff.options.photos import PhotosConfig
from jiff.options.train_normals import NormalsTrainConfig
from jiff.options.training_run import TrainingRun
from jiff.pipelines import normals
from jiff.pipelines.normals import run_normals
from jiff.pipelines.photos import run_photos
from jiff.pipelines.train import TrainReport, train_stage
from jiff.training.run_state import load_state
from jiff.training.validation import score
from tests.test_person_training import At, Crash

PEOPLE = ["person_00000", "person_00001"]


def jiff(*words: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "jiff_cli", *map(str, words)], capture_output=True, text=True, timeout=200, cwd=cwd,
        env={**os.environ, "TERMINAL_WIDTH": "200"},
    )  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two people, twice each, drawn by the real command; the second is held out."""
    out = tmp_path_factory.mktemp("made") / "normals"
    said = jiff(
        "data", "normals", "-o", out, "-n", 2, "--views", 2, "--held-out", 2, "--texture-size", 256, "-j", 1
    )
    assert said.returncode == 0, said.stdout + said.stderr
    assert f"jiff train normals -i {out}" in " ".join((said.stdout + said.stderr).split())
    return out


def drawing(out: Path, **changes: Any) -> NormalsConfig:
    values = {"people": 2, "views": 2, "held_out": 2, "texture_size": 256, "jobs": 1}
    return NormalsConfig(**{"out": out, **values, **changes})


def tiny(root: Path, folder: Path, **changes: Any) -> NormalsTrainConfig:
    values: dict[str, Any] = {
        "dataroot": root, "checkpoints_path": folder, "results_path": folder, "name": "run", "device": "cpu",
        "precision": "32", "torch_threads": 1, "tensorboard": False, "channels": (8, 8), "crop_size": 32, "batch_size": 2,
        "max_steps": 4, "freq_save": 2, "freq_plot": 1, "val_every": 100, "val_items": 1, "warmup_steps": 0, "ema": 0.9,
    }  # fmt: skip
    return NormalsTrainConfig(**{**values, **changes})


@pytest.fixture(scope="module")
def straight(made: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainReport:
    progress = NullProgress()
    report = train_stage(tiny(made, tmp_path_factory.mktemp("straight")), progress)
    assert progress.warnings == []
    return report


def test_people_are_drawn_with_their_normals(made: Path) -> None:
    assert {path.name for path in made.iterdir()} == {*PEOPLE, "val.txt"}
    assert list(list_views(made, NORMALS)) == PEOPLE and held_out_people(made) == PEOPLE[1:]
    record = json.loads((made / PEOPLE[0] / "person.json").read_text())
    assert record["views"] == 2 and record["stamp"]["settings"]["seed"] == 500_000
    for path in sorted(made.rglob("*.npz")):
        view = read_normal_view(path)
        found, mask = read_normals(view.normals)
        there = mask > 0
        assert max(view.rgb.shape) <= 512 and max(view.rgb.shape) > 300
        assert not there[:8].any() and not there[:, :8].any() and there[8].any() and there[:, 8].any()
        # What is seen faces the camera; outlines lean to their side, heads upwards.
        assert (found[there][:, 2] > 0).mean() > 0.97
        rows = np.flatnonzero(there.any(axis=1))
        first, last = there[rows].argmax(axis=1), there.shape[1] - 1 - there[rows, ::-1].argmax(axis=1)
        assert found[rows, first, 0].mean() < -0.4 and found[rows, last, 0].mean() > 0.4
        top = there[: len(there) // 12]
        assert found[: len(there) // 12][top][:, 1].mean() > 0.1


def test_what_is_complete_stays_and_other_settings_are_made_again(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = shutil.copytree(made, tmp_path / "normals")
    asked: list[str] = []

    def make(job: Any) -> dict[str, Any]:
        asked.append(job.folder.name)
        if job.folder.name == PEOPLE[0]:
            raise DatasetError("this one is bad")
        return {"views": 2}

    monkeypatch.setattr(normals, "make_person", make)
    monkeypatch.setattr(normals, "warm_up", lambda *_: None)
    assert sorted(run_normals(drawing(out), NullProgress()).skipped) == PEOPLE and asked == []
    (out / PEOPLE[1] / "normals_0.npz").unlink()
    run_normals(drawing(out), NullProgress())
    assert asked == PEOPLE[1:]
    asked.clear()
    report = run_normals(drawing(out, seed=8), NullProgress())
    assert asked == PEOPLE and report.failures == {PEOPLE[0]: "this one is bad"}


def test_photos_of_the_other_kind_are_not_written_over(made: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="jiff data normals"):
        run_photos(PhotosConfig(out=made, people=1), NullProgress())
    other = tmp_path / "person_00000"
    other.mkdir()
    (other / "view_0.npz").touch()
    with pytest.raises(UsageError, match="jiff data photos"):
        run_normals(drawing(tmp_path), NullProgress())
    assert [path.name for path in tmp_path.rglob("*")] == ["person_00000", "view_0.npz"]


def test_one_seed_gives_one_person_wherever_it_is_counted(made: Path, tmp_path: Path) -> None:
    report = run_normals(drawing(tmp_path, seed=500_001, people=1), NullProgress())
    assert report.ok, report.failures
    for number in (0, 1):
        first = read_normal_view(made / PEOPLE[1] / f"normals_{number}.npz")
        second = read_normal_view(tmp_path / PEOPLE[0] / f"normals_{number}.npz")
        assert np.array_equal(first.rgb, second.rgb) and np.array_equal(first.normals, second.normals)


def test_items_are_crops_in_training_and_whole_people_else(made: Path) -> None:
    items = NormalsSet(made, PEOPLE, NormalsSetConfig(crop_size=64))
    first, again, later = (items[pair].tensors for pair in ((0, 1), (0, 1), (1, 1)))
    assert first["images"].shape == (4, 64, 64) and first["normals"].shape == (3, 64, 64)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["images"], later["images"])
    on = first["counted"][0] > 0
    torch.testing.assert_close(first["normals"].norm(dim=0)[on], torch.ones(int(on.sum())))
    assert bool((first["normals"][2][on] > 0).all())
    plain = items.without_augmentation()
    whole = plain[(0, 1)].tensors
    view = read_normal_view(items.files[1])
    assert torch.equal(whole["images"], plain[(7, 1)].tensors["images"])
    assert all(side % 32 == 0 for side in whole["images"].shape[1:])
    rgb = (whole["images"][:3, : view.rgb.shape[0], : view.rgb.shape[1]].permute(1, 2, 0).numpy() + 1) / 2
    there = view.normals[..., 0] > 0
    np.testing.assert_allclose(rgb[there], view.rgb[there] / 255, atol=1e-6)


def test_a_run_writes_network_log_and_the_mean_angle(straight: TrainReport) -> None:
    assert straight.steps == 4 and straight.failures == [] and straight.latest.parent.name == "normals"
    assert load_normals(straight.latest).config.channels == (8, 8)
    rows = [row for row in straight.history if "loss" in row]
    assert [row["step"] for row in rows] == [1, 2, 3, 4]
    for row in rows:
        assert row["loss"] == pytest.approx(row["loss_difference"] + 0.5 * row["loss_turn"], rel=1e-4)
    assert set(straight.metrics) == {"angle"} and 5 < straight.metrics["angle"] < 120
    record = yaml.safe_load((straight.folder / "run.yaml").read_text())
    assert record["data"]["subjects"] == PEOPLE[:1] and record["data"]["held_out"] == PEOPLE[1:]
    assert record["network"] == {"channels": [8, 8]}
    assert score({"angle": 9.0}) > score({"angle": 10.0})


@pytest.mark.parametrize("changes", [{}, {"num_threads": 1}], ids=["alone", "with a loader"])
def test_a_crashed_run_goes_on_bit_identically(
    made: Path, straight: TrainReport, tmp_path: Path, changes: dict[str, Any]
) -> None:
    with pytest.raises(Crash):
        train_stage(tiny(made, tmp_path, **changes), At(3))
    assert load_state(tmp_path / "run" / "normals" / "state.ckpt")["step"] == 2
    again = train_stage(tiny(made, tmp_path, continue_train=True), NullProgress())
    assert again.steps == 4 and again.latest.read_bytes() == straight.latest.read_bytes()
    assert again.metrics == straight.metrics


def test_the_network_learns_more_than_that_people_face_the_camera(made: Path, tmp_path: Path) -> None:
    held_out = NormalsSet(made, PEOPLE[1:], NormalsSetConfig(), train=False)[(0, 0)].tensors
    facing = torch.zeros_like(held_out["normals"])
    facing[2] = 1
    constant = mean_angle_deg(facing[None], held_out["normals"][None], held_out["counted"][None])
    easy = {"lamps": 0.0, "patterns": 0.0, "shadows": 0.0, "rough_masks": 0.0, "tones": 0.0}
    size = {"channels": (16, 32, 32, 32), "crop_size": 64, "batch_size": 4}
    config = tiny(made, tmp_path, max_steps=60, ema=0.0, learning_rate=5e-3, freq_plot=20, **size, **easy)
    report = train_stage(config, NullProgress())
    losses = [row["loss"] for row in report.history if "loss" in row]
    assert losses[-1] < 0.8 * losses[0] and report.metrics["angle"] < 0.9 * constant


@pytest.mark.parametrize("machine", [{"precision": "bf16-mixed"}, {"channels_last": False}])
def test_other_machines_train(made: Path, tmp_path: Path, machine: dict[str, Any]) -> None:
    report = train_stage(tiny(made, tmp_path, max_steps=1, **machine), NullProgress())
    assert math.isfinite(report.metrics["angle"])


def test_a_run_starts_from_another(made: Path, straight: TrainReport, tmp_path: Path) -> None:
    config = tiny(
        made, tmp_path, start=straight.latest, learning_rate=0.0, max_steps=1, ema=0.0, channels=(99,)
    )
    report = train_stage(config, NullProgress())
    first, second = (load_normals(path).state_dict() for path in (straight.latest, report.latest))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_what_cannot_be_trained_is_refused(made: Path, straight: TrainReport, tmp_path: Path) -> None:
    with pytest.raises(
        DatasetError, match=r"holds no photos with normals; make some with `jiff data normals -o"
    ):
        train_stage(tiny(tmp_path / "none", tmp_path), NullProgress())
    with pytest.raises(UsageError, match="--crop-size 30 must be a multiple of 4"):
        train_stage(tiny(made, tmp_path, crop_size=30), NullProgress())
    root = shutil.copytree(made, tmp_path / "set")
    (root / "val.txt").write_text("\n".join(PEOPLE))
    with pytest.raises(DatasetError, match="holds out everybody"):
        train_stage(tiny(root, tmp_path), NullProgress())
    runs = straight.folder.parents[1]
    with pytest.raises(UsageError, match="holds a run already"):
        train_stage(tiny(made, runs), NullProgress())
    with pytest.raises(CheckpointError, match="trained with another network"):
        train_stage(tiny(made, runs, continue_train=True, channels=(8, 16)), NullProgress())
    with pytest.raises(CheckpointError, match=r"none\.safetensors: cannot be read"):
        train_stage(tiny(made, tmp_path, start=tmp_path / "none.safetensors"), NullProgress())


def test_damaged_photos_are_passed_over_and_told_once(made: Path, tmp_path: Path) -> None:
    root = shutil.copytree(made, tmp_path / "set")
    hit = root / PEOPLE[0] / "normals_1.npz"
    hit.write_bytes(b"no archive")
    progress = NullProgress()
    report = train_stage(tiny(root, tmp_path), progress)
    assert len(report.failures) == 1 and str(hit) in report.failures[0] and report.skipped > 0
    assert sum(str(hit) in text for text in progress.warnings) == 1
    (root / PEOPLE[0] / "normals_0.npz").write_bytes(b"no archive")
    with pytest.raises(TrainingError, match="items in a row cannot be read"):
        train_stage(tiny(root, tmp_path, name="second"), NullProgress())


def test_defaults_are_those_of_the_installed_network() -> None:
    config, common = NormalsTrainConfig(), TrainingRun()
    assert config.channels == NormalNetwork(load_normals().config).config.channels
    changed = {name for name, value in vars(common).items() if getattr(config, name) != value}
    assert changed == {
        "max_steps", "batch_size", "learning_rate", "optimizer", "weight_decay", "lr_schedule", "warmup_steps",
        "grad_clip", "ema", "val_every", "val_items", "freq_plot", "freq_save", "channels_last",
    }  # fmt: skip
    assert (config.crop_size, config.batch_size, config.optimizer, config.learning_rate) == (
        256,
        4,
        "adamw",
        2e-3,
    )


def test_command_line(made: Path, straight: TrainReport, tmp_path: Path) -> None:
    words = [
        "train",
        "normals",
        "-i",
        made,
        "--checkpoints-path",
        "runs",
        "--name",
        "run",
        "--channels",
        "8,8",
    ]
    words += [
        "--crop-size",
        "32",
        "--device",
        "cpu",
        "--precision",
        "32",
        "--torch-threads",
        "1",
        "--no-tensorboard",
    ]
    words += [
        "--batch-size",
        "2",
        "--freq-save",
        "2",
        "--freq-plot",
        "1",
        "--val-every",
        "100",
        "--val-items",
        "1",
    ]
    words += ["--warmup-steps", "0", "--ema", "0.9", "--max-steps", "4"]
    done = jiff(*words, cwd=tmp_path)
    said = " ".join((done.stdout + done.stderr).split())
    assert done.returncode == 0, said
    assert "Validation: angle" in said
    folder = tmp_path / "runs" / "run" / "normals"
    assert (folder / "latest.safetensors").read_bytes() == straight.latest.read_bytes()
    assert {"run.yaml", "state.ckpt", "log.csv", "best.safetensors"} <= {
        path.name for path in folder.iterdir()
    }
    # The command that it names makes the file that could be installed.
    following = next(line for line in done.stdout.splitlines() if line.startswith("Next: jiff ")).split()[2:]
    assert jiff(*following, cwd=tmp_path).returncode == 0
    assert load_normals(folder / "half.safetensors").config.channels == (8, 8)
