"""The four walks of docs/extending.md, each made once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from jiff.base.config import from_plain, option
from jiff.base.errors import UsageError
from jiff.face.models.registry import load_face_model
from jiff.models import checkpoint, registry
from jiff.models.checkpoint import load_network, save_network
from jiff.models.config import ShapeConfig
from jiff.models.presets import shape_preset
from jiff.models.registry import NETWORKS, NetworkKind
from jiff.models.shape import ShapeNetwork
from jiff.options import face_models
from jiff.options.face_models import FACE_MODELS, FaceModelEntry, face_model_help, face_model_names
from jiff.options.prt import PrtConfig
from jiff.pipelines.command_line import command_line
from jiff_cli.spec.from_dataclass import Blueprint


@dataclass(frozen=True)
class LongerPrtConfig(PrtConfig):
    """The options of a stage with one more."""

    bounces: int = option(1, help="Bounces.", min=1, flags=("-b",), aliases=("--n-bounce",))


def test_an_option() -> None:
    blueprint = Blueprint(LongerPrtConfig)
    (parameter,) = [item for item in blueprint.parameters() if item.name == "bounces"]
    assert parameter.default == 1
    spellings = [set(known.spellings) for known in blueprint.known()]
    assert {"--bounces", "-b", "--n-bounce"} in spellings
    assert from_plain(LongerPrtConfig, {"input": "x", "n-bounce": 3}).bounces == 3
    assert command_line("data prt", LongerPrtConfig(Path("x"), bounces=2)) == "jiff data prt -i x -b 2"


def test_a_face_model(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = FaceModelEntry(
        "twin", "anny again", "Face prior: twin.", "jiff.face.models.anny_face:load_anny_face"
    )
    with pytest.raises(UsageError, match="is not a face model; choose from anny, bfm, flame"):
        load_face_model("twin")
    monkeypatch.setattr(face_models, "FACE_MODELS", (*FACE_MODELS, entry))
    assert len(load_face_model("twin").mean) == len(load_face_model("anny").mean)
    assert "twin" in face_model_names() and "twin (anny again)" in face_model_help()


@dataclass(frozen=True)
class ScaledConfig(ShapeConfig):
    """A configuration with one more value."""

    scale: float = 1.0


class ScaledNetwork(ShapeNetwork):
    """A variant that remembers its configuration."""


def test_a_network_variant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = NetworkKind("scaled", ScaledNetwork, ScaledConfig, shape_preset)
    for module in (registry, checkpoint):
        # Before the network it derives from, which it is an instance of.
        monkeypatch.setattr(module, "NETWORKS", (kind, *NETWORKS))
        monkeypatch.setattr(module, "KINDS", ("scaled", *registry.KINDS))
    plain = {**shape_preset("tiny").to_dict(), "scale": 2.5}
    network = checkpoint.build_network("scaled", ScaledConfig.from_dict(plain))
    save_network(tmp_path / "a.safetensors", network)
    again = load_network(tmp_path / "a.safetensors")
    assert isinstance(again, ScaledNetwork) and again.config == network.config
    assert again.config.scale == 2.5  # type: ignore[attr-defined]
