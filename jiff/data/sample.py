"""One training item, and several of them stacked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from jiff.data.face_data import FaceData
from jiff.models.face_input import FaceInput

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


@dataclass(frozen=True)
class Sample:
    """One item.

    Attributes:
        subject, view: what it shows (the first view).
        images: [V, 3, S, S].
        images_hi: [V, 3, S', S'], for ``color_fine``.
        calibs: [V, 4, 4], world to NDC.
        points_world: [N, 3].
        targets: [N] labels (1 inside), or [N, 3] colours in [-1, 1].
        face: the face prior.
        view_degrees: yaw of the first view.
        failures: one sentence per item that had to be passed over before this one.
    """

    subject: str
    view: str
    images: Tensor
    images_hi: Tensor | None
    calibs: Tensor
    points_world: Tensor
    targets: Tensor
    face: FaceData
    view_degrees: float
    failures: tuple[str, ...] = ()


class Batch:
    """Items stacked; ``face`` keeps priors of different vertex numbers apart.

    A plain class, which the precision plugins of Fabric hand through untouched.

    Attributes:
        subjects, views: what each item shows.
        images: [B, V, 3, S, S].
        images_hi: [B, V, 3, S', S'] or None.
        calibs: [B, V, 4, 4].
        points_world: [B, N, 3].
        targets: [B, N] or [B, N, 3].
        face: priors of the items.
        failures: one sentence per item that had to be passed over.
    """

    def __init__(
        self,
        subjects: list[str],
        views: list[str],
        images: Tensor,
        images_hi: Tensor | None,
        calibs: Tensor,
        points_world: Tensor,
        targets: Tensor,
        face: FaceInput,
        failures: tuple[str, ...] = (),
    ) -> None:
        self.subjects, self.views = subjects, views
        self.images, self.images_hi, self.calibs = images, images_hi, calibs
        self.points_world, self.targets = points_world, targets
        self.face, self.failures = face, failures

    def _mapped(self, function: Callable[[Tensor], Tensor], face: FaceInput) -> Batch:
        return Batch(
            self.subjects,
            self.views,
            function(self.images),
            None if self.images_hi is None else function(self.images_hi),
            function(self.calibs),
            function(self.points_world),
            function(self.targets),
            face,
            self.failures,
        )

    def to(self, device: torch.device) -> Batch:
        """Return the batch on ``device``."""
        return self._mapped(lambda tensor: tensor.to(device, non_blocking=True), self.face.to(device))

    def pin_memory(self) -> Batch:
        """Return the batch in page-locked memory (called by ``DataLoader``)."""
        return self._mapped(lambda tensor: tensor.pin_memory(), self.face)


def face_input(faces: Sequence[FaceData], view_degrees: Sequence[float]) -> FaceInput:
    """Return the batch of face priors as networks take it."""
    return FaceInput(
        [torch.from_numpy(face.vertices_world) for face in faces],
        torch.from_numpy(np.stack([face.box_world for face in faces])),
        torch.tensor(list(view_degrees), dtype=torch.float32),
        [torch.from_numpy(face.colors) for face in faces],
    )


def collate(samples: Sequence[Sample]) -> Batch:
    """Stack items; items with fewer points (no face box) are filled up by repeating their own points."""
    count = max(len(sample.points_world) for sample in samples)
    points, targets = [], []
    for sample in samples:
        index = torch.arange(count) % len(sample.points_world)
        points.append(sample.points_world[index])
        targets.append(sample.targets[index])
    hi = [sample.images_hi for sample in samples if sample.images_hi is not None]
    return Batch(
        [sample.subject for sample in samples],
        [sample.view for sample in samples],
        torch.stack([sample.images for sample in samples]),
        torch.stack(hi) if hi else None,
        torch.stack([sample.calibs for sample in samples]),
        torch.stack(points),
        torch.stack(targets),
        face_input([sample.face for sample in samples], [sample.view_degrees for sample in samples]),
        tuple(text for sample in samples for text in sample.failures),
    )
