"""Several views of one person: cameras at other yaws, and the occupancy that the networks average over the views."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from jiff.geometry.camera import Camera

if TYPE_CHECKING:
    from jiff.models.shape import ShapeFeatures, ShapeNetwork
    from jiff.photo.test_folder import PersonImage


@dataclass(frozen=True)
class View:
    """One picture of a person.

    Attributes:
        person: framed image and mask.
        camera: canonical, the subject turned by the view's yaw.
    """

    person: PersonImage
    camera: Camera

    @classmethod
    def at_yaw(cls, person: PersonImage, yaw_deg: float) -> View:
        """Return the view of a subject that is turned by ``yaw_deg`` about the vertical."""
        return cls(person, Camera.at_yaw(yaw_deg))


def first_view(features: ShapeFeatures) -> ShapeFeatures:
    """Return the image features of the first view of one person, without the face."""
    stem = None if features.stem is None else features.stem[:1]
    return replace(features, images=[maps[:1] for maps in features.images], stem=stem, views=1, face=None)


class MultiViewQuery:
    """Occupancy of one person seen in several views: the network's own query, face distances included.

    Points that share a pixel of one view do not share one of another; ``ShapeQuery`` gains nothing here.
    """

    def __init__(
        self,
        network: ShapeNetwork,
        features: ShapeFeatures,
        calibs: Tensor,
        face_distance: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        """Prepare.

        Args:
            network: in evaluation mode.
            features: of one person in V views.
            calibs: [V, 4, 4], world to NDC.
            face_distance: of points [P, 3] to the face model; weighs the face prediction.
        """
        self.network, self.features, self.calibs = network, features, calibs
        self.face_distance = face_distance

    @torch.inference_mode()
    def __call__(self, points_world: Tensor) -> Tensor:
        """Return [P] occupancies at [P, 3]."""
        prediction = self.network.query(self.features, points_world[None], self.calibs[None])
        distance = None
        if self.face_distance is not None:
            mask = prediction.face_mask[0]
            distance = torch.zeros_like(prediction.body[-1])
            if mask.any():
                distance[0, mask] = self.face_distance(points_world[mask]).to(distance.dtype)
        return prediction.fused(distance)[0]
