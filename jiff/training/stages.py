"""What each stage trains: the network, the frozen networks it stands on, and how a batch becomes a loss."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from jiff.base.errors import CheckpointError
from jiff.models.checkpoint import build_network, is_safetensors, load_published
from jiff.models.color_coarse import ColorCoarseNetwork
from jiff.models.color_fine import ColorFineNetwork
from jiff.models.config import ColorConfig, ShapeConfig
from jiff.models.registry import network_kind
from jiff.models.shape import ShapeNetwork

if TYPE_CHECKING:
    from jiff.data.sample import Batch
    from jiff.models.registry import Network
    from jiff.options.train import TrainConfig

_FREE = ("color_loss_type", "num_views")
"""Options of the network that a further training may change: its tensors mean the same with any of their values."""
_COMMANDS = {"shape": "shape", "color_coarse": "color-coarse", "color_fine": "color-fine"}


def find_network(folder: Path) -> Path | None:
    """Return the network that a stage's folder offers: the best, else the latest, else None."""
    for name in ("best.safetensors", "latest.safetensors"):
        if (folder / name).is_file():
            return folder / name
    return None


def _required(config: TrainConfig, stage: str, given: Path | None) -> tuple[Path, Network]:
    """Return the file and the frozen network of an earlier stage."""
    path = given or find_network(config.checkpoints_path / config.name / stage)
    if path is None:
        raise CheckpointError(
            f"{config.checkpoints_path / config.name / stage}: holds no {stage} network to build on; run "
            f"`jiff train {_COMMANDS[stage]}` with the same --name first, or give its checkpoint by option."
        )
    network = load_published(path, stage)
    network.requires_grad_(False)
    return path, network.eval()


class StageModule(nn.Module):
    """One stage: ``forward`` gives the loss of a batch, ``predict`` the answers at given points.

    Attributes:
        network: what is trained.
        shape, coarse: frozen networks in evaluation mode (colour stages); their features carry no gradient.
    """

    def __init__(
        self, network: Network, shape: ShapeNetwork | None = None, coarse: ColorCoarseNetwork | None = None
    ) -> None:
        super().__init__()
        self.network = network
        # In a tuple, so that they are no submodules: not trained, not averaged, not saved, never in train mode.
        self._frozen = (shape, coarse)

    @property
    def shape(self) -> ShapeNetwork | None:
        """The frozen shape network."""
        return self._frozen[0]

    @property
    def coarse(self) -> ColorCoarseNetwork | None:
        """The frozen coarse colour network."""
        return self._frozen[1]

    def move_frozen(self, device: torch.device) -> None:
        """Put the frozen networks on ``device``."""
        for network in self._frozen:
            if network is not None:
                network.to(device)

    def answer(self, batch: Batch, points_world: Tensor) -> Any:
        """Return the network's prediction object at ``points_world`` [B, N, 3]."""
        network = self.network
        if isinstance(network, ShapeNetwork):
            return network.query(network.encode(batch.images, batch.face), points_world, batch.calibs)
        if self.shape is None:
            raise TypeError("a colour stage needs the frozen shape network")
        with torch.no_grad():
            shape_features = self.shape.encode(batch.images, None)
        if isinstance(network, ColorCoarseNetwork):
            return network.query(network.encode(batch.images, shape_features), points_world, batch.calibs)
        if self.coarse is None or batch.images_hi is None or not isinstance(network, ColorFineNetwork):
            raise TypeError(
                "the fine colour stage needs the frozen coarse network and high-resolution images"
            )
        with torch.no_grad():
            coarse_features = self.coarse.encode(batch.images, shape_features)
            phi = self.coarse.query(coarse_features, points_world, batch.calibs).phi
        features = network.encode(batch.images_hi, batch.face)
        return network.query(features, points_world, batch.calibs, phi)

    def forward(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss of a batch and its parts."""
        found: tuple[Tensor, dict[str, Tensor]] = self.network.loss(  # type: ignore[operator]
            self.answer(batch, batch.points_world), batch.targets
        )
        return found


def network_config(config: TrainConfig) -> ShapeConfig | ColorConfig:
    """Return the architecture that the options describe."""
    found: ShapeConfig | ColorConfig = network_kind(config.stage).preset(
        config.network, **config.network_overrides()
    )
    return found


def build_stage(config: TrainConfig) -> StageModule:
    """Build the networks of a stage; frozen ones are read from the run's earlier stages or the given files.

    Raises:
        CheckpointError: an earlier stage is missing or does not fit.
    """
    starts = {
        "shape": config.shape_checkpoint,
        "color_coarse": config.coarse_checkpoint,
        "color_fine": config.fine_checkpoint,
    }
    shape = coarse = None
    start = starts[config.stage]
    if start is None:
        network = build_network(config.stage, network_config(config))
    else:
        network = _started_from(start, config)
    architecture = network.config
    if config.stage != "shape":
        path, shape = _required(config, "shape", config.shape_checkpoint)
        _check_fit(path, shape, architecture)  # type: ignore[arg-type]
    if config.stage == "color_fine":
        path, coarse = _required(config, "color_coarse", config.coarse_checkpoint)
        _check_phi(path, coarse, architecture)  # type: ignore[arg-type]
    return StageModule(network.train(), shape, coarse)  # type: ignore[arg-type]


def _started_from(path: Path, config: TrainConfig) -> Network:
    """Return the network of a checkpoint to go on from; what the file knows of itself wins over the command's defaults.

    Raises:
        CheckpointError: an option contradicts the file.
    """
    network = load_published(path, config.stage)
    given = config.network_overrides()
    if is_safetensors(path):
        known = network.config.to_dict()
        for name, value in given.items():
            plain = list(value) if isinstance(value, tuple) else value
            if name not in _FREE and known[name] != plain:
                raise CheckpointError(
                    f"{path}: was trained with {name} {known[name]}, which --{name.replace('_', '-')} {plain} contradicts; "
                    "leave the option out, or train a network of its own."
                )
        given = {name: value for name, value in given.items() if name in _FREE}
    # A published file does not hold what its tensors' shapes do not show.
    changed = type(network.config).from_dict({**network.config.to_dict(), **given})
    return network if changed == network.config else load_published(path, config.stage, changed)


def _check_fit(path: Path, shape: Network, architecture: ShapeConfig | ColorConfig) -> None:
    dim = getattr(shape.config, "hourglass_dim", 0)
    if isinstance(architecture, ColorConfig) and dim != architecture.shape_feature_dim:
        raise CheckpointError(
            f"{path}: this shape network has {dim} feature channels where this colour network expects "
            f"{architecture.shape_feature_dim}; train both with the same --network."
        )


def _check_phi(path: Path, coarse: Network, architecture: ShapeConfig | ColorConfig) -> None:
    dim = getattr(coarse.config, "phi_dim", 0)
    if isinstance(architecture, ColorConfig) and dim != architecture.phi_dim:
        raise CheckpointError(
            f"{path}: this coarse colour network hands on {dim} channels where this fine network expects "
            f"{architecture.phi_dim}; train both with the same --network."
        )
