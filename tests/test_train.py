"""Training runs of a few steps on every stage, and what they leave behind."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_runs import dataset_fixture, three_stages_fixture, tiny  # noqa: F401
from tiny_set import make_set

from jiff.base.config import from_plain, read_config_file
from jiff.base.errors import ConfigError, UsageError
from jiff.base.progress import NullProgress
from jiff.geometry.io.mesh_io import load_mesh
from jiff.models.checkpoint import load_network
from jiff.options.presets import preset_config, preset_names, preset_values
from jiff.pipelines.train import TrainConfig, train_stage


def test_every_stage_leaves_a_network_logs_and_its_options(three_stages, dataset):
    folder, reports = three_stages
    for stage, report in reports.items():
        assert report.folder == folder / "checkpoints" / "run" / stage
        assert report.steps == 4 and not report.interrupted
        network = load_network(report.latest)
        assert type(network).__name__.lower().startswith(stage.replace("_", "")[:5])
        assert report.best.is_file()
        rows = list(csv.DictReader((report.folder / "log.csv").read_text().splitlines()))
        assert [int(row["step"]) for row in rows] == [1, 2, 3, 4]
        assert all(np.isfinite(float(row["loss"])) and 0 <= float(row["data_share"]) <= 1 for row in rows)
        resolved = from_plain(TrainConfig, read_config_file(report.folder / "run.yaml"))
        assert resolved.stage == stage and resolved.max_steps == 4 and resolved.dataroot == dataset.root
    assert list((folder / "checkpoints" / "run" / "shape" / "tb").glob("events*"))


def test_validation_measures_shape_and_colour(three_stages):
    _, reports = three_stages
    shape = reports["shape"].metrics
    for key in ("iou", "precision", "recall", "face_iou", "face_iou_body_branch", "mse"):
        assert 0 <= shape[key] <= 1
    for stage in ("color_coarse", "color_fine"):
        assert 0 < reports[stage].metrics["color_l1"] < 1
        assert 0 < reports[stage].metrics["face_color_l1"] < 1


def test_losses_have_body_and_face_parts(three_stages):
    _, reports = three_stages
    assert reports["shape"].history[-1]["loss_face"] > 0
    assert reports["color_fine"].history[-1]["loss_face"] > 0
    assert "loss_face" not in reports["color_coarse"].history[-1]


def test_frozen_networks_stay_as_they_were(three_stages, dataset, tmp_path):
    _folder, reports = three_stages
    before = load_network(reports["shape"].best).state_dict()
    config = tiny(dataset, tmp_path, "color_coarse", shape_checkpoint=str(reports["shape"].best))
    report = train_stage(config, NullProgress())
    after = load_network(reports["shape"].best).state_dict()
    assert all(torch.equal(before[key], after[key]) for key in before)
    assert report.steps == 4


def test_a_sphere_is_learnt(dataset, tmp_path):
    progress = NullProgress()
    config = tiny(
        dataset, tmp_path, max_steps=100, learning_rate=1e-2, optimizer="adam", freq_plot=20, val_every=100,
        val_points=2000, val_train_error=True, val_test_error=False, face_branch=False, random_flip=False, random_scale=False,
    )  # fmt: skip
    report = train_stage(config, progress)
    losses = [row["loss_body"] for row in report.history if "loss_body" in row]
    assert losses[-1] < 0.6 * losses[0]
    assert report.history[-1]["train_iou"] > 0.55
    assert progress.warnings == []


def test_same_seed_same_run_other_seed_another(dataset, tmp_path):
    runs = {}
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        report = train_stage(tiny(dataset, tmp_path, name=name, seed=seed, num_eval=False), NullProgress())
        runs[name] = [row["loss"] for row in report.history]
    assert runs["a"] == runs["b"] != runs["c"]


def test_global_random_state_is_left_alone(dataset, tmp_path):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    train_stage(tiny(dataset, tmp_path, max_steps=1, num_eval=False), NullProgress())
    assert torch.equal(before, torch.get_rng_state())


def test_accumulated_halves_equal_one_batch(dataset, tmp_path, monkeypatch):
    # Plain gradient descent, because the other optimisers hide the gradient's scale.
    monkeypatch.setattr(
        "jiff.training.loop.make_optimizer", lambda _, weights: torch.optim.SGD(weights, lr=1.0)
    )
    changes = {"max_steps": 2, "num_eval": False}
    whole = train_stage(tiny(dataset, tmp_path, name="whole", batch_size=2, **changes), NullProgress())
    parts = train_stage(
        tiny(dataset, tmp_path, name="parts", batch_size=1, accumulate=2, **changes), NullProgress()
    )
    assert [r["loss"] for r in parts.history] == pytest.approx([r["loss"] for r in whole.history], rel=1e-4)
    a, b = load_network(whole.latest).state_dict(), load_network(parts.latest).state_dict()
    for key in a:
        torch.testing.assert_close(a[key], b[key], rtol=1e-3, atol=1e-5)


def test_averaged_weights_are_what_is_saved(dataset, tmp_path):
    plain = train_stage(tiny(dataset, tmp_path, name="plain", num_eval=False), NullProgress())
    averaged = train_stage(tiny(dataset, tmp_path, name="averaged", ema=0.9, num_eval=False), NullProgress())
    assert [r["loss"] for r in plain.history] == [r["loss"] for r in averaged.history]
    a, b = load_network(plain.latest).state_dict(), load_network(averaged.latest).state_dict()
    assert any(not torch.equal(a[key], b[key]) for key in a)


@pytest.mark.parametrize(
    ("changes", "branches"),
    [
        ({"face_branch": False}, set()),
        ({"branch_3d": False}, {"2d"}),
        ({"joint_head": False}, {"2d", "3d"}),
        ({"single_head": True}, {"joint"}),
        ({}, {"2d", "3d", "joint"}),
    ],
    ids=["pifu", "no-3d", "no-joint", "single", "jiff"],
)
def test_ablations_train_validate_and_load(dataset, tmp_path, changes, branches):
    report = train_stage(tiny(dataset, tmp_path, max_steps=2, freq_plot=1, **changes), NullProgress())
    network = load_network(report.latest)
    assert {key: getattr(network.config, key) for key in changes} == changes
    found = {name.split("features_")[1].split("_")[0] for name in network.state_dict() if "features_" in name}
    assert found == branches
    assert (report.history[-1]["loss_face"] > 0) == bool(branches)
    assert 0 <= report.metrics["face_iou"] <= 1
    if not branches:
        assert report.metrics["face_iou"] == report.metrics["face_iou_body_branch"]


def test_bf16_and_extras_run(dataset, tmp_path):
    config = tiny(
        dataset,
        tmp_path,
        precision="bf16-mixed",
        grad_clip=1.0,
        freq_save_ply=2,
        freq_save=2,
        val_train_error=True,
    )
    report = train_stage(config, NullProgress())
    assert np.isfinite(report.history[-1]["loss"])
    assert any("train_iou" in row for row in report.history)
    head = (tmp_path / "results" / "run" / "pred_shape.ply").read_bytes()[:40]
    assert head.startswith(b"ply\nformat binary_little_endian")


def test_preview_meshes_are_written_or_told_missing(dataset, tmp_path):
    progress = NullProgress()
    config = tiny(
        dataset, tmp_path, max_steps=60, learning_rate=1e-2, optimizer="adam", val_every=60, gen_test_mesh=True,
        gen_train_mesh=True, num_gen_mesh_test=2, resolution=24, random_flip=False, random_scale=False,
    )  # fmt: skip
    train_stage(config, progress)
    written = sorted((tmp_path / "results" / "run").glob("*/*.obj"))
    missing = [text for text in progress.warnings if "no preview mesh yet" in text]
    assert len(written) + len(missing) == 4
    assert written, missing
    assert len(load_mesh(written[-1]).faces) > 100
    with pytest.raises(UsageError, match="show the shape network"):
        tiny(dataset, tmp_path, "color_coarse", gen_test_mesh=True)


def test_several_views_train(dataset, tmp_path):
    report = train_stage(tiny(dataset, tmp_path, num_views=2, max_steps=2), NullProgress())
    assert load_network(report.latest).config.num_views == 2


def test_time_budget_stops_and_saves(dataset, tmp_path):
    report = train_stage(tiny(dataset, tmp_path, max_steps=100_000, max_minutes=1e-6), NullProgress())
    assert report.steps == 1 and report.latest.is_file() and not report.interrupted


@pytest.mark.parametrize("name", preset_names())
@pytest.mark.parametrize("stage", ["shape", "color_coarse", "color_fine"])
def test_presets_fit_the_options(name, stage):
    config = preset_config(name, stage, name="x")
    assert config.stage == stage and config.name == "x"
    assert preset_values(name, stage)


def test_published_commands_are_the_paper_preset():
    shape = preset_config("paper", "shape")
    assert (shape.batch_size, shape.learning_rate, shape.sigma, shape.schedule) == (3, 1e-4, 3.5, (4,))
    assert preset_config("paper", "color_fine").point_sigma == 0.1
    with pytest.raises(ConfigError, match="no training preset 'x'"):
        preset_values("x", "shape")


def test_complete_caches_start_no_workers(tmp_path: Path, monkeypatch) -> None:
    dataset = make_set(tmp_path / "set", subjects=3, yaws=(0, 20))
    train_stage(tiny(dataset, tmp_path, max_steps=1), NullProgress())

    def no_pool(*arguments, **options):
        raise AssertionError("a pool was started")

    monkeypatch.setattr("jiff.run.parallel.ProcessPoolExecutor", no_pool)
    train_stage(tiny(dataset, tmp_path, name="second", max_steps=1, jobs=2), NullProgress())
    for name in ("s0", "s1"):
        dataset.geometry(name).write_text(dataset.geometry(name).read_text() + "# changed\n")
    with pytest.raises(AssertionError, match="a pool was started"):
        train_stage(tiny(dataset, tmp_path, name="third", max_steps=1, jobs=2), NullProgress())
