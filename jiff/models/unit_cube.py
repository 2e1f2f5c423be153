"""The map from world points to the unit cube of the face feature grid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from jiff.models.config import FaceBranchConfig
    from jiff.models.face_input import FaceInput

PADDING = 0.1 + 0.001
"""Margin of the unit cube (Convolutional Occupancy Networks' padding and its epsilon, as published)."""

BODY_CENTER_Y = 100.0
"""Height of the published cube's centre: y in [-28, 228]."""


def rotate_y(points: Tensor, degrees: Tensor) -> Tensor:
    """Turn ``points`` [..., 3] about the y axis by ``degrees`` (broadcast over the leading dimensions)."""
    angle = torch.deg2rad(degrees.to(torch.float64))
    cosine, sine = torch.cos(angle).to(points.dtype), torch.sin(angle).to(points.dtype)
    x, y, z = points.unbind(-1)
    return torch.stack((cosine * x + sine * z, y.expand_as(x), cosine * z - sine * x), dim=-1)


@dataclass(frozen=True)
class UnitCube:
    """Where each item's cube stands.

    Attributes:
        center: [B, 3], world units, in the frame turned to the view.
        view_degrees: [B] yaw that points are turned by first.
        size_world: world units that the cube spans before padding.
    """

    center: Tensor
    view_degrees: Tensor
    size_world: float

    @classmethod
    def of(cls, face: FaceInput, config: FaceBranchConfig) -> UnitCube:
        """Return the cubes of a batch of priors: the body's, or each around its prior's bounding box."""
        device, dtype = face.box_world.device, face.box_world.dtype
        center = torch.tensor([0.0, BODY_CENTER_Y, 0.0], device=device, dtype=dtype).repeat(len(face), 1)
        if config.cube_follows_face:
            for index, vertices in enumerate(face.vertices_world):
                if vertices.shape[0] > 0:
                    turned = rotate_y(vertices, face.view_degrees[index])
                    center[index] = (turned.amin(dim=0) + turned.amax(dim=0)) / 2
        return cls(center, face.view_degrees, config.cube_size_world)

    def to_unit(self, points_world: Tensor, batch_index: Tensor) -> Tensor:
        """Map frontal world points to the cube, clamped to [0, 0.999] as published.

        Args:
            points_world: [P, 3].
            batch_index: item of each point, [P].

        Returns:
            [P, 3] in x, y, z order.
        """
        turned = rotate_y(points_world, self.view_degrees[batch_index])
        unit = (turned - self.center[batch_index]) / self.size_world / (1.0 + PADDING) + 0.5
        unit = torch.where(unit >= 1.0, torch.full_like(unit, 1.0 - 0.001), unit)
        return unit.clamp(min=0.0)


def voxel_index(points_unit: Tensor, batch_index: Tensor, resolution: int) -> Tensor:
    """Return the flat cell of each point [P, 3] in a batch of grids: x + R * (y + R * (z + R * item)), int64 [P]."""
    cell = (points_unit * resolution).long()
    return cell[:, 0] + resolution * (cell[:, 1] + resolution * (cell[:, 2] + resolution * batch_index))
