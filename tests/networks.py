"""Small subjects that tests of the networks share."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from jiff.models.face_input import FaceInput

HALF_WIDTH_WORLD = 102.4


@dataclass(frozen=True)
class Subjects:
    """A batch: images, high-resolution images, points, labels, colours, calibrations and face priors."""

    images: Tensor
    images_hi: Tensor
    points: Tensor
    labels: Tensor
    rgb: Tensor
    calibs: Tensor
    face: FaceInput

    def item(self, index: int) -> Subjects:
        """Subject ``index`` as a batch of one."""
        part = slice(index, index + 1)
        return Subjects(
            self.images[part],
            self.images_hi[part],
            self.points[part],
            self.labels[part],
            self.rgb[part],
            self.calibs[part],
            self.face.item(index),
        )

    def double(self) -> Subjects:
        """The same in float64."""
        face = FaceInput(
            [vertices.double() for vertices in self.face.vertices_world],
            self.face.box_world.double(),
            self.face.view_degrees.double(),
            None if self.face.colors is None else [color.double() for color in self.face.colors],
        )
        tensors = (self.images, self.images_hi, self.points, self.labels, self.rgb, self.calibs)
        return Subjects(*(tensor.double() for tensor in tensors), face)


def canonical_calib() -> Tensor:
    """World to NDC of the canonical camera, [4, 4]."""
    calib = torch.diag(torch.tensor([1.0, -1.0, 1.0, HALF_WIDTH_WORLD])) / HALF_WIDTH_WORLD
    calib[1, 3] = 90.0 / HALF_WIDTH_WORLD
    return calib


def random_subjects(seed: int = 0, count: int = 300, size: int = 64, views: int = 1) -> Subjects:
    """Three people with different boxes, vertex counts and yaws; the second one's box catches no point."""
    generator = torch.Generator().manual_seed(seed)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator)

    points = (uniform(3, count, 3) - 0.5) * torch.tensor([90.0, 200.0, 40.0]) + torch.tensor([0.0, 90.0, 0.0])
    vertices = [uniform(n, 3) * 22.0 + torch.tensor([-11.0, 148.0, -11.0]) for n in (90, 40, 61)]
    boxes = torch.tensor([[-12.0, 12.0, 140.0, 175.0], [1.0, -1.0, 1.0, -1.0], [-40.0, 20.0, 90.0, 180.0]])
    return Subjects(
        images=uniform(3, views, 3, size, size) * 2 - 1,
        images_hi=uniform(3, views, 3, 2 * size, 2 * size) * 2 - 1,
        points=points,
        labels=(uniform(3, count) > 0.5).float(),
        rgb=uniform(3, count, 3) * 2 - 1,
        calibs=canonical_calib().repeat(3, views, 1, 1),
        face=FaceInput(
            vertices, boxes, torch.tensor([0.0, 36.0, 250.0]), [uniform(len(v), 3) for v in vertices]
        ),
    )
