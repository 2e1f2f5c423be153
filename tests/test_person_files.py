"""Configurations and files of person networks."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch.nn import functional

from jiff.base.errors import CheckpointError, ConfigError
from jiff.models.checkpoint import (
    METADATA_KEY,
    build_network,
    kind_of,
    load_network,
    load_published,
    save_network,
    write_pth,
)
from jiff.models.person.config import PersonConfig
from jiff.models.person.encoder import Encoder, _Block
from jiff.models.person.network import PersonNetwork
from jiff.models.presets import color_preset, person_preset
from tests.test_person_network import answer_of, asked, network


def test_configuration_comes_back_and_bad_ones_are_refused() -> None:
    config = person_preset("tiny", body=False, head_channels=())
    again = PersonConfig.from_dict(config.to_dict())
    assert again == config and isinstance(again.hidden, tuple) and not again.close_up
    assert PersonConfig.from_dict({}) == PersonConfig() == person_preset("default")
    bad: list[dict[str, Any]] = [
        {"no_such": 1}, {"view_channels": []}, {"view_channels": [8, 0]}, {"head_channels": [8, -8]}, {"hidden": []},
        {"hidden": [0]}, {"feature_dim": 0}, {"head_feature_dim": 0}, {"load_size": 100}, {"load_size": 0},
        {"load_size": "large"}, {"feature_dim": "wide"}, {"sharpness": 0.0}, {"sharpness": math.nan}, {"hidden": ["wide"]}, {"hidden": 3},
    ]  # fmt: skip
    for values in bad:
        with pytest.raises(ConfigError):
            PersonConfig.from_dict(values)
    with pytest.raises(ConfigError, match="has no option no_such"):
        PersonConfig.from_dict({"no_such": 1})
    with pytest.raises(ConfigError, match="there is no preset"):
        person_preset("none")


@pytest.mark.parametrize("channels", [(8,), (17, 25), (30, 7, 50)])
def test_every_number_of_channels_can_be_built(channels: tuple[int, ...]) -> None:
    """Also those that groups of eight do not divide."""
    encoder = Encoder(channels, 5)
    side = 2 ** (len(channels) + 1)
    assert encoder(torch.zeros(1, 11, side, side)).shape == (1, 5, side // 2, side // 2)


def test_shortcuts_are_strided_convolutions() -> None:
    """As networks were trained."""
    block = _Block(8, 16, 2)
    kernel = block.short.weight
    torch.nn.init.zeros_(block.norm2.weight)
    x = torch.rand(1, 8, 10, 10)
    wanted = functional.silu(functional.conv2d(x, kernel, stride=2))
    torch.testing.assert_close(block(x), wanted)


def test_channels_last_gives_the_same_gradients() -> None:
    """Regression: a strided 1 x 1 convolution over 8 channels damaged the memory of the process."""
    grads = []
    for layout in (torch.contiguous_format, torch.channels_last):
        torch.manual_seed(0)
        encoder = Encoder((8, 8, 16), 8).to(memory_format=layout)  # type: ignore[call-overload]
        picture = torch.rand(2, 11, 64, 64, generator=torch.Generator().manual_seed(1))
        for _ in range(4):
            encoder.zero_grad()
            encoder(picture).square().mean().backward()
        grads.append([value.grad.clone() for value in encoder.parameters() if value.grad is not None])
    for first, second in zip(*grads):
        torch.testing.assert_close(first, second, atol=1e-5, rtol=1e-3)


def test_files_come_back(tmp_path: Path) -> None:
    made = network(spread=0.3)
    path = tmp_path / "latest.safetensors"
    save_network(path, made)
    points, says = asked()
    wanted = answer_of(made, points, says)
    for found in (load_network(path), load_published(path, "person")):
        assert isinstance(found, PersonNetwork) and kind_of(found) == "person" and not found.training
        assert found.config == made.config and torch.equal(
            answer_of(found, points, says).distance, wanted.distance
        )
    # Shipped in half precision, computed in full.
    half = {name: value.half() for name, value in made.state_dict().items()}
    with safetensors.safe_open(path, framework="pt") as handle:
        header = handle.metadata()
    assert METADATA_KEY in header
    small = tmp_path / "half.safetensors"
    safetensors.torch.save_file(half, small, header)
    assert small.stat().st_size < 0.6 * path.stat().st_size
    found = load_published(small, "person")
    assert isinstance(found, PersonNetwork)
    assert {value.dtype for value in found.state_dict().values()} == {torch.float32}
    torch.testing.assert_close(answer_of(found, points, says).distance, wanted.distance, atol=0.05, rtol=0)


def test_files_of_others_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "latest.safetensors"
    save_network(path, network())
    with pytest.raises(CheckpointError, match="holds a person network, not shape"):
        load_published(path, "shape")
    save_network(path, build_network("color_coarse", color_preset("tiny")))
    with pytest.raises(CheckpointError, match="not person"):
        load_published(path, "person")
    pth = tmp_path / "net.pth"
    write_pth(pth, network().state_dict())
    with pytest.raises(CheckpointError, match=f"{pth}: holds"):
        load_published(pth, "person")
    with pytest.raises(ConfigError, match="takes a PersonConfig"):
        build_network("person", color_preset("tiny"))
