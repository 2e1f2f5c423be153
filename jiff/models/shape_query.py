"""Evaluation of the shape network over many points of one view.

Image products are shared between all points that touch a pixel (see ``pixel_products``), whatever their order. For
evaluation only; nothing here keeps gradients.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from jiff.models.face_branch import fuse
from jiff.models.mlp import LEAKY_SLOPE, Layer
from jiff.models.pixel_layers import PixelLayers, neighbourhoods
from jiff.models.sampling import sample_image
from jiff.models.shape import ShapeFeatures, ShapeNetwork

DistanceFunction = Callable[[Tensor], Tensor]
"""Maps points [P, 3] in world units to their distance to the 3DMM's surface, [P]."""


class ShapeQuery:
    """Evaluates one subject's occupancy; equals ``ShapeNetwork.query`` up to rounding.

    Args:
        network: in evaluation mode.
        feats: of one subject seen in one view.
        calib: [4, 4], world to NDC.
        dtype: of the layers but the last; bfloat16 or float16 where the device gains from it.
        face_distance: when given, the face prediction is blended into the body's by it, as ``fused`` does; otherwise
            it replaces the body's in the face box.
        difference_dtype: when given, the body's hidden products are taken in float32 at one point of each
            neighbourhood and in this type for the differences to it.
        max_kept_bytes: the body's products with the image are held from call to call unless they take more.

    Raises:
        ValueError: the features are of several subjects or views.
    """

    def __init__(
        self,
        network: ShapeNetwork,
        feats: ShapeFeatures,
        calib: Tensor,
        dtype: torch.dtype = torch.float32,
        face_distance: DistanceFunction | None = None,
        difference_dtype: torch.dtype | None = None,
        max_kept_bytes: float = float("inf"),
    ) -> None:
        if feats.views != 1 or feats.images[-1].shape[0] != 1:
            raise ValueError(
                f"feats must be of one subject in one view; got {feats.images[-1].shape[0]} images, {feats.views} views."
            )
        self.network, self.feats, self.calib = network, feats, calib
        self.face_distance = face_distance
        image = feats.images[-1]
        self.by_differences = difference_dtype is not None
        self.body_layers = PixelLayers(
            network.surface_classifier.layers(),
            image,
            difference_dtype or dtype,
            differences=self.by_differences,
            max_kept_bytes=max_kept_bytes,
        )
        self.fixed_bytes = self.body_layers.fixed_bytes
        self.branch_layers: PixelLayers | None = None
        self.joint_layers: PixelLayers | None = None
        self.branch_3d: Sequence[Layer] = ()
        head = network.surface_classifier_multiLoss
        self.has_face = head is not None and feats.face is not None
        if head is not None and self.has_face:
            if not head.single:
                # A joint branch continues the others before their last layer.
                end = -1 if head.joint else None
                layers_2d = head.layers("2d")[:end]
                self.branch_layers = PixelLayers(
                    layers_2d, image, dtype, activate_last=head.joint, max_kept_bytes=0
                )
                if head.branch_3d:
                    self.branch_3d = head.layers("3d")[:end]
            if head.joint:
                self.joint_layers = PixelLayers(head.layers("joint"), image, dtype, max_kept_bytes=0)

    @torch.inference_mode()
    def __call__(self, points_world: Tensor) -> Tensor:
        """Return the occupancy of points [P, 3]: [P], float32 in [0, 1]."""
        if len(points_world) == 0:
            return points_world.new_zeros(0)
        ndc = points_world @ self.calib[:3, :3].t() + self.calib[:3, 3]
        depth = ndc[:, 2] * self.network.config.depth_scale
        stem = self._stem(ndc[:, :2])
        lookups = self.body_layers.products.lookups(ndc[:, :2], depth)
        if self.by_differences:
            values = self.body_layers.evaluate_differences(lookups, *neighbourhoods(ndc), stem)
        else:
            values = self.body_layers.evaluate(lookups, stem)[-1]
        visible = (ndc[:, :2].abs() <= 1.0).all(dim=1)
        occupancy = torch.sigmoid(values[:, 0]) * visible
        if self.has_face and self.feats.face is not None:
            index = self.feats.face.face.mask(points_world[None])[0].nonzero()[:, 0]
            if len(index) > 0:
                face = torch.sigmoid(self.face_values(points_world[index], ndc[index], depth[index]))
                if self.face_distance is not None:
                    face = fuse(face, occupancy[index], self.face_distance(points_world[index]))
                occupancy[index] = face
        return occupancy

    def _stem(self, xy_ndc: Tensor) -> Tensor | None:
        """Return the stem's features at points, [P, C], where the network uses them."""
        if self.feats.stem is None:
            return None
        return sample_image(self.feats.stem, xy_ndc[None, None])[0, 0]

    def face_values(self, points_world: Tensor, ndc: Tensor, depth: Tensor) -> Tensor:
        """Return the face head's values before the sigmoid, [F].

        Args:
            points_world: face points, [F, 3].
            ndc: the same in NDC.
            depth: depth feature of each point, [F].
        """
        head, encoded = self.network.surface_classifier_multiLoss, self.feats.face
        if head is None or encoded is None:
            raise ValueError("the network has no face head, or feats no face.")
        stem = self._stem(ndc[:, :2])
        feature_3d = encoded.sample_single(points_world)

        def evaluate(layers: PixelLayers | None, features: Tensor | None, hidden: Tensor | None) -> Tensor:
            if layers is None:
                raise ValueError("the face head has no such branch.")
            lookups = layers.products.lookups(ndc[:, :2], depth)
            return layers.evaluate(lookups, features, hidden)[-1]

        def joint(hidden: Tensor | None) -> Tensor:
            features = (
                feature_3d if stem is None or feature_3d is None else torch.cat((stem, feature_3d), dim=1)
            )
            return evaluate(self.joint_layers, features, hidden)

        def branch_3d() -> list[Tensor]:
            if feature_3d is None:
                raise ValueError("feats must hold a face grid; got none.")
            return [self._hidden_3d(feature_3d, activate_last=head.joint)]

        values = head.combine(lambda: [evaluate(self.branch_layers, stem, None)], branch_3d, joint)
        return values[-1][:, 0]

    def _hidden_3d(self, feature_3d: Tensor, activate_last: bool) -> Tensor:
        y = feature_3d
        for index, layer in enumerate(self.branch_3d):
            term = functional.linear(feature_3d, layer.input_weight, layer.bias)
            if index > 0 and layer.hidden_weight is not None:
                term.addmm_(y, layer.hidden_weight.t())
            last = index == len(self.branch_3d) - 1
            y = term if last and not activate_last else functional.leaky_relu_(term, LEAKY_SLOPE)
        return y
