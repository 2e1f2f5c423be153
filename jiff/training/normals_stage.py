"""What training a network of normals needs: the module, its measure, its data."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from jiff.base.errors import UsageError
from jiff.data.normals_set import NormalsSet, NormalsSetConfig
from jiff.data.people_set import NORMALS, PersonBatch, collate_people
from jiff.models.normals.config import NormalConfig
from jiff.models.normals.default import load_normals
from jiff.models.normals.network import NormalNetwork, mean_angle_deg, normals_loss
from jiff.training.own_stage import OwnModule, split_people

if TYPE_CHECKING:
    from jiff.options.train_normals import NormalsTrainConfig


class NormalsModule(OwnModule):
    """See ``OwnModule``."""

    network: NormalNetwork

    def __init__(self, network: NormalNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, batch: PersonBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss of a batch and its parts."""
        return normals_loss(self.network(batch.images), batch.normals, batch.counted)

    def measures(self, items: NormalsSet, index: int, device: torch.device) -> dict[str, float]:
        """Return the mean angle between true and answered normals of one held-out photo, degrees."""
        batch = collate_people([items[(0, index)]]).to(device)
        return {"angle": mean_angle_deg(self.network(batch.images), batch.normals, batch.counted)}


def build_normals(config: NormalsTrainConfig) -> NormalsModule:
    """Return the module of a run, its network fresh or of ``--start``.

    Raises:
        CheckpointError: the network to start from cannot be read, or is another.
    """
    network = (
        NormalNetwork(NormalConfig(config.channels)) if config.start is None else load_normals(config.start)
    )
    network.requires_grad_(True)
    return NormalsModule(network.train())


def open_normals(
    config: NormalsTrainConfig, network: NormalConfig
) -> tuple[NormalsSet, NormalsSet | None, list[str]]:
    """Open the photos to train on and those held out.

    Raises:
        UsageError: crops of this size do not fit the network.
        DatasetError: there are none, or all are held out.
    """
    if config.crop_size % network.multiple:
        raise UsageError(
            f"--crop-size {config.crop_size} must be a multiple of {network.multiple} for this network."
        )
    train, held = split_people(config.dataroot, NORMALS)
    settings = NormalsSetConfig(
        config.crop_size, network.multiple, config.random_flip, config.lamps, config.patterns, config.shadows,
        config.rough_masks, config.tones, config.seed,
    )  # fmt: skip
    validation = (
        NormalsSet(config.dataroot, held, settings, train=False) if held and config.num_eval else None
    )
    return NormalsSet(config.dataroot, train, settings), validation, []
