"""Options about the machine: compiling, channels-last, and what is said where they cannot work."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tiny_set import make_set

from jiff.base.errors import TrainingError
from jiff.base.progress import NullProgress
from jiff.models.checkpoint import load_network
from jiff.options.presets import preset_config
from jiff.pipelines.train import train_stage
from jiff.training import compiled
from jiff.training.run_state import load_state
from jiff.training.stages import StageModule


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return make_set(tmp_path_factory.mktemp("set"))


def _run(dataset, folder: Path, stage: str = "shape", **changes):
    values = {
        "dataroot": dataset.root, "checkpoints_path": folder, "results_path": folder / "results", "name": "run",
        "device": "cpu", "precision": "32", "jobs": 1, "torch_threads": 1, "tensorboard": False, "freq_save_ply": 0,
    }  # fmt: skip
    return train_stage(preset_config("tiny", stage, **{**values, **changes}), NullProgress())


@pytest.fixture(scope="module")
def plain(dataset, tmp_path_factory):
    folder = tmp_path_factory.mktemp("plain")
    return {stage: _run(dataset, folder, stage) for stage in ("shape", "color_coarse", "color_fine")}


@pytest.mark.parametrize("stage", ["shape", "color_coarse", "color_fine"])
def test_channels_last_changes_the_layout_and_nothing_else(dataset, tmp_path, plain, stage, monkeypatch):
    seen = []

    def watch(module, inputs, output):
        if output.ndim == 4 and output.shape[1] > 1 and min(output.shape[2:]) > 1:
            seen.append(output.is_contiguous(memory_format=torch.channels_last))

    original = StageModule.__init__

    def watched(self, network, *frozen):
        original(self, network, *frozen)
        for layer in network.image_filter.modules():
            if isinstance(layer, torch.nn.Conv2d):
                layer.register_forward_hook(watch)

    monkeypatch.setattr(StageModule, "__init__", watched)
    starts = {
        "load_netg_checkpoint_path": plain["shape"].best if stage != "shape" else None,
        "load_netc_coarse_checkpoint_path": plain["color_coarse"].best if stage == "color_fine" else None,
    }
    given = {name: str(path) for name, path in starts.items() if path is not None}
    report = _run(dataset, tmp_path, stage, channels_last=True, **given)
    assert seen and all(seen)
    ours, theirs = ([row["loss"] for row in run.history] for run in (report, plain[stage]))
    # Equal up to rounding, which four steps at a high rate magnify.
    assert ours[0] == pytest.approx(theirs[0], rel=1e-4) and ours == pytest.approx(theirs, rel=2e-2)
    state, plain_state = (load_network(run.latest).state_dict() for run in (report, plain[stage]))
    assert state.keys() == plain_state.keys()
    assert all(state[key].is_contiguous() and state[key].shape == plain_state[key].shape for key in state)


def test_compiled_encoders_give_the_same_losses_and_the_same_files(dataset, tmp_path, plain, monkeypatch):
    # Tracing as for the real compiler, but without its minute of code generation.
    monkeypatch.setattr("jiff.training.compiled.BACKEND", "aot_eager")
    calls = []
    original = compiled.compile_stage

    def counted(module):
        original(module)
        calls.append(module.network.image_filter._compiled_call_impl)

    monkeypatch.setattr("jiff.training.loop.compile_stage", counted)
    report = _run(dataset, tmp_path, compile=True)
    assert len(calls) == 1 and calls[0] is not None
    assert [row["loss"] for row in report.history] == pytest.approx(
        [row["loss"] for row in plain["shape"].history], rel=5e-3
    )
    assert (
        load_network(report.latest).state_dict().keys()
        == load_network(plain["shape"].latest).state_dict().keys()
    )
    again = _run(dataset, tmp_path, continue_train=True, max_steps=5)
    assert again.steps == 5
    assert load_state(report.folder / "state.ckpt")["step"] == 5


def test_a_machine_without_a_compiler_is_one_sentence(dataset, tmp_path, monkeypatch):
    def broken(graph, inputs):
        raise RuntimeError("No working C++ compiler found\nand a long story")

    monkeypatch.setattr("jiff.training.compiled.BACKEND", broken)
    with pytest.raises(TrainingError) as caught:
        _run(dataset, tmp_path, compile=True)
    text = str(caught.value)
    assert "\n" not in text and "leave the option out." in text and "C++ compiler" in text
