"""Command lines of the published repository work after ``python -m apps.x`` becomes ``jiff ...``."""

from __future__ import annotations

import shlex

import pytest
import typer
from cli_parsing import command_of, parse
from typer.testing import CliRunner

from jiff_cli.app import app

NETWORK = "--num_stack 4 --num_hourglass 2 --resolution 512 --hg_down 'ave_pool' --norm 'group' --norm_color 'group'"
TRAINING = (
    "--dataroot data --random_flip --random_scale --num_stack 4 --num_hourglass 2 --resolution 512 "
    "--hg_down 'ave_pool' --norm 'group' --val_train_error --val_test_error --gpu_ids=0,1,2 --batch_size 3 "
    "--learning_rate 0.0001 --norm_color 'group' --checkpoints_path ck --results_path res --num_threads 10"
)

README_LINES = [
    "data rescale -i THuman",
    "data prt -i THuman",
    "data render -i THuman -o processed -e",
    "data face -i processed/RENDER -o processed",
    "data icp -i processed",
    f"train shape {TRAINING} --sigma 3.5 --schedule 4",
    f"train color-coarse {TRAINING} --sigma 0.1 --load_netG_checkpoint_path g.pth --num_sample_inout 0 "
    "--num_sample_color 10000",
    f"train color-fine {TRAINING} --sigma 0.1 --load_netG_checkpoint_path g.pth "
    "--load_netC_coarse_checkpoint_path c.pth --num_sample_inout 0 --num_sample_color 10000",
    f"eval pifu --batch_size 1 {NETWORK} --test_folder_path test --load_netG_checkpoint_path g.pth "
    "--name coarse --load_netC_coarse_checkpoint_path c.pth",
    "data face -i test",
    "eval align -pifu results -test test",
    f"eval jiff --batch_size 1 {NETWORK} --test_folder_path test --load_netG_checkpoint_path g.pth --name jiff "
    "--load_netC_coarse_checkpoint_path c.pth --load_netC_checkpoint_path f.pth",
]

SHORT = [
    "data rescale --input_dir a --output_dir b -j 10",
    "data prt --input a --n_sample 40",
    "data prt -i a -n 40",
    "data render --input a --out_dir b --ms_rate 1 --egl --size 512",
    "data render -i a -o b -m 1 -e -s 512",
    "data icp --input_dir a",
    "eval align --PIFu_path a --test_path b",
]

BASE_VALUES = {
    "dataroot": "./data", "dataroot_512": "./data", "loadSize": "512", "name": "example", "num_views": "1",
    "gpu_id": "0", "gpu_ids": "0", "num_threads": "1", "batch_size": "2", "learning_rate": "1e-3",
    "learning_rateC": "1e-3", "num_epoch": "1000", "freq_plot": "10", "freq_save": "50", "freq_save_ply": "100",
    "resume_epoch": "-1", "resolution": "256", "test_folder_path": "t", "sigma": "5.0", "num_sample_inout": "5000",
    "num_sample_color": "0", "z_size": "200.0", "norm": "group", "norm_color": "instance", "num_stack": "4",
    "num_hourglass": "2", "hg_down": "ave_pool", "hourglass_dim": "256", "mlp_dim": "257 1024 512 256 128 1",
    "mlp_dim_color": "513 1024 512 256 128 3", "mlp_dim_color_fine": "513 1024 512 256 128 3",
    "mlp_dim_3d_color": "128 1024 512 256 128 3", "mlp_dim_joint_color": "0 1024 512 256 128 3",
    "mlp_dim_3d": "128 1024 512 256 128 1", "mlp_dim_joint": "0 1024 512 256 128 1", "schedule": "60 80",
    "gamma": "0.1", "color_loss_type": "l1", "num_gen_mesh_test": "1", "checkpoints_path": "./checkpoints",
    "load_netG_checkpoint_path": "g", "load_netC_checkpoint_path": "c", "load_netC_coarse_checkpoint_path": "cc",
    "results_path": "./results", "load_checkpoint_path": "x", "single": "s", "mask_path": "m", "img_path": "i",
    "aug_alstd": "0.0", "aug_bri": "0.0", "aug_con": "0.0", "aug_sat": "0.0", "aug_hue": "0.0", "aug_blur": "0.0",
}  # fmt: skip
BASE_SWITCHES = (
    "debug", "random_multiview", "serial_batches", "pin_memory", "no_gen_mesh", "no_num_eval", "continue_train",
    "skip_hourglass", "use_tanh", "random_flip", "random_trans", "random_scale", "no_residual", "val_test_error",
    "val_train_error", "gen_test_mesh", "gen_train_mesh", "all_mesh",
)  # fmt: skip


def test_the_list_of_published_options_is_complete() -> None:
    # lib/options.py declares 54 options with a value and 18 switches.
    assert len(set(BASE_VALUES)) == 54
    assert len(set(BASE_SWITCHES)) == 18


@pytest.mark.parametrize("line", README_LINES + SHORT)
def test_published_command_lines_parse(line: str) -> None:
    try:
        config = parse(shlex.split(line))
    except typer.Exit as leave:
        pytest.fail(f"status {leave.exit_code}")
    assert config is not None


@pytest.mark.parametrize(
    "command", ["train shape", "train color-coarse", "train color-fine", "eval pifu", "eval jiff"]
)
def test_every_published_option_works_or_says_why_not(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    silent = []
    for name in [*BASE_VALUES, *BASE_SWITCHES]:
        real, _ = command_of(command.split())
        words = [f"--{name}", *BASE_VALUES.get(name, "").split()]
        try:
            rewritten = real.speller.rewrite(words)
        except Exception as error:  # noqa: BLE001 - its text is what is looked at
            assert str(error).startswith(f"--{name.replace('_', '-')}: ")
            assert str(error).endswith(".")
            continue
        if rewritten and rewritten[0] not in {text for item in real.speller.known for text in item.spellings}:
            silent.append(name)
    assert silent == []


def test_an_option_without_meaning_is_one_sentence_and_status_2() -> None:
    result = CliRunner().invoke(app, ["eval", "pifu", "--learning_rate", "0.1"])
    assert result.exit_code == 2
    assert (
        result.stderr
        == "Error: --learning-rate: it is an option of training and changes nothing here; leave it out.\n"
    )
