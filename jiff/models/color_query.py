"""Evaluation of the colour networks at many surface points of one view, image products shared (``pixel_products``).

For evaluation only.
"""

from __future__ import annotations

import torch
from torch import Tensor

from jiff.models.color_coarse import ColorCoarseFeatures, ColorCoarseNetwork
from jiff.models.color_fine import ColorFineFeatures, ColorFineNetwork
from jiff.models.pixel_layers import PixelLayers
from jiff.models.sampling import project, sample_image

_LEAST_POINTS = 4096
"""Fewer points than this are not worth the products of the map."""


class ColorQuery:
    """Colours of one subject seen in one view; equals the networks' own ``query`` up to rounding.

    Args:
        coarse_network: in evaluation mode.
        coarse: its features.
        fine_network: None gives coarse colours.
        fine: its features.
        calib: [4, 4], world to NDC.
        dtype: of products with hidden activations.
        max_chunk: points at a time.
    """

    def __init__(
        self,
        coarse_network: ColorCoarseNetwork,
        coarse: ColorCoarseFeatures,
        fine_network: ColorFineNetwork | None,
        fine: ColorFineFeatures | None,
        calib: Tensor,
        dtype: torch.dtype,
        max_chunk: int,
    ) -> None:
        self.coarse_network, self.coarse, self.calib, self.max_chunk = (
            coarse_network,
            coarse,
            calib,
            max_chunk,
        )
        self.fine_network = fine_network if fine is not None else None
        self.fine = fine if fine_network is not None else None
        coarse_map = torch.cat((coarse.shape, coarse.own), dim=1)
        self.layers = PixelLayers(coarse_network.surface_classifier.layers(), coarse_map, dtype)
        self.fine_layers: PixelLayers | None = None
        if self.fine_network is not None and fine is not None:
            fine_layers = self.fine_network.surface_classifier.layers()
            self.fine_layers = PixelLayers(fine_layers, fine.images, dtype, depth_last=True)

    @staticmethod
    def suits(coarse: ColorCoarseFeatures, points: int) -> bool:
        """Return whether the features are of one subject in one view with maps of one size, and the points many."""
        same = coarse.shape.shape[-2:] == coarse.own.shape[-2:] and min(coarse.own.shape[-2:]) > 1
        return same and coarse.views == 1 and coarse.own.shape[0] == 1 and points >= _LEAST_POINTS

    @torch.inference_mode()
    def __call__(self, points_world: Tensor) -> Tensor:
        """Return RGB in [-1, 1], [P, 3], of points [P, 3] inside the view (others take the colours of its border)."""
        ndc = points_world @ self.calib[:3, :3].t() + self.calib[:3, 3]
        in_face = torch.zeros(len(ndc), dtype=torch.bool, device=ndc.device)
        if self.fine is not None and self.fine_network is not None and self.fine.face is not None:
            if self.fine_network.surface_classifier_joint is not None:
                in_face = self.fine.face.face.mask(points_world[None])[0]
        result = torch.empty_like(points_world)
        depth_scale = self.coarse_network.config.depth_scale
        middle = self.coarse_network.surface_classifier.middle
        for low in range(0, len(ndc), self.max_chunk):
            part = slice(low, low + self.max_chunk)
            xy, z = ndc[part, :2], ndc[part, 2]
            outputs = self.layers.evaluate(self.layers.products.lookups(xy, z * depth_scale))
            if self.fine_layers is None or self.fine_network is None:
                result[part] = torch.tanh(outputs[-1])
                continue
            phi = outputs[middle]
            lookups = self.fine_layers.products.lookups(xy, z * self.fine_network.config.depth_scale_fine)
            rgb = torch.tanh(self.fine_layers.evaluate(lookups, phi)[-1])
            self._face(rgb, points_world[part], in_face[part], phi.float())
            result[part] = rgb
        return result

    def _face(self, rgb: Tensor, points: Tensor, inside: Tensor, phi: Tensor) -> None:
        """Replace the colours of points in the face box by the face branch's."""
        index = inside.nonzero()[:, 0]
        head = None if self.fine_network is None else self.fine_network.surface_classifier_joint
        encoded = None if self.fine is None else self.fine.face
        if (
            len(index) == 0
            or self.fine_network is None
            or self.fine is None
            or head is None
            or encoded is None
        ):
            return
        chosen = points[index]
        ndc = project(chosen[None], self.calib[None, None])
        depth = ndc[..., 2:] * self.fine_network.config.depth_scale_fine
        pixel = torch.cat((sample_image(self.fine.images, ndc), phi[None, None, index], depth), dim=-1)
        rgb[index] = torch.tanh(head(pixel[0], encoded.sample_single(chosen))[-1])
