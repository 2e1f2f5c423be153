"""Face priors as the networks take them: vertices, box and the view they are turned to."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class FaceInput:
    """A batch of face priors; items may have different numbers of vertices, or none.

    Attributes:
        vertices_world: per item [M_i, 3], frontal (yaw 0) world units.
        box_world: [B, 4] as xmin, xmax, ymin, ymax in the frontal world frame, borders included; a box with
            xmin > xmax means that no face is known.
        view_degrees: [B] yaw of the image; vertices and points are turned by Ry(view) before the unit-cube map.
        colors: per item [M_i, 3], RGB in [0, 1]; needed by the fine colour network.
    """

    vertices_world: list[Tensor]
    box_world: Tensor
    view_degrees: Tensor
    colors: list[Tensor] | None = None

    def __post_init__(self) -> None:
        count = len(self.vertices_world)
        if tuple(self.box_world.shape) != (count, 4):
            raise ValueError(f"box_world must be [{count}, 4]; got {tuple(self.box_world.shape)}.")
        if tuple(self.view_degrees.shape) != (count,):
            raise ValueError(f"view_degrees must be [{count}]; got {tuple(self.view_degrees.shape)}.")
        for index, vertices in enumerate(self.vertices_world):
            if vertices.ndim != 2 or vertices.shape[1] != 3:
                raise ValueError(f"vertices_world[{index}] must be [M, 3]; got {tuple(vertices.shape)}.")
        if self.colors is not None:
            shapes = [tuple(color.shape) for color in self.colors]
            if shapes != [tuple(vertices.shape) for vertices in self.vertices_world]:
                raise ValueError(f"colors must match vertices_world; got {shapes}.")

    def __len__(self) -> int:
        return len(self.vertices_world)

    def to(self, device: torch.device | str) -> FaceInput:
        """Return the same priors on ``device``."""
        return replace(
            self,
            vertices_world=[vertices.to(device) for vertices in self.vertices_world],
            box_world=self.box_world.to(device),
            view_degrees=self.view_degrees.to(device),
            colors=None if self.colors is None else [color.to(device) for color in self.colors],
        )

    def item(self, index: int) -> FaceInput:
        """Return item ``index`` as a batch of one."""
        return FaceInput(
            [self.vertices_world[index]],
            self.box_world[index : index + 1],
            self.view_degrees[index : index + 1],
            None if self.colors is None else [self.colors[index]],
        )

    def mask(self, points_world: Tensor) -> Tensor:
        """Return which of ``points_world`` [B, N, 3] lie in the face box (z is free): bool [B, N].

        An item without vertices has no face points, whatever its box.
        """
        box = self.box_world.to(points_world.dtype)[:, None, :]
        x, y = points_world[..., 0], points_world[..., 1]
        inside = (x >= box[..., 0]) & (x <= box[..., 1]) & (y >= box[..., 2]) & (y <= box[..., 3])
        counts = [vertices.shape[0] > 0 for vertices in self.vertices_world]
        return inside & torch.tensor(counts, device=points_world.device)[:, None]


def no_face(batch: int, device: torch.device | str = "cpu") -> FaceInput:
    """Return priors of ``batch`` items that have no face."""
    empty_box = torch.tensor([1.0, -1.0, 1.0, -1.0], device=device).repeat(batch, 1)
    vertices = [torch.zeros(0, 3, device=device) for _ in range(batch)]
    return FaceInput(
        vertices, empty_box, torch.zeros(batch, device=device), [torch.zeros_like(v) for v in vertices]
    )
