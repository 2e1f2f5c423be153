"""Every training option of the published lib/options.py: our field and what it becomes, or the reason why not."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import typer
from cli_parsing import parse

import jiff
from jiff.base.errors import UsageError
from jiff.options.network import COLOR_FIELDS, MODEL_FIELDS
from jiff.options.train import TrainConfig

# Published name, words given, our field, its value.
WORKS: list[tuple[str, str, str, Any]] = [
    ("dataroot", "d", "dataroot", Path("d")),
    ("loadSize", "256", "load_size", 256),
    ("name", "n", "name", "n"),
    ("num_views", "3", "num_views", 3),
    ("random_multiview", "", "random_multiview", True),
    ("gpu_ids", "0,1,2", "device", "0,1,2"),
    ("gpu_ids", "-1", "device", "-1"),
    ("num_threads", "10", "num_threads", 10),
    ("serial_batches", "", "serial_batches", True),
    ("pin_memory", "", "pin_memory", True),
    ("batch_size", "3", "batch_size", 3),
    ("learning_rate", "0.0001", "learning_rate", 1e-4),
    ("learning_rateC", "0.002", "learning_rate_c", 2e-3),
    ("num_epoch", "7", "num_epoch", 7),
    ("freq_plot", "5", "freq_plot", 5),
    ("freq_save", "60", "freq_save", 60),
    ("freq_save_ply", "100", "freq_save_ply", 100),
    ("no_gen_mesh", "", "gen_mesh", False),
    ("no_num_eval", "", "num_eval", False),
    ("resume_epoch", "4", "resume_epoch", 4),
    ("continue_train", "", "continue_train", True),
    ("resolution", "256", "resolution", 256),
    ("sigma", "3.5", "sigma", 3.5),
    ("num_sample_inout", "4000", "num_sample_inout", 4000),
    ("num_sample_color", "9000", "num_sample_color", 9000),
    ("z_size", "150.0", "z_size", 150.0),
    ("norm", "batch", "norm", "batch"),
    ("norm_color", "instance", "norm_color", "instance"),
    ("num_stack", "3", "num_stack", 3),
    ("num_hourglass", "1", "num_hourglass", 1),
    ("skip_hourglass", "", "skip_hourglass", True),
    ("hg_down", "conv64", "hg_down", "conv64"),
    ("hourglass_dim", "128", "hourglass_dim", 128),
    ("mlp_dim", "129 64 32 1", "mlp_dim", (129, 64, 32, 1)),
    ("mlp_dim_3d", "64 32 16 1", "mlp_dim_3d", (64, 32, 16, 1)),
    ("mlp_dim_joint", "0 64 32 1", "mlp_dim_joint", (0, 64, 32, 1)),
    ("mlp_dim_color", "513 64 32 3", "mlp_dim_color", (513, 64, 32, 3)),
    ("mlp_dim_color_fine", "513 64 32 3", "mlp_dim_color_fine", (513, 64, 32, 3)),
    ("mlp_dim_3d_color", "128 64 32 3", "mlp_dim_3d_color", (128, 64, 32, 3)),
    ("mlp_dim_joint_color", "0 64 32 3", "mlp_dim_joint_color", (0, 64, 32, 3)),
    ("use_tanh", "", "use_tanh", True),
    ("random_flip", "", "random_flip", True),
    ("random_trans", "", "random_trans", True),
    ("random_scale", "", "random_scale", True),
    ("no_residual", "", "no_residual", True),
    ("schedule", "60 80", "schedule", (60, 80)),
    ("gamma", "0.2", "gamma", 0.2),
    ("color_loss_type", "mse", "color_loss_type", "mse"),
    ("val_test_error", "", "val_test_error", True),
    ("val_train_error", "", "val_train_error", True),
    ("num_gen_mesh_test", "2", "num_gen_mesh_test", 2),
    ("checkpoints_path", "c", "checkpoints_path", Path("c")),
    ("load_netG_checkpoint_path", "g", "shape_checkpoint", Path("g")),
    ("load_netC_checkpoint_path", "f", "fine_checkpoint", Path("f")),
    ("load_netC_coarse_checkpoint_path", "c", "coarse_checkpoint", Path("c")),
    ("results_path", "r", "results_path", Path("r")),
    ("single", "s0", "single", "s0"),
    ("aug_alstd", "0.1", "aug_alstd", 0.1),
    ("aug_bri", "0.2", "aug_bri", 0.2),
    ("aug_con", "0.3", "aug_con", 0.3),
    ("aug_sat", "0.4", "aug_sat", 0.4),
    ("aug_hue", "0.05", "aug_hue", 0.05),
    ("aug_blur", "1.5", "aug_blur", 1.5),
]
SHAPE_ONLY = [
    ("gen_test_mesh", "", "gen_test_mesh", True),
    ("gen_train_mesh", "", "gen_train_mesh", True),
]
# Published name, words given, part of the reason.
REFUSED = [
    ("dataroot_512", "elsewhere", "one --dataroot serves every image size"),
    ("gpu_id", "1", "chooses its devices with --device"),
    ("test_folder_path", "t", "reconstructed by 'jiff eval pifu'"),
    ("all_mesh", "", "never read it"),
    ("load_checkpoint_path", "x", "give --shape-checkpoint"),
    ("mask_path", "m", "use 'jiff reconstruct PHOTO'"),
    ("img_path", "i", "use 'jiff reconstruct PHOTO'"),
]
GLOBAL = ("debug",)
PUBLISHED_OPTIONS = 72
"""What lib/options.py of github.com/yukangcao/JIFF declares."""


def test_the_table_is_complete() -> None:
    names = {row[0] for row in [*WORKS, *SHAPE_ONLY, *REFUSED]} | set(GLOBAL)
    assert len(names) == PUBLISHED_OPTIONS


@pytest.mark.parametrize("stage", ["shape", "color-coarse", "color-fine"])
def test_published_options_set_our_fields(stage: str) -> None:
    for name, words, field, value in [*WORKS, *(SHAPE_ONLY if stage == "shape" else [])]:
        config = parse(["train", stage, f"--{name}", *words.split()])
        assert getattr(config, field) == value, name
        default = getattr(parse(["train", stage]), field)
        assert default != value or name == "val_test_error" or words in ("60 80",), f"{name} shows nothing"


@pytest.mark.parametrize(("name", "words", "reason"), REFUSED)
def test_what_has_no_meaning_says_why(
    name: str, words: str, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for stage in ("shape", "color-fine"):
        with pytest.raises(typer.Exit) as caught:
            parse(["train", stage, f"--{name}", *words.split()])
        assert caught.value.exit_code == 2
        text = capsys.readouterr().err.strip()
        assert text.startswith(f"Error: --{name.replace('_', '-')}: ") and reason in text
        assert text.endswith(".") and "\n" not in text


def test_published_defaults_of_what_is_refused_pass() -> None:
    parse(["train", "shape", "--gpu_id", "0", "--dataroot_512", "./data", "--debug"])


def test_meshes_of_a_colour_stage_are_refused() -> None:
    for name in ("gen_test_mesh", "gen_train_mesh"):
        with pytest.raises((UsageError, typer.Exit)):
            parse(["train", "color-coarse", f"--{name}"])


def test_no_option_is_dead() -> None:
    """Every field is read somewhere besides its declaration."""
    folder = Path(jiff.__file__).parent
    files = [
        *folder.glob("training/*.py"),
        folder / "pipelines" / "train.py",
        folder / "options" / "train.py",
    ]
    text = "\n".join(path.read_text(encoding="utf-8") for path in files)
    read = {
        *re.findall(r"\bconfig\.(\w+)", text),
        *re.findall(r"\bself\.(\w+)", text),
        *MODEL_FIELDS,
        *COLOR_FIELDS,
    }
    read |= {"load_size", "z_size", "num_views"}  # named in model_overrides
    assert sorted({field.name for field in fields(TrainConfig)} - read) == []
