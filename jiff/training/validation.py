"""Measures on held-out items: the same items, views and points every time."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from jiff.data.sample import collate
from jiff.training.own_stage import OwnModule

if TYPE_CHECKING:
    from jiff.data.dataset import TrainingSet
    from jiff.data.people_set import PeopleSet
    from jiff.training.stages import StageModule

_THRESHOLD = 0.5


def occupancy_measures(predicted: Tensor, labels: Tensor) -> dict[str, float]:
    """Return iou, precision and recall of occupancies against 0/1 labels, both [N]; an empty union counts as 1."""
    inside, true = predicted > _THRESHOLD, labels > _THRESHOLD
    both = int((inside & true).sum())
    union, found, there = int((inside | true).sum()), int(inside.sum()), int(true.sum())
    return {
        "iou": both / union if union else 1.0,
        "precision": both / found if found else float(there == 0),
        "recall": both / there if there else 1.0,
    }


def spread_items(count: int, total: int) -> list[int]:
    """Return at most ``count`` of ``total`` items, evenly spread."""
    return sorted({int(i) for i in np.linspace(0, total - 1, min(count, total)).round()})


def _shape_measures(
    module: StageModule, items: TrainingSet, index: int, points: int, device: torch.device
) -> dict[str, float]:
    sample = items[(0, index)]
    batch = collate([sample]).to(device)
    pool = items.labels[sample.subject]
    world, labels = pool.category("volume", points, seed=index)
    answer = module.answer(batch, torch.from_numpy(world)[None].to(device))
    body = answer.body[-1][0].float()
    truth = torch.from_numpy(labels).to(device)
    result = occupancy_measures(body, truth)
    result["mse"] = float(((body - truth) ** 2).mean())
    world, labels = pool.category("face", points, seed=index)
    if len(world):
        answer = module.answer(batch, torch.from_numpy(world)[None].to(device))
        truth = torch.from_numpy(labels).to(device)
        body = occupancy_measures(answer.body[-1][0].float(), truth)
        fused = occupancy_measures(answer.fused()[0].float(), truth)
        result.update({f"face_{key}": value for key, value in fused.items()})
        result.update({f"face_{key}_body_branch": value for key, value in body.items()})
    return result


def _color_measures(
    module: StageModule, items: TrainingSet, index: int, device: torch.device
) -> dict[str, float]:
    batch = collate([items[(0, index)]]).to(device)
    answer = module.answer(batch, batch.points_world)
    # Colours are in [-1, 1]; errors are reported for [0, 1].
    error = (answer.rgb.float() - batch.targets).abs().mean(dim=-1)[0] / 2.0
    face = batch.face.mask(batch.points_world)[0]
    result = {"color_l1": float(error.mean())}
    if bool(face.any()):
        result["face_color_l1"] = float(error[face].mean())
    return result


@torch.no_grad()
def validate(
    module: StageModule | OwnModule,
    items: TrainingSet | PeopleSet,
    count: int,
    points: int,
    device: torch.device,
) -> dict[str, float]:
    """Return the mean measures over ``count`` spread items.

    Shape: iou, precision, recall and mse at points uniform in the scan's bounding box; the same with ``face_`` at
    points uniform in the face box, for the fused answer and for the body branch alone (``_body_branch``).
    Colour: mean absolute error in [0, 1], over the surface and over the face. Person: see ``PersonModule.measures``;
    normals: ``NormalsModule.measures``.

    Args:
        module: the stage; left in the mode it came in.
        items: from ``TrainingSet(train=False)``.
        count: items at most.
        points: points per item.
        device: where the module is.
    """
    training = module.network.training
    module.network.eval()
    sums: dict[str, list[float]] = defaultdict(list)
    for index in spread_items(count, len(items)):
        if isinstance(module, OwnModule):
            measured = module.measures(items, index, device)
        elif items.config.stage == "shape":  # type: ignore[union-attr]
            measured = _shape_measures(module, items, index, points, device)  # type: ignore[arg-type]
        else:
            measured = _color_measures(module, items, index, device)  # type: ignore[arg-type]
        for key, value in measured.items():
            sums[key].append(value)
    module.network.train(training)
    return {key: float(np.mean(values)) for key, values in sums.items()}


def score(measures: dict[str, float]) -> float:
    """Return one number to choose the best checkpoint by, larger is better."""
    if "color_l1" in measures:
        return -measures["color_l1"] - measures.get("face_color_l1", measures["color_l1"])
    if "angle" in measures:
        return -measures["angle"]
    if "color" in measures:
        return measures["iou"] + measures.get("face_iou", measures["iou"]) - measures["color"]
    return measures.get("iou", 0.0) + measures.get("face_iou", measures.get("iou", 0.0))
