"""What the networks that no published code trains have in common: one network, one loss, photographed people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from jiff.base.errors import DatasetError
from jiff.data.people_set import PHOTOS, ViewKind, held_out_people, list_views

if TYPE_CHECKING:
    from pathlib import Path

    from jiff.data.people_set import PersonBatch


class OwnModule(nn.Module):
    """``forward`` gives the loss of a batch.

    Attributes:
        network: what is trained.
    """

    shape = coarse = None
    network: nn.Module

    def move_frozen(self, device: torch.device) -> None:
        """There are no frozen networks."""

    def forward(self, batch: PersonBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss of a batch and its parts."""
        raise NotImplementedError

    def measures(self, items: Any, index: int, device: torch.device) -> dict[str, float]:
        """Return the measures of one held-out item."""
        raise NotImplementedError


def split_people(root: Path, kind: ViewKind = PHOTOS) -> tuple[list[str], list[str]]:
    """Return who is trained on and who is held out.

    Raises:
        DatasetError: there is nobody, or all are held out.
    """
    everybody, held_out = list(list_views(root, kind)), held_out_people(root)
    train = [name for name in everybody if name not in held_out]
    if not train:
        raise DatasetError(f"{root / 'val.txt'}: holds out everybody; leave some to train on.")
    return train, [name for name in held_out if name in everybody]
