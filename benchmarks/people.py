"""Random training items at any size, for benchmarks that need no data set."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from jiff.data.sample import Batch
from jiff.geometry.camera import Camera
from jiff.models.face_input import FaceInput

FACE_VERTICES = 10_000


def random_batch(items: int, size: int, points: int, face_points: int, seed: int = 0) -> Batch:
    """Return ``items`` random people: images [size], points around a body and in the face box, a face prior each."""
    generator = torch.Generator().manual_seed(seed)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator)

    spread = torch.tensor([60.0, 180.0, 40.0])
    body = (uniform(items, points, 3) - 0.5) * spread + torch.tensor([0.0, 90.0, 0.0])
    low, extent = torch.tensor([-10.0, 150.0, -10.0]), torch.tensor([20.0, 27.0, 24.0])
    points_world = torch.cat([body, low + extent * uniform(items, face_points, 3)], dim=1)
    calib = torch.from_numpy(Camera(size=size).calib).float()
    face = FaceInput(
        [_front_of_head(uniform(FACE_VERTICES, 2)) for _ in range(items)],
        torch.tensor([[-10.0, 10.0, 150.0, 177.0]]).repeat(items, 1),
        torch.linspace(-30.0, 30.0, items),
    )
    return Batch(
        [f"person {index}" for index in range(items)],
        ["0_0_00"] * items,
        uniform(items, 1, 3, size, size) * 2 - 1,
        None,
        calib.repeat(items, 1, 1, 1),
        points_world,
        (uniform(items, points + face_points) > 0.5).float(),
        face,
    )


def _front_of_head(square: Tensor) -> Tensor:
    """Return [N, 3] points of half an ellipsoid where a face would be."""
    height, angle = 1.8 * square[:, 0] - 0.9, math.pi * (square[:, 1] - 0.5)
    radius = torch.sqrt(1.0 - height**2)
    unit = torch.stack([radius * torch.sin(angle), height, radius * torch.cos(angle)], dim=1)
    return unit * torch.tensor([7.5, 12.0, 9.0]) + torch.tensor([0.0, 163.0, 2.0])


def item_of(batch: Batch, index: int) -> Batch:
    """Return one item as a batch of one."""
    part = slice(index, index + 1)
    return Batch(
        batch.subjects[part],
        batch.views[part],
        batch.images[part],
        None,
        batch.calibs[part],
        batch.points_world[part],
        batch.targets[part],
        batch.face.item(index),
    )
