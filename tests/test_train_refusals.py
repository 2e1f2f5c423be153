"""Trainings that cannot begin or go on: one sentence each, and nothing lost."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from tiny_runs import dataset_fixture, three_stages_fixture, tiny  # noqa: F401
from tiny_set import damage, make_set

from jiff.base.errors import CheckpointError, ConfigError, DatasetError, TrainingError, UsageError
from jiff.base.progress import NullProgress
from jiff.pipelines.train import TrainConfig, train_stage


def test_colour_without_a_shape_network_is_one_sentence(dataset, tmp_path):
    with pytest.raises(CheckpointError, match=r"holds no shape network to build on; run `jiff train shape`"):
        train_stage(tiny(dataset, tmp_path, "color_coarse"), NullProgress())


def test_colour_on_a_shape_network_of_another_size_is_refused(dataset, tmp_path):
    shape = train_stage(
        tiny(dataset, tmp_path, hourglass_dim=24, mlp_dim=[0, 32, 24, 16, 1], max_steps=1, num_eval=False),
        NullProgress(),
    )
    with pytest.raises(CheckpointError, match="24 feature channels where this colour network expects 16"):
        train_stage(
            tiny(dataset, tmp_path, "color_coarse", shape_checkpoint=str(shape.latest)),
            NullProgress(),
        )


def test_existing_run_is_not_overwritten_unasked(dataset, tmp_path):
    config = tiny(dataset, tmp_path, max_steps=1, num_eval=False)
    train_stage(config, NullProgress())
    with pytest.raises(UsageError, match="--continue-train"):
        train_stage(config, NullProgress())
    best = config.folder / "best.safetensors"
    best.write_bytes(b"of an earlier run")
    report = train_stage(dataclasses.replace(config, overwrite=True), NullProgress())
    assert report.steps == 1 and not best.exists() and report.best == report.latest


def test_val_txt_must_name_subjects_that_exist(tmp_path):
    dataset = make_set(tmp_path / "set", subjects=2, yaws=(0,))
    dataset.val_list.write_text("s1\nnobody\n")
    with pytest.raises(DatasetError, match="names nobody, which the set does not hold"):
        train_stage(tiny(dataset, tmp_path), NullProgress())
    dataset.val_list.write_text("s0\ns1\n")
    with pytest.raises(DatasetError, match="holds out every subject"):
        train_stage(tiny(dataset, tmp_path), NullProgress())


def test_missing_set_and_missing_uv_maps_are_named(dataset, tmp_path):
    with pytest.raises(DatasetError, match="nowhere: no such folder"):
        train_stage(tiny(dataset, tmp_path, dataroot=str(tmp_path / "nowhere")), NullProgress())
    bare = make_set(tmp_path / "set", subjects=2, yaws=(0,))
    bare.uv_mask("s0").unlink()
    shape = train_stage(tiny(bare, tmp_path, max_steps=1, num_eval=False), NullProgress())
    assert shape.steps == 1
    with pytest.raises(DatasetError, match="colour stages need UV maps"):
        train_stage(tiny(bare, tmp_path, "color_coarse"), NullProgress())


def test_damaged_images_are_counted_and_reported(tmp_path):
    dataset = make_set(tmp_path / "set", subjects=2)
    damage(dataset.render("s0", "20_0_00"))
    progress = NullProgress()
    report = train_stage(tiny(dataset, tmp_path, max_steps=6, num_eval=False), progress)
    assert report.steps == 6
    assert len(report.failures) == 1 and "20_0_00.jpg" in report.failures[0]
    assert report.skipped >= 2
    assert sum("Skipped an item" in text for text in progress.warnings) == 1
    assert any(f"{report.skipped} items were skipped" in text for text in progress.warnings)


def test_a_loss_that_is_no_number_stops_and_keeps_the_batch(dataset, tmp_path):
    with pytest.raises(
        TrainingError, match=r"failed_batch\.pt: holds the batch at which the loss became"
    ) as caught:
        train_stage(
            tiny(dataset, tmp_path, learning_rate=1e30, optimizer="adam", max_steps=40, num_eval=False),
            NullProgress(),
        )
    assert "--grad-clip" in str(caught.value)
    batch = torch.load(tmp_path / "checkpoints" / "run" / "shape" / "failed_batch.pt", weights_only=True)
    assert batch["images"].shape[0] == 2 and len(batch["subjects"]) == 2


def test_options_that_contradict_each_other():
    with pytest.raises(ConfigError, match="num_sample_inout"):
        TrainConfig(stage="shape", num_sample_inout=0)
    with pytest.raises(ConfigError, match="num_sample_color"):
        TrainConfig(stage="color_fine", num_sample_color=0)
    with pytest.raises(ConfigError, match="parts of one whole"):
        TrainConfig(fine_part=0.7, volume_part=0.7)
    with pytest.raises(UsageError, match="name of a folder"):
        TrainConfig(name="a/b")
    with pytest.raises(UsageError, match="--device 'x'"):
        TrainConfig(device="x")
    with pytest.raises(UsageError, match="gen-mesh"):
        TrainConfig(gen_mesh=False, gen_test_mesh=True)


def test_devices_that_are_not_there(dataset, tmp_path):
    if torch.cuda.is_available():
        pytest.skip("this machine has CUDA devices")
    with pytest.raises(UsageError, match="0 CUDA devices"):
        train_stage(tiny(dataset, tmp_path, device="cuda:3"), NullProgress())
    with pytest.raises(UsageError, match="16-mixed needs CUDA"):
        train_stage(tiny(dataset, tmp_path, precision="16-mixed"), NullProgress())


def test_damaged_and_refused_subjects_are_left_out_counted_and_reported(tmp_path: Path) -> None:
    dataset = make_set(tmp_path / "set", subjects=6, yaws=(0, 20), held_out=2)
    dataset.geometry("s0").write_text("v 1 2\nf 9 9 9\n")
    dataset.file_number("s1").write_text("")
    dataset.face_region("s2").write_text("no numbers\n")
    dataset.file_number("s4").unlink()
    progress = NullProgress()
    report = train_stage(tiny(dataset, tmp_path), progress)
    assert report.steps == 4 and "iou" in report.metrics
    assert sorted(text.split(":")[0] for text in report.failures) == ["s0", "s1", "s2", "s4"]
    assert sum("4 of 6 subjects are left out" in text for text in progress.warnings) == 1
    run = (report.folder / "run.yaml").read_text()
    assert "- s3" in run and "- s5" in run and "- s1" not in run
    dataset.geometry("s3").unlink()
    with pytest.raises(DatasetError, match=r"^s\d: .*\(\d more subjects fail too\)$"):
        train_stage(tiny(dataset, tmp_path, name="other"), NullProgress())


def test_held_out_subjects_that_cannot_be_used_are_not_called_nobody(tmp_path: Path) -> None:
    dataset = make_set(tmp_path / "set", subjects=2, yaws=(0,), held_out=1)
    for name in dataset.validation_subjects():
        dataset.file_number(name).unlink()
    progress = NullProgress()
    train_stage(tiny(dataset, tmp_path, max_steps=1), progress)
    assert any("nobody whom val.txt holds out can be used" in text for text in progress.warnings)
    assert not any("holds nobody out" in text for text in progress.warnings)
