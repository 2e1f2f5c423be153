"""Trainings of a few steps on ellipsoids, for tests of the loop and of what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_set import make_set

from jiff.base.progress import NullProgress
from jiff.options.presets import preset_config
from jiff.pipelines.train import TrainConfig, train_stage


@pytest.fixture(scope="module", name="dataset")
def dataset_fixture(tmp_path_factory):
    return make_set(tmp_path_factory.mktemp("set"))


def tiny(dataset, folder: Path, stage: str = "shape", **changes) -> TrainConfig:
    values = {
        "dataroot": dataset.root,
        "checkpoints_path": folder / "checkpoints",
        "results_path": folder / "results",
        "name": "run",
        "device": "cpu",
        "precision": "32",
        "jobs": 1,
        "torch_threads": 1,
        "random_flip": True,
        "random_scale": True,
        "tensorboard": False,
    }
    return preset_config("tiny", stage, **{**values, **changes})


@pytest.fixture(scope="module", name="three_stages")
def three_stages_fixture(dataset, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    reports = {}
    for stage in ("shape", "color_coarse", "color_fine"):
        progress = NullProgress()
        reports[stage] = train_stage(tiny(dataset, folder, stage, tensorboard=stage == "shape"), progress)
        assert progress.warnings == []
    return folder, reports
