"""The network of normals: what it takes and answers, its loss and measure, its files."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open

from jiff.base.errors import CheckpointError, ConfigError, UsageError
from jiff.models.checkpoint import kind_of, load_network, save_network
from jiff.models.normals.config import NormalConfig
from jiff.models.normals.default import default_normals, load_normals
from jiff.models.normals.network import NormalNetwork, mean_angle_deg, normals_loss, normals_picture
from jiff.models.person.network import PersonNetwork
from jiff.models.presets import normals_preset, person_preset
from jiff.models.registry import NetworkKind, network_kind
from jiff.pipelines.convert import convert_checkpoint


def tiny() -> NormalNetwork:
    return NormalNetwork(normals_preset("tiny")).eval()


def test_pictures_are_gray_where_nobody_is() -> None:
    rgb, mask = torch.rand(2, 3, 8, 8), torch.zeros(2, 1, 8, 8)
    mask[:, :, 2:5] = 1
    picture = normals_picture(rgb, mask)
    assert picture.shape == (2, 4, 8, 8)
    torch.testing.assert_close(picture[:, :3, 2:5], rgb[:, :, 2:5] * 2 - 1)
    assert torch.all(picture[:, :3, :2] == 0) and torch.equal(picture[:, 3:], mask * 2 - 1)


@pytest.mark.parametrize("shape", [(32, 32), (64, 36)])
@pytest.mark.parametrize("scale", [1.0, 0.0])
def test_answers_have_length_one_and_the_pictures_size(shape: tuple[int, int], scale: float) -> None:
    network = tiny()
    with torch.no_grad():
        found = network(torch.randn(2, 4, *shape) * scale)
    assert found.shape == (2, 3, *shape)
    torch.testing.assert_close(found.norm(dim=1), torch.ones(2, *shape))


def test_answers_are_full_floats_where_the_rest_is_not() -> None:
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        found = tiny()(torch.randn(1, 4, 32, 32))
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.norm(dim=1), torch.ones(1, 32, 32))


@pytest.mark.parametrize("shape", [(4, 32, 32), (1, 3, 32, 32), (1, 4, 30, 32), (1, 4, 32, 33)])
def test_pictures_of_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"picture must be \[B, 4, H, W\], sides multiples of 4; got"):
        tiny()(torch.zeros(shape))


def unit_normals(*angles_deg: float) -> torch.Tensor:
    """Normals turned from the camera's axis to the right by so much, [1, 3, 1, N]."""
    angle = torch.deg2rad(torch.tensor(angles_deg))
    return torch.stack([angle.sin(), torch.zeros_like(angle), angle.cos()])[None, :, None]


def test_loss_and_angle_are_known_and_count_what_counts() -> None:
    wanted, found = unit_normals(0, 0, 0), unit_normals(0, 60, 90)
    everything = torch.ones(1, 1, 1, 3)
    loss, parts = normals_loss(found, wanted, everything)
    difference = (math.sqrt(3) / 2 + 0.5 + 1 + 1) / 3
    assert float(parts["difference"]) == pytest.approx(difference, rel=1e-5)
    assert float(parts["turn"]) == pytest.approx((0.5 + 1) / 3, rel=1e-5)
    assert float(loss) == pytest.approx(difference + 0.25, rel=1e-5)
    assert mean_angle_deg(found, wanted, everything) == pytest.approx(50, abs=1e-3)
    some = torch.tensor([[[[1.0, 1.0, 0.0]]]])
    assert mean_angle_deg(found, wanted, some) == pytest.approx(30, abs=1e-3)
    nothing = torch.zeros_like(everything)
    assert mean_angle_deg(found, wanted, nothing) == 0 == float(normals_loss(found, wanted, nothing)[0])
    assert mean_angle_deg(unit_normals(180), unit_normals(0), torch.ones(1, 1, 1, 1)) == pytest.approx(
        180, abs=0.1
    )


NAMES = {
    "stem.weight": (24, 4, 5, 5), "stem_norm.weight": (24,), "stem_norm.bias": (24,),
    "down.0.conv1.weight": (48, 24, 3, 3), "down.0.norm1.weight": (48,), "down.0.norm1.bias": (48,),
    "down.0.conv2.weight": (48, 48, 3, 3), "down.0.norm2.weight": (48,), "down.0.short.weight": (48, 24, 1, 1),
    "down.3.conv1.weight": (128, 96, 3, 3), "deep.conv2.weight": (128, 128, 3, 3),
    "up.0.conv1.weight": (96, 224, 3, 3), "up.3.conv1.weight": (24, 72, 3, 3), "up.3.short.weight": (24, 72, 1, 1),
    "out.weight": (12, 24, 1, 1), "out.bias": (12,), "fine.weight": (8, 4, 3, 3), "fine.bias": (8,),
    "mix.weight": (16, 11, 3, 3), "mix.bias": (16,), "last.weight": (3, 16, 3, 3), "last.bias": (3,),
}  # fmt: skip


