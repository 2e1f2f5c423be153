"""The options of all commands: one description each, light to import, devices in every spelling."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from cli_parsing import command_of, parse

from jiff.base.errors import UsageError
from jiff.options.device import DeviceChoice, parse_device
from jiff_cli.registry import all_commands

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("auto", DeviceChoice("auto")),
        ("CPU", DeviceChoice("cpu")),
        ("-1", DeviceChoice("cpu")),
        ("cuda", DeviceChoice("cuda")),
        ("cuda:1", DeviceChoice("cuda", (1,))),
        ("cuda:0,2", DeviceChoice("cuda", (0, 2))),
        ("0", DeviceChoice("cuda", (0,))),
        ("0,1,2", DeviceChoice("cuda", (0, 1, 2))),
        ("0 1", DeviceChoice("cuda", (0, 1))),
        ("mps", DeviceChoice("mps")),
    ],
)
def test_devices(text: str, expected: DeviceChoice) -> None:
    assert parse_device(text) == expected


@pytest.mark.parametrize("text", ["", "tpu", "cuda:", "cuda:x", "cpu:0", "0,0", "-2", "1,-1", "mps:1"])
def test_what_is_no_device(text: str) -> None:
    with pytest.raises(UsageError, match="must be auto, cpu, cuda, mps"):
        parse_device(text)


NETWORKS = (
    "train shape",
    "train color-coarse",
    "train color-fine",
    "eval pifu",
    "eval jiff",
    "reconstruct",
    "demo",
)


@pytest.mark.parametrize("command", NETWORKS)
@pytest.mark.parametrize("spelling", ["--device", "--gpu-ids", "--gpu_ids"])
def test_every_command_that_runs_networks_takes_a_device(command: str, spelling: str) -> None:
    more = {"eval pifu": ["-i", "x"], "eval jiff": ["-i", "x"], "reconstruct": ["x.png"]}.get(command, [])
    assert parse([*command.split(), *more, spelling, "-1"]).device == "-1"


@pytest.mark.parametrize("command", [" ".join(words) for words, _ in all_commands()])
def test_spellings_of_a_command_are_declared_once_and_published_ones_are_not_shown(command: str) -> None:
    found, _ = command_of(command.split())
    for spec in found.blueprint.options:
        if spec.note is not None:
            given = [*spec.note.flags, *spec.note.aliases]
            assert len(given) == len(set(given)), spec.name
            assert all(len(flag) == 2 for flag in spec.note.flags), (
                f"{spec.name}: {spec.note.flags} are no short flags"
            )


def test_modern_names_come_first_and_published_ones_work() -> None:
    published = (
        "--load_netG_checkpoint_path g --load_netC_coarse_checkpoint_path c --load_netC_checkpoint_path f"
    )
    old = parse(["eval", "jiff", "--test_folder_path", "t", "--results_path", "r", *published.split()])
    modern = "--shape-checkpoint g --coarse-checkpoint c --fine-checkpoint f"
    new = parse(["eval", "jiff", "-i", "t", "-o", "r", *modern.split()])
    assert old == new and new.shape_checkpoint == Path("g")


def test_an_option_has_one_description() -> None:
    """Its help; a list of attributes beside it would say the same again."""
    for path in sorted((ROOT / "jiff" / "options").glob("*.py")):
        text = path.read_text(encoding="utf-8")
        for part in text.split("\nclass ")[1:]:
            body = part.split("\n@dataclass")[0]
            assert not ("Attributes:" in body and " = option(" in body), f"{path.name}: {part.split('(')[0]}"


def test_no_help_page_imports_torch_or_numpy() -> None:
    """One process for all pages; each is drawn in full."""
    code = """
import sys
from typer.testing import CliRunner
from jiff_cli.app import app
from jiff_cli.registry import all_commands
for words, _ in all_commands():
    done = CliRunner().invoke(app, [*words, "--help"])
    assert done.exit_code == 0 and "Usage" in done.output, words
    heavy = sorted({"torch", "numpy", "scipy", "cv2"} & set(sys.modules))
    assert not heavy, (words, heavy)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
