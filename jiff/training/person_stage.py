"""What training a prior-held person network needs: the module, its measures, its data."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from jiff.data.people_set import PersonBatch, collate_people
from jiff.data.person_set import PersonSet, PersonSetConfig
from jiff.models.checkpoint import build_network, load_published
from jiff.models.person.config import PersonConfig
from jiff.models.person.network import PersonAnswer, PersonNetwork, color_loss, person_loss
from jiff.training.own_stage import OwnModule, split_people

if TYPE_CHECKING:
    from jiff.base.progress import Progress
    from jiff.options.train_person import PersonTrainConfig


class PersonModule(OwnModule):
    """See ``OwnModule``."""

    network: PersonNetwork

    def __init__(self, network: PersonNetwork, color_weight: float) -> None:
        super().__init__()
        self.network, self._color_weight = network, color_weight

    def answer(self, batch: PersonBatch) -> tuple[PersonAnswer, PersonAnswer]:
        """Return the answers at labelled points, and those with colours at coloured ones."""
        features = self.network.encode(batch.pictures)
        labelled = self.network.query(features, batch.points_world, batch.prior)
        colored = self.network.query(
            features, batch.surface_world, batch.surface_prior, distances=False, colors=True
        )
        return labelled, colored

    def forward(self, batch: PersonBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss of a batch and its parts."""
        labelled, colored = self.answer(batch)
        loss, parts = person_loss(self.network, labelled, batch.targets, batch.of_head)
        more, color_parts = color_loss(colored, batch.colors)
        return loss + self._color_weight * more, {**parts, **color_parts}

    def measures(self, items: PersonSet, index: int, device: torch.device) -> dict[str, float]:
        """Return the measures of one held-out item: of the surface near the truth, at the head, of colours.

        ``iou`` is of points drawn around the surface and so lower than that of volumes; ``body_iou`` is what the fitted body
        alone reaches there.
        """
        batch = collate_people([items[(0, index)]]).to(device)
        labelled, colored = self.answer(batch)
        inside, found = batch.targets[0] > 0, labelled.distance[0] > 0
        head = labelled.head_weight[0] > 0.5
        held = batch.prior[0, :, 0] > 0

        def iou(a: Tensor, b: Tensor) -> float:
            union = int((a | b).sum())
            return int((a & b).sum()) / union if union else 1.0

        error = (
            (colored.rgb[0].float() - batch.colors[0]).abs().mean(dim=-1) if colored.rgb is not None else None
        )
        seen = batch.surface_prior[0, :, 7] > 0.5
        result = {"iou": iou(found, inside), "body_iou": iou(held, inside)}
        if bool(head.any()):
            result["face_iou"] = iou(found[head], inside[head])
            result["face_body_iou"] = iou(held[head], inside[head])
        if error is not None:
            result["color"] = float(error.mean())
            result["color_hidden"] = (
                float(error[~seen].mean()) if bool((~seen).any()) else float(error.mean())
            )
        return result


def build_person(config: PersonTrainConfig) -> PersonModule:
    """Return the module of a run, its network fresh or of ``--start``."""
    if config.start is not None:
        network = load_published(config.start, "person")
        network.requires_grad_(True)
    else:
        network = build_network("person", PersonConfig.from_dict(dict(config.network_values())))
    if not isinstance(network, PersonNetwork):
        raise TypeError("the registry made another kind of network")
    return PersonModule(network.train(), config.color_weight)


def open_people(
    config: PersonTrainConfig, progress: Progress
) -> tuple[PersonSet, PersonSet | None, list[str]]:
    """Open the photos to train on and those held out.

    Raises:
        DatasetError: there are none, or all are held out.
    """
    train, held = split_people(config.dataroot)
    settings = PersonSetConfig(
        config.num_points, config.num_head_points, config.num_colors, config.num_head_colors, config.random_flip,
        config.tones, config.prints, config.cuts, config.seed,
    )  # fmt: skip
    validation = PersonSet(config.dataroot, held, settings, train=False) if held and config.num_eval else None
    return PersonSet(config.dataroot, train, settings), validation, []