def test_names_of_the_tensors_stay() -> None:
    """Files that were trained would not load any more."""
    state = NormalNetwork(NormalConfig()).state_dict()
    assert {name: tuple(state[name].shape) for name in NAMES} == NAMES
    assert len(state) == 73


def test_configurations_come_back_and_bad_ones_are_refused() -> None:
    config = normals_preset("tiny")
    assert NormalConfig.from_dict(config.to_dict()) == config and config.multiple == 4
    assert NormalConfig.from_dict({}) == normals_preset("default") == NormalConfig()
    bad: list[dict[str, Any]] = [
        {"channels": []},
        {"channels": [8, 0]},
        {"channels": ["x"]},
        {"channels": 3},
        {"no": 1},
    ]
    for values in bad:
        with pytest.raises(ConfigError):
            NormalConfig.from_dict(values)
    assert isinstance(network_kind("normals"), NetworkKind)


@pytest.mark.parametrize("channels", [(8,), (8, 8), (16, 8, 24)])
def test_training_files_become_half_as_large_and_tell_their_size(
    channels: tuple[int, ...], tmp_path: Path
) -> None:
    network = NormalNetwork(NormalConfig(channels)).eval()
    source, half = tmp_path / "net.pt", tmp_path / "half.safetensors"
    torch.save(network.state_dict(), source)
    assert convert_checkpoint(source, half, half=True).kind == "normals"
    with safe_open(half, framework="pt") as handle:
        assert handle.get_tensor("out.weight").dtype == torch.float16
    picture = torch.randn(1, 4, 32, 32)
    for path, error in ((source, 0.0), (half, 0.02)):
        found = load_normals(path)
        assert found.config.channels == channels and not found.training
        assert {value.dtype for value in found.state_dict().values()} == {torch.float32}
        assert not any(value.requires_grad for value in found.parameters())
        with torch.no_grad():
            torch.testing.assert_close(found(picture), network(picture), atol=error, rtol=0)


def test_own_checkpoints_come_back_and_others_are_refused(tmp_path: Path) -> None:
    network, path = tiny(), tmp_path / "latest.safetensors"
    save_network(path, network)
    found = load_network(path)
    assert kind_of(found) == "normals" and found.config == network.config
    with pytest.raises(CheckpointError, match=r"holds a normals network.*use --half"):
        convert_checkpoint(path, tmp_path / "net.pth")
    with pytest.raises(UsageError, match="--half writes safetensors"):
        convert_checkpoint(path, tmp_path / "net.pth", half=True)
    other = tmp_path / "person.safetensors"
    save_network(other, PersonNetwork(person_preset("tiny")))
    with pytest.raises(CheckpointError, match="holds a person network, not normals"):
        load_normals(other)
    with pytest.raises(CheckpointError, match=r"none\.safetensors: cannot be read"):
        load_normals(tmp_path / "none.safetensors")
    lacking = {name: value for name, value in network.state_dict().items() if name != "mix.bias"}
    torch.save(lacking, tmp_path / "lacking.pt")
    with pytest.raises(CheckpointError, match=r"mix\.bias"):
        load_normals(tmp_path / "lacking.pt")
    torch.save({"x": torch.zeros(1)}, tmp_path / "x.pt")
    with pytest.raises(CheckpointError, match="give a normals checkpoint"):
        load_normals(tmp_path / "x.pt")


def test_the_installed_network_loads() -> None:
    assert default_normals().stat().st_size < 4e6
    network = load_normals()
    assert network.config == NormalConfig() and not network.training
    # A ball under a lamp from the upper right leans to the right on its right side, and up on its upper one.
    side = torch.linspace(-1.05, 1.05, 128)
    y, x = torch.meshgrid(-side, side, indexing="ij")
    z = (1 - x * x - y * y).clamp(min=0).sqrt()
    mask = (x * x + y * y < 1).float()[None, None]
    shade = (0.4 + 0.5 * (0.5 * x + 0.5 * y + 0.7 * z).clamp(min=0)).expand(1, 3, 128, 128)
    with torch.no_grad():
        found = network(normals_picture(shade, mask))
    on = mask[0, 0] > 0
    for axis, true in enumerate((x, y)):
        assert float(torch.corrcoef(torch.stack([found[0, axis][on], true[on]]))[0, 1]) > 0.8
