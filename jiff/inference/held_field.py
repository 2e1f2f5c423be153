"""A prior-held network's answers for one photo, as a field and as colours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from jiff.body.prior import POINT_CHANNELS
from jiff.inference.between_legs import BetweenLegs
from jiff.inference.reach import Reach
from jiff.models.person.network import PersonPictures, network_picture
from jiff.photo.view_inputs import ViewInputs, mask_distance

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from jiff.body.prior import BodyPrior
    from jiff.inference.detail import DetailedFront
    from jiff.inference.filling import Filling
    from jiff.inference.outline import Outline
    from jiff.models.person.network import PersonFeatures, PersonNetwork

CHUNK = 16_384
_SPAN = 40.0
_DEEPEST = 0.25
"""World units below a fitted head's skin that the surface may lie at most."""
_CORE = 0.15
"""World units above and below a fitted face's eyes and nose that the surface may lie at most: strands over a face are no nose."""
_CORE_LOW, _CORE_HIGH, _CORE_SOFT = np.array([-0.05, 0.855, 0.12]), np.array([0.05, 0.925, 9.0]), 0.012
"""Canonical box of eyes and nose, and over how much it ends, metres; not the mouth, whose inside is skin, too."""
_CHIN_M, _NECK_M = 0.76, 0.03
"""Canonical height at which heads begin, and over how much."""
_FILLED = 1.0
"""World units outside of what the network tells from which a surface point is filled only."""


