"""Presets against the publication's own command lines, value by value, and the learning rate they lead to."""

from __future__ import annotations

import shlex
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from cli_parsing import parse
from test_cli_published import README_LINES

from jiff.base.errors import CheckpointError
from jiff.models.checkpoint import build_network, load_network, save_network, write_pth
from jiff.models.presets import shape_preset
from jiff.options.presets import preset_config, preset_names
from jiff.options.train import TrainConfig
from jiff.training.optim import PUBLISHED_EPOCH_ITEMS, learning_rate
from jiff.training.stages import build_stage, network_config

STAGES = ("shape", "color_coarse", "color_fine")
OWN = {
    "dataroot", "checkpoints_path", "results_path", "device", "shape_checkpoint", "coarse_checkpoint",
    "fine_checkpoint",
}  # fmt: skip
"""What is the user's: folders, files, devices."""
NETWORK = {"num_stack", "num_hourglass", "hg_down", "norm", "norm_color", "network"}
"""Compared as the architecture they add up to."""
FASTER = {
    "batch_size": 16, "learning_rate": 2e-4, "warmup_steps": 500, "grad_clip": 1.0, "precision": "bf16-mixed",
    "num_threads": 14, "pin_memory": True, "freq_save": 500,
}  # fmt: skip
"""What `h200` changes."""


def _published(stage: str) -> TrainConfig:
    (line,) = [text for text in README_LINES if text.startswith(f"train {stage.replace('_', '-')} ")]
    return parse(shlex.split(line))  # type: ignore[no-any-return]


def _values(config: TrainConfig) -> dict[str, Any]:
    return {
        field.name: getattr(config, field.name) for field in fields(config) if field.name not in OWN | NETWORK
    }


@pytest.mark.parametrize("stage", STAGES)
def test_paper_is_the_published_command(stage: str) -> None:
    published, ours = _published(stage), preset_config("paper", stage)
    expected = _values(published)
    # The published scripts always compute in float32; labels are drawn in the shape stage only.
    expected["precision"] = "32"
    expected["num_sample_inout"] = 5000
    if stage != "shape":
        assert published.num_sample_inout == 0 and ours.num_sample_color == 10_000
    assert _values(ours) == {**expected, "sigma": ours.sigma} and ours.point_sigma == published.point_sigma
    assert network_config(ours) == network_config(published)


@pytest.mark.parametrize("stage", STAGES)
def test_h200_differs_in_what_it_says(stage: str) -> None:
    paper, ours = _values(preset_config("paper", stage)), _values(preset_config("h200", stage))
    changed = {name: value for name, value in ours.items() if paper[name] != value}
    changed.pop("sigma", None)
    assert changed == FASTER
    assert preset_config("h200", stage).point_sigma == preset_config("paper", stage).point_sigma


@pytest.mark.parametrize("preset", preset_names())
def test_colour_keeps_the_published_schedule(preset: str) -> None:
    """Regression: --schedule 4 is given to the shape stage alone."""
    for stage in ("color_coarse", "color_fine"):
        assert preset_config(preset, stage).schedule == (60, 80)
    assert preset_config(preset, "shape").schedule == ((4,) if preset in ("paper", "h200") else (60, 80))


@pytest.mark.parametrize(("views", "batch"), [(360, 3), (180, 3), (24, 3), (180, 16)])
def test_the_rate_falls_after_as_many_steps_as_published(views: int, batch: int) -> None:
    """Whatever part of the 360 yaws is usable, and however many make an epoch of ours."""
    subjects = 500
    config = replace(preset_config("paper", "shape"), batch_size=batch)
    published = -(-PUBLISHED_EPOCH_ITEMS * subjects // batch)
    # At the end of published epoch number 4, counted from 0, that is after five of them.
    last, total = 5 * published - 1, 1000 * -(-views * subjects // batch)
    assert learning_rate(config, last, published, total) == pytest.approx(1e-4)
    assert learning_rate(config, last + 1, published, total) == pytest.approx(1e-5)


def _checkpoint(tmp_path: Path, **changes: Any) -> Path:
    torch.manual_seed(0)
    save_network(tmp_path / "own.safetensors", build_network("shape", shape_preset("tiny", **changes)))
    return tmp_path / "own.safetensors"


def test_a_checkpoint_knows_itself_better_than_the_command(tmp_path: Path) -> None:
    """Regression: fine-tuning an own network took depth scale and face cube from the command's defaults."""
    path = _checkpoint(tmp_path, z_size=33.0, cube_size_world=30.0, cube_follows_face=False, load_size=96)
    for network in ("paper", "tiny", "demo"):
        config = TrainConfig(network=network, shape_checkpoint=path)  # type: ignore[arg-type]
        assert build_stage(config).network.config == load_network(path).config
    same = TrainConfig(shape_checkpoint=path, z_size=33.0, load_size=96, num_stack=2)
    assert build_stage(same).network.config == load_network(path).config


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"z_size": 200.0}, "z_size 33.0, which --z-size 200.0 contradicts"),
        ({"load_size": 512}, "load_size 64, which --load-size 512"),
        ({"norm": "batch"}, "norm group, which --norm batch"),
        ({"mlp_dim": (17, 8, 8, 8, 1)}, "--mlp-dim"),
    ],
)
def test_an_option_that_contradicts_the_checkpoint_is_an_error(
    tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    path = _checkpoint(tmp_path, z_size=33.0)
    with pytest.raises(CheckpointError, match="leave the option out") as caught:
        build_stage(TrainConfig(shape_checkpoint=path, **change))
    assert said in str(caught.value)


def test_what_training_may_change_and_what_a_published_file_does_not_know(tmp_path: Path) -> None:
    path = _checkpoint(tmp_path, z_size=33.0)
    views = build_stage(TrainConfig(shape_checkpoint=path, num_views=3)).network
    assert views.config.num_views == 3 and views.config.z_size == 33.0  # type: ignore[union-attr]
    write_pth(tmp_path / "old.pth", load_network(path).state_dict())
    plain = build_stage(TrainConfig(shape_checkpoint=tmp_path / "old.pth", z_size=50.0)).network
    assert plain.config.z_size == 50.0 and plain.config.hourglass_dim == 16  # type: ignore[union-attr]
