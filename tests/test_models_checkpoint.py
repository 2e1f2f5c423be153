"""Checkpoints: round trips, published files, and one sentence for every way they can be wrong."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from networks import random_subjects
from safetensors.torch import save_file
from torch import Tensor

from jiff.base.errors import CheckpointError, ConfigError, OutputError
from jiff.models.checkpoint import (
    build_network,
    kind_of,
    load_network,
    load_published,
    read_own,
    read_pth,
    save_network,
    write_pth,
)
from jiff.models.config import ColorConfig, FaceBranchConfig, ShapeConfig
from jiff.models.presets import color_preset, shape_preset
from jiff.models.published import infer_kind
from jiff.models.shape import ShapeNetwork
from jiff.pipelines.convert import convert_checkpoint

CASES: list[tuple[str, FaceBranchConfig]] = [
    ("shape", shape_preset("tiny")),
    ("shape", shape_preset("tiny", face_branch=False)),
    ("shape", shape_preset("tiny", branch_3d=False)),
    ("shape", shape_preset("tiny", joint_head=False)),
    ("shape", shape_preset("tiny", single_head=True)),
    ("shape", shape_preset("tiny", norm="batch", hg_down="conv64", num_stack=3, num_hourglass=2)),
    ("shape", shape_preset("tiny", norm="instance", hg_down="conv128", no_residual=True)),
    (
        "shape",
        shape_preset("tiny", skip_hourglass=True, mlp_dim=[0, 40, 30, 20, 10, 1], unet_maps=[8, 16, 24]),
    ),
    ("color_coarse", color_preset("tiny", norm_color="instance")),
    ("color_fine", color_preset("tiny", num_resnet_blocks=2)),
    ("color_fine", color_preset("tiny", face_branch=False)),
]
# What tensors' shapes cannot tell.
FREE = (
    "grid_resolution",
    "cube_size_world",
    "cube_follows_face",
    "load_size",
    "z_size",
    "norm_groups",
    "init",
)


def same_tensors(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)


@pytest.mark.parametrize(("kind", "config"), CASES)
def test_own_round_trip(tmp_path: Path, kind: str, config: Any) -> None:
    network = build_network(kind, config)
    path = tmp_path / "net.safetensors"
    save_network(path, network)
    loaded = load_network(path)
    assert kind_of(loaded) == kind and loaded.config == config and not loaded.training
    assert same_tensors(network.state_dict(), loaded.state_dict())
    trainable = [parameter.requires_grad for parameter in network.parameters()]
    assert [parameter.requires_grad for parameter in loaded.parameters()] == trainable


@pytest.mark.parametrize(("kind", "config"), CASES)
def test_published_file_tells_its_architecture(tmp_path: Path, kind: str, config: Any) -> None:
    network = build_network(kind, config)
    write_pth(tmp_path / "net.pth", {f"module.{key}": value for key, value in network.state_dict().items()})
    loaded = load_published(tmp_path / "net.pth", kind)
    assert same_tensors(network.state_dict(), loaded.state_dict())
    told = [
        name
        for name in config.to_dict()
        if name.startswith(("mlp", "num_", "norm", "hg", "filter", "hour", "no_"))
    ]
    told = [name for name in told if name not in FREE]
    if kind != "shape":
        told = ["ngf", "norm_color", "num_resnet_blocks", "no_residual"]
    if kind == "shape" and (not config.face_branch or not config.branch_3d):
        told = [name for name in told if "3d" not in name and "joint" not in name]
    for name in told:
        ours, theirs = getattr(loaded.config, name), getattr(config, name)
        if isinstance(ours, tuple):
            ours, theirs = ours[1:], theirs[1:]
        assert ours == theirs, name
    if kind != "color_coarse":
        for name in ("face_branch", "branch_3d", "joint_head", "single_head"):
            assert getattr(loaded.config, name) == getattr(config, name) or not config.face_branch
        assert loaded.config.face_branch == config.face_branch


def test_published_and_converted_answer_alike_and_back(tmp_path: Path) -> None:
    network = ShapeNetwork(
        shape_preset("tiny", **{name: getattr(ShapeConfig(), name) for name in FREE})
    ).eval()
    state = dict(network.state_dict())
    unused = {
        key.replace("tdmm", "smpl"): value for key, value in state.items() if key.startswith("tdmm_filter.")
    }
    write_pth(tmp_path / "netG_latest", {**state, **unused})
    report = convert_checkpoint(tmp_path / "netG_latest", tmp_path / "netG.safetensors")
    assert (report.kind, report.target.name) == ("shape", "netG.safetensors")
    convert_checkpoint(tmp_path / "netG.safetensors", tmp_path / "back.pth")
    assert read_pth(tmp_path / "back.pth").keys() == {**state, **unused}.keys()
    subjects = random_subjects(count=80).item(0)

    def answer(net: Any) -> Tensor:
        with torch.no_grad():
            features = net.encode(subjects.images, subjects.face)
            return net.query(features, subjects.points, subjects.calibs).fused()

    expected = answer(network)
    for path in ("netG_latest", "netG.safetensors", "back.pth"):
        assert torch.equal(answer(load_published(tmp_path / path, "shape")), expected)
    assert torch.equal(answer(load_network(tmp_path / "netG.safetensors")), expected)


def test_later_of_two_names_wins(tmp_path: Path) -> None:
    network = ShapeNetwork(shape_preset("tiny"))
    state = {key: value.clone() for key, value in network.state_dict().items()}
    state["image_filter.conv2.bn4.weight"].fill_(2.0)
    state["image_filter.conv2.downsample.0.weight"].fill_(3.0)
    write_pth(tmp_path / "a.pth", state)
    del state["image_filter.conv2.bn4.weight"]
    write_pth(tmp_path / "b.pth", state)
    for name in ("a.pth", "b.pth"):
        loaded = load_published(tmp_path / name, "shape")
        assert (loaded.state_dict()["image_filter.conv2.bn4.weight"] == 3.0).all()


def test_other_architecture_names_the_keys(tmp_path: Path) -> None:
    path = tmp_path / "net.pth"
    write_pth(path, ShapeNetwork(shape_preset("tiny")).state_dict())
    with pytest.raises(CheckpointError) as error:
        load_published(path, "shape", shape_preset("tiny", num_stack=3, mlp_dim=[17, 32, 20, 16, 1]))
    message = str(error.value)
    assert "net.pth" in message and "image_filter.al1.bias" in message and "\n" not in message
    assert "surface_classifier.conv1.bias is [24] instead of [20]" in message
    assert "give the options it was trained with" in message and len(message) < 900


@pytest.mark.parametrize(
    ("kind", "held"), [("color_coarse", "shape"), ("color_fine", "shape"), ("shape", "color_coarse")]
)
def test_other_kind_is_named(tmp_path: Path, kind: str, held: str) -> None:
    config = shape_preset("tiny") if held == "shape" else color_preset("tiny")
    network = build_network(held, config)
    write_pth(tmp_path / "net.pth", network.state_dict())
    save_network(tmp_path / "net.safetensors", network)
    for name in ("net.pth", "net.safetensors"):
        with pytest.raises(CheckpointError, match=rf"{name}: holds a {held} network.*{kind}"):
            load_published(tmp_path / name, kind)


def test_files_that_are_no_checkpoints(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return Path.touch, (tmp_path / "executed",)

    good = ShapeNetwork(shape_preset("tiny"))
    save_network(tmp_path / "good.safetensors", good)
    write_pth(tmp_path / "good.pth", good.state_dict())
    (tmp_path / "trap.pth").write_bytes(pickle.dumps({"a": Trap()}))
    (tmp_path / "empty.pth").write_bytes(b"")
    (tmp_path / "text.pth").write_text("not a checkpoint")
    torch.save([1, 2], tmp_path / "list.pth")
    (tmp_path / "half.pth").write_bytes((tmp_path / "good.pth").read_bytes()[:5000])
    whole = (tmp_path / "good.safetensors").read_bytes()
    (tmp_path / "half.safetensors").write_bytes(whole[: len(whole) // 2])
    save_file({"x": torch.zeros(2)}, tmp_path / "other.safetensors")
    torch.save({"x": torch.zeros(2)}, tmp_path / "other.pth")
    names = (
        "trap.pth",
        "empty.pth",
        "text.pth",
        "list.pth",
        "half.pth",
        "half.safetensors",
        "other.safetensors",
    )
    for name in (*names, "other.pth", "missing.pth"):
        with pytest.raises(CheckpointError) as error:
            load_published(tmp_path / name, "shape")
        assert str(tmp_path / name) in str(error.value) and "\n" not in str(error.value)
        with pytest.raises(CheckpointError):
            load_network(tmp_path / name)
        target = tmp_path / "converted"
        with pytest.raises(CheckpointError):
            convert_checkpoint(tmp_path / name, target)
        assert not target.exists()
    assert not (tmp_path / "executed").exists()


def test_unwritable_target(tmp_path: Path) -> None:
    blocker = tmp_path / "file"
    blocker.write_text("x")
    with pytest.raises(OutputError, match="file"):
        save_network(blocker / "net.safetensors", ShapeNetwork(shape_preset("tiny")))


def test_own_file_of_a_changed_configuration(tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    save_network(path, ShapeNetwork(shape_preset("tiny")))
    kind, config, state = read_own(path)
    assert (kind, config) == ("shape", shape_preset("tiny")) and infer_kind(state) == "shape"
    with pytest.raises(ConfigError, match="ColorConfig"):
        build_network("shape", ColorConfig())


@pytest.mark.parametrize("key", ["state_dict", "model_state_dict", "netG", "model"])
def test_weights_are_found_beside_what_a_training_keeps(tmp_path: Path, key: str) -> None:
    state = {"a.weight": torch.ones(2, 2)}
    optimizer = {"state": {0: {"step": torch.ones(1)}}, "param_groups": [{"lr": 0.1}]}
    torch.save({"epoch": 3, "optimizer": optimizer, key: state}, tmp_path / "a.pth")
    assert list(read_pth(tmp_path / "a.pth")) == ["a.weight"]
    torch.save({"netG": state, "netC": state}, tmp_path / "b.pth")
    with pytest.raises(CheckpointError, match=r"holds several state dicts \(netC, netG\)"):
        read_pth(tmp_path / "b.pth")
    torch.save({"epoch": 3, "best": 1.0}, tmp_path / "c.pth")
    with pytest.raises(CheckpointError, match=r"its keys are epoch, best"):
        read_pth(tmp_path / "c.pth")


class _Command:
    """Stands for what runs a command when a careless reader makes it."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, ...]:
        import os

        return os.system, (f"touch '{self.target}'",)


def test_plain_values_beside_the_tensors_are_read_and_others_named(tmp_path: Path) -> None:
    import argparse
    from collections import defaultdict

    import numpy as np

    state = {"a.weight": torch.ones(2, 2)}
    plain = {
        "options": argparse.Namespace(lr=np.float32(1)),
        "loss": np.float64(0.5),
        "step": np.int64(3),
        "history": np.zeros(3),
    }
    torch.save({"state_dict": state, **plain}, tmp_path / "a.pth")
    assert list(read_pth(tmp_path / "a.pth")) == ["a.weight"]
    torch.save({"state_dict": state, "log": defaultdict(list)}, tmp_path / "b.pth")
    with pytest.raises(
        CheckpointError,
        match=r"holds collections\.defaultdict beside the tensors, .*save the state dict alone",
    ):
        read_pth(tmp_path / "b.pth")
    torch.save({"state_dict": state, "x": _Command(tmp_path / "ran")}, tmp_path / "c.pth")
    with pytest.raises(CheckpointError, match=r"holds posix\.system beside the tensors"):
        read_pth(tmp_path / "c.pth")
    assert not (tmp_path / "ran").exists()