class HeldField:
    """The surface as a field that grows inward: one half at the surface, linear in the distance to it.

    Attributes:
        bytes_per_point: rough memory of one point.
        fixed_bytes: of what is kept from call to call.
    """

    fixed_bytes = 0

    def __init__(
        self,
        network: PersonNetwork,
        inputs: ViewInputs,
        outline: Outline | None,
        device: torch.device,
        *,
        face: bool = True,
        shape: BodyPrior | None = None,
    ) -> None:
        """Encode the pictures.

        Args:
            network: in evaluation mode.
            inputs: photo and body.
            outline: of the person in the photo, by which the surface is bounded; None leaves it free.
            device: where the network is.
            face: whether the body carries the photo's face, below whose skin nothing is then looked for.
            shape: the body that the surface clothes; None takes the one of ``inputs``, by which colours are told in any case.
        """
        self.network, self.inputs, self.outline, self.device = network, inputs, outline, device
        self.filling: Filling | None = None
        self.front: DetailedFront | None = None
        self._face, self._shape = face, shape or inputs.prior
        # Networks that know the picture alone are not held by a body.
        self._reach: Reach | None = None
        self._legs: BetweenLegs | None = None
        if outline is not None and network.config.body:
            self._reach, legs = Reach(self._shape), BetweenLegs(inputs.prior, outline)
            self._legs = legs if legs.found else None
        self.bytes_per_point = 4 * 4 * sum(network.config.hidden) + 2000
        with torch.inference_mode():
            self.features: PersonFeatures = network.encode(pictures_of(inputs, device))

    @property
    def legs_joined(self) -> bool:
        """Whether the photo shows a skirt or coat between the legs."""
        return self._legs is not None

    def distance(self, points_world: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return [N] signed distances to the surface, positive inside, world units."""
        if self.outline is None:
            return self._told(points_world)
        border = self.outline.distance(points_world)
        distance = np.minimum(self._known(points_world, border), border)
        if self.filling is not None:
            distance = np.maximum(distance, self.filling.distance(points_world, border))
        if self.front is not None:
            distance = np.minimum(self.front.distance(points_world, distance), border)
        return distance

    def filled(self, points_world: NDArray[np.floating]) -> NDArray[np.float32]:
        """Return [N] in [0, 1] how much surface points are of what was filled, not of what network and legs tell."""
        result = np.zeros(len(points_world), np.float32)
        if self.filling is None or self.outline is None:
            return result
        points = np.ascontiguousarray(points_world, dtype=np.float32)
        for low in range(0, len(points), CHUNK):
            part = points[low : low + CHUNK]
            known = self._known(part, self.outline.distance(part))
            if self.front is not None:
                known = np.maximum(known, self.front.distance(part, known))
            result[low : low + CHUNK] = np.clip(-known / _FILLED, 0, 1)
        return result

    def _known(self, points_world: NDArray[np.float32], border: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return [N] distances to what network and legs tell; ``border`` [N] are those to the outline."""
        told = self._told(points_world)
        return told if self._legs is None else np.maximum(told, self._legs.distance(points_world, border))

    def _told(self, points_world: NDArray[np.float32]) -> NDArray[np.float32]:
        at = self._shape.at(points_world)
        prior = at.stacked()
        with torch.inference_mode():
            answer = self.network.query(
                self.features,
                torch.from_numpy(points_world).to(self.device)[None],
                torch.from_numpy(prior).to(self.device)[None],
            )
        distance = np.asarray(answer.distance[0].float().cpu().numpy(), np.float32)
        if self._reach is None:
            return distance
        # Nothing lies below the skin of a fitted face, whatever hair and shadows over it look like, nor far below any skin.
        of_head = np.clip((at.place[:, 1] - _CHIN_M) / _NECK_M, 0, 1) * self._face
        beyond = np.maximum(_CORE_LOW - at.place, at.place - _CORE_HIGH).max(axis=1)
        of_core = np.clip(1 - beyond / _CORE_SOFT, 0, 1) * self._face
        core = _CORE / np.maximum(of_core, 1e-3)
        below = np.minimum(np.minimum(at.below, _DEEPEST / np.maximum(of_head, 1e-3)), core)
        distance = np.clip(distance, at.distance - below, at.distance + core)
        return np.minimum(distance, self._reach.distance(points_world, at))

    def __call__(self, points_world: Tensor) -> Tensor:
        """Return [N] values at [N, 3] points."""
        points = np.ascontiguousarray(points_world.cpu().numpy(), dtype=np.float32)
        parts = [self.distance(points[low : low + CHUNK]) for low in range(0, len(points), CHUNK)]
        distance = np.concatenate(parts) if parts else np.zeros(0, np.float32)
        return torch.from_numpy(np.clip(0.5 + distance / _SPAN, 0.0, 1.0).astype(np.float32))

    def color(self, points_world: NDArray[np.floating]) -> NDArray[np.float32]:
        """Return [N, 3] RGB in [0, 1] of surface points."""
        points = np.ascontiguousarray(points_world, dtype=np.float32)
        parts = [
            self.inputs.prior.at(points[low : low + CHUNK]).stacked() for low in range(0, len(points), CHUNK)
        ]
        return self.color_with(
            points, np.concatenate(parts) if parts else np.zeros((0, POINT_CHANNELS), np.float32)
        )

    def color_with(self, points: NDArray[np.float32], prior: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return [N, 3] RGB in [0, 1] of surface points [N, 3] of which the body says ``prior`` [N, 8]."""
        result = np.zeros((len(points), 3), np.float32)
        for low in range(0, len(points), CHUNK):
            part = slice(low, low + CHUNK)
            with torch.inference_mode():
                answer = self.network.query(
                    self.features,
                    torch.from_numpy(points[part]).to(self.device)[None],
                    torch.from_numpy(prior[part]).to(self.device)[None],
                    distances=False,
                    colors=True,
                )
            if answer.rgb is not None:
                result[part] = answer.rgb[0].float().cpu().numpy()
        return np.clip(result, 0.0, 1.0)


def pictures_of(inputs: ViewInputs, device: torch.device) -> PersonPictures:
    """Return what a network looks at, as a batch of one."""

    def picture(rgb: NDArray[np.uint8], mask: NDArray[np.uint8], maps: NDArray[np.uint8]) -> Tensor:
        channels = (rgb, mask[..., None], mask_distance(mask)[..., None], maps)
        first, second, border, third = (
            torch.from_numpy(np.ascontiguousarray(part.transpose(2, 0, 1)))[None].to(device)
            for part in channels
        )
        return network_picture(first.float() / 255, second.float() / 255, border, third)

    return PersonPictures(
        picture(inputs.rgb, inputs.mask, inputs.maps),
        picture(inputs.head_rgb, inputs.head_mask, inputs.head_maps),
        torch.from_numpy(inputs.head_window)[None].to(device),
    )
