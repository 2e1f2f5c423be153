"""What tests of bad input share: the command line in an empty folder, and a trained run with bad files beside it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import tiny_person
import torch
from bad_input import Caller, cut, text_instead
from walk import Walk

from jiff.models.checkpoint import build_network, save_network
from jiff.models.presets import color_preset, shape_preset

SMALL = ("--resolution", "32", "--device", "cpu")


VIEW = ("--yaws", "0", "--size", "128", "--high-size", "0", "-j", "1")


@pytest.fixture(name="jiff")
def jiff_fixture(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, walk: Walk, tmp_path: Path
) -> Caller:
    """The command line, run in this process in an empty folder."""
    for name in ("JIFF_CACHE", "JIFF_ASSETS"):
        monkeypatch.setenv(name, walk.env[name])
    monkeypatch.chdir(tmp_path)
    return Caller(capfd)


@pytest.fixture(scope="module", name="run")
def run_fixture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained run, and beside it files that are not what they should be."""
    folder = tmp_path_factory.mktemp("run")
    tiny_person.train_networks(folder, steps=40)
    save_network(folder / "wide_shape.safetensors", build_network("shape", shape_preset("demo")).eval())
    wide = build_network("color_coarse", color_preset("demo")).eval()
    save_network(folder / "wide_coarse.safetensors", wide)
    shutil.copy(folder / "shape" / "latest.safetensors", folder / "cut.safetensors")
    cut(folder / "cut.safetensors")
    text_instead(folder / "text.safetensors")
    text_instead(folder / "text.pth")
    torch.save({"epoch": 3}, folder / "other.pth")
    return folder
