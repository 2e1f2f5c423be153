"""Gathering of face points over a batch, and what the networks return about them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from jiff.models.face_input import FaceInput
from jiff.models.feature_grid import FeatureGrid
from jiff.models.unit_cube import UnitCube

FUSION_RATE = 0.03
"""Published rate of the fusion weight exp(-0.03 d^2) with d the distance to the 3DMM over sqrt(3)."""


@dataclass(frozen=True)
class FaceFeatures:
    """Encoded priors: their feature grids, the cubes they fill, and the priors themselves."""

    grid: FeatureGrid | None
    cube: UnitCube
    face: FaceInput

    def sample(self, points_world: Tensor, batch_index: Tensor, counts: list[int]) -> Tensor | None:
        """Return the grids' features at points [F, 3] listed item after item: [F, C]; None where there is no grid.

        Args:
            points_world: the points.
            batch_index: item of each, [F].
            counts: points of each item.
        """
        if self.grid is None:
            return None
        return self.grid.sample(self.cube.to_unit(points_world, batch_index), counts)

    def sample_single(self, points_world: Tensor) -> Tensor | None:
        """Return the features of the only item at points [F, 3]."""
        item = torch.zeros(len(points_world), dtype=torch.int64, device=points_world.device)
        return self.sample(points_world, item, [len(points_world)])


def fuse(face: Tensor, body: Tensor, face_distance_world: Tensor) -> Tensor:
    """Blend the face's answers into the body's by the distance to the 3DMM's surface, all [F].

    The weight of the face is exp(-0.03 d^2) with d the distance over sqrt(3), as published.
    """
    weight = torch.exp(-FUSION_RATE * face_distance_world.to(face.dtype) ** 2 / 3.0)
    return weight * face + (1.0 - weight) * body


@dataclass(frozen=True)
class FacePoints:
    """The points of a batch that lie in their item's face box, listed item after item in input order.

    Attributes:
        mask: bool [B, N].
        index: flat index into [B * N] of each face point, [F].
        batch_index: item of each, [F].
        counts: face points of each item.
    """

    mask: Tensor
    index: Tensor
    batch_index: Tensor
    counts: list[int]

    @classmethod
    def select(cls, face: FaceInput | None, points_world: Tensor) -> FacePoints:
        """Find the face points among ``points_world`` [B, N, 3]."""
        batch, count = points_world.shape[:2]
        if face is None:
            mask = torch.zeros(batch, count, dtype=torch.bool, device=points_world.device)
        else:
            mask = face.mask(points_world)
        index = mask.reshape(-1).nonzero()[:, 0]
        batch_index = torch.div(index, max(count, 1), rounding_mode="floor")
        return cls(mask, index, batch_index, mask.sum(dim=1).tolist())

    def gather(self, values: Tensor) -> Tensor:
        """Return the face points' rows of ``values`` [B, N, ...]: [F, ...]."""
        return values.flatten(0, 1)[self.index]

    def gather_views(self, features: Tensor) -> Tensor:
        """Return the face points' rows of pixel features [B, V, N, C], views first: [V, F, C]."""
        return features.transpose(0, 1).flatten(1, 2)[:, self.index]

    def scatter(self, rows: Tensor, like: Tensor | None = None) -> Tensor:
        """Put rows [F, ...] at the face points of [B, N, ...]; elsewhere 0, or ``like``."""
        if like is None:
            base = rows.new_zeros(self.mask.numel(), *rows.shape[1:])
        else:
            base = like.flatten(0, 1)
        return base.index_copy(0, self.index, rows.to(base.dtype)).unflatten(0, tuple(self.mask.shape))

    def grid_features(self, features: FaceFeatures, points_world: Tensor) -> Tensor | None:
        """Sample the grids at the face points: [F, C], or None where the head has no 3D branch."""
        return features.sample(self.gather(points_world), self.batch_index, self.counts)


def flatten_vertices(face: FaceInput) -> tuple[Tensor, Tensor]:
    """Return all vertices of a batch of priors, [M, 3], and the item of each, [M]."""
    counts = torch.tensor([vertices.shape[0] for vertices in face.vertices_world])
    batch_index = torch.repeat_interleave(torch.arange(len(face)), counts)
    vertices = torch.cat(face.vertices_world)
    return vertices, batch_index.to(vertices.device)


def mean_loss(
    errors_body: Tensor,  # [S, B, N]
    errors_face: Tensor | None,  # [K, F]
    points: FacePoints,
    branches: Sequence[str] = (),
) -> tuple[Tensor, dict[str, Tensor]]:
    """Average pointwise errors as published, per item, then over the batch.

    An item's loss is the mean over its predictions (each a mean over its own points); an item without face points
    has body predictions only.

    Args:
        errors_body: per prediction, item and point.
        errors_face: per prediction and face point; the predictions repeat ``branches`` in turn.
        points: which points are face points.
        branches: names of the face predictions.

    Returns:
        The loss, and its parts "body" and "face" (means over the predictions of that kind; 0 where no item has face
        points), and "face_<branch>" for every branch.
    """
    body = errors_body.mean(dim=2)
    total, number = body.sum(dim=0), torch.full_like(body[0], float(body.shape[0]))
    parts = {"body": body.mean().detach(), "face": body.new_zeros(())}
    if errors_face is not None and errors_face.shape[0] > 0:
        predictions, items = errors_face.shape[0], body.shape[1]
        counts = torch.tensor(points.counts, device=body.device)
        summed = body.new_zeros(predictions, items).index_add(1, points.batch_index, errors_face)
        face = summed / counts.clamp(min=1)
        has_face = counts > 0
        total = total + face.sum(dim=0)
        number = number + predictions * has_face
        rows = face.detach().sum(dim=1) / has_face.sum().clamp(min=1)
        parts["face"] = rows.mean()
        for index, name in enumerate(branches):
            parts[f"face_{name}"] = rows[index :: len(branches)].mean()
    return (total / number).mean(), parts
