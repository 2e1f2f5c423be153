"""Evaluation of the shape network over points that share columns along the viewing direction.

For an orthographic camera all points of one column see the same pixel: only their depth differs (see
``column_layers``). For evaluation only; nothing here keeps gradients.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from jiff.models.column_layers import ColumnLayers, Scratch, neighbourhoods
from jiff.models.face_branch import FUSION_RATE
from jiff.models.mlp import LEAKY_SLOPE, Layer
from jiff.models.sampling import sample_grid, sample_image
from jiff.models.shape import ShapeFeatures, ShapeNetwork

COLUMN_TOLERANCE_NDC = 2.0**-18
"""Rounding of the projection that must not split a column; about a thousandth of a pixel at 512 px."""

DistanceFunction = Callable[[Tensor], Tensor]
"""Maps points [P, 3] in world units to their distance to the 3DMM's surface, [P]."""


def consecutive_columns(xy_ndc: Tensor) -> tuple[Tensor, Tensor]:
    """Group consecutive points that see the same pixel.

    Args:
        xy_ndc: [P, 2].

    Returns:
        Index of the first point of each column, [C], and the column of each point, [P].
    """
    cell = (xy_ndc / COLUMN_TOLERANCE_NDC).round()
    new = torch.ones(xy_ndc.shape[0], dtype=torch.bool, device=xy_ndc.device)
    new[1:] = (cell[1:] != cell[:-1]).any(dim=1)
    return new.nonzero()[:, 0], new.cumsum(dim=0) - 1


class ColumnQuery:
    """Evaluates one subject's occupancy; equals ``ShapeNetwork.query`` up to rounding.

    Args:
        network: in evaluation mode.
        feats: of one subject seen in one view.
        calib: [4, 4], world to NDC.
        dtype: of the hidden products; bfloat16 or float16 where the device gains from it.
        face_distance: when given, the face prediction is blended into the body's by it, as ``fused`` does; otherwise
            it replaces the body's in the face box.
        difference_dtype: when given, the body's hidden products are taken in float32 at one point of each
            neighbourhood and in this type for the differences to it.

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
    ) -> None:
        if feats.views != 1 or feats.images[-1].shape[0] != 1:
            raise ValueError(
                f"feats must be of one subject in one view; got {feats.images[-1].shape[0]} images, {feats.views} views."
            )
        config = network.config
        self.network, self.feats, self.calib = network, feats, calib
        self.face_distance = face_distance
        depth, width = config.hourglass_dim, config.pixel_dim - 1
        scratch = Scratch()
        self.by_differences = difference_dtype is not None
        self.body_layers = ColumnLayers(
            network.surface_classifier.layers(), depth, width, difference_dtype or dtype, scratch=scratch
        )
        self.branch_layers: ColumnLayers | None = None
        self.joint_layers: ColumnLayers | None = None
        self.branch_3d: Sequence[Layer] = ()
        self.mean_of_branches = False
        head = network.surface_classifier_multiLoss
        self.has_face = head is not None and feats.face is not None
        if head is not None and self.has_face:
            if not head.single:
                # A joint branch continues the others before their last layer.
                end = -1 if head.joint else None
                layers_2d = head.layers("2d")[:end]
                self.branch_layers = ColumnLayers(
                    layers_2d, depth, width, dtype, activate_last=head.joint, scratch=scratch
                )
                if head.branch_3d:
                    self.branch_3d = head.layers("3d")[:end]
                    self.mean_of_branches = not head.joint
            if head.joint:
                self.joint_layers = ColumnLayers(head.layers("joint"), depth, width, dtype, scratch=scratch)

    @torch.inference_mode()
    def __call__(self, points_world: Tensor) -> Tensor:
        """Return the occupancy of points.

        Args:
            points_world: [P, 3]; points of one column should follow each other (any order is right, only slower).

        Returns:
            [P], float32 in [0, 1].
        """
        ndc = points_world @ self.calib[:3, :3].t() + self.calib[:3, 3]
        starts, column = consecutive_columns(ndc[:, :2])
        features = self.column_features(ndc[starts, :2])
        depth = ndc[:, 2] * self.network.config.depth_scale
        products = self.body_layers.products(features)
        if self.by_differences and len(points_world) > 0:
            values = self.body_layers.evaluate_differences(products, column, depth, *neighbourhoods(ndc))
        else:
            values = self.body_layers.evaluate(products, column, depth)
        visible = (ndc[:, :2].abs() <= 1.0).all(dim=1)
        occupancy = torch.sigmoid(values[:, 0]) * visible
        if self.has_face and self.feats.face is not None:
            inside = self.feats.face.face.mask(points_world[None])[0].nonzero()[:, 0]
            if inside.shape[0] > 0:
                self._blend_face(
                    occupancy, points_world[inside], features, column[inside], depth[inside], inside
                )
        return occupancy

    def column_features(self, xy_ndc: Tensor) -> Tensor:
        """Return the pixel features without depth of columns at ``xy_ndc`` [C, 2]: [C, pixel_dim - 1]."""
        where = xy_ndc[None, None]
        features = sample_image(self.feats.images[-1], where)[0, 0]
        if self.feats.stem is not None:
            features = torch.cat((features, sample_image(self.feats.stem, where)[0, 0]), dim=1)
        return features

    def _blend_face(
        self,
        occupancy: Tensor,
        points: Tensor,
        features: Tensor,
        column: Tensor,
        depth: Tensor,
        index: Tensor,
    ) -> None:
        # Only the columns that hold face points, which are few.
        used, column = torch.unique_consecutive(column, return_inverse=True)
        face = torch.sigmoid(self.face_values(points, features[used], column, depth))
        if self.face_distance is not None:
            weight = torch.exp(-FUSION_RATE * self.face_distance(points).to(face.dtype) ** 2 / 3.0)
            face = weight * face + (1.0 - weight) * occupancy[index]
        occupancy[index] = face

    def face_values(self, points_world: Tensor, features: Tensor, column: Tensor, depth: Tensor) -> Tensor:
        """Return the face head's values before the sigmoid, [F].

        Args:
            points_world: face points, [F, 3].
            features: of their columns, from ``column_features``.
            column: column of each point, [F].
            depth: depth feature of each point, [F].
        """
        hidden = None
        if self.branch_layers is not None:
            hidden = self.branch_layers.evaluate(self.branch_layers.products(features), column, depth)
        if self.joint_layers is None and not self.mean_of_branches:
            if hidden is None:
                raise ValueError("the network has no face head.")
            return hidden[:, 0]
        encoded = self.feats.face
        if encoded is None or encoded.grid is None:
            raise ValueError("feats must hold a face grid; got none.")
        item = torch.zeros(points_world.shape[0], dtype=torch.int64, device=points_world.device)
        unit = encoded.cube.to_unit(points_world, item)
        feature_3d = sample_grid(encoded.grid, unit, [points_world.shape[0]])
        if hidden is not None:
            hidden_3d = self._hidden_3d(feature_3d, activate_last=not self.mean_of_branches)
            if self.joint_layers is None:
                return (hidden[:, 0] + hidden_3d[:, 0]) / 2
            hidden = torch.cat((hidden, hidden_3d), dim=1)
        if self.joint_layers is None:
            raise ValueError("the network has no face head.")
        products = self.joint_layers.products(features)
        return self.joint_layers.evaluate(products, column, depth, feature_3d, hidden)[:, 0]

    def _hidden_3d(self, feature_3d: Tensor, activate_last: bool) -> Tensor:
        y = feature_3d
        for index, layer in enumerate(self.branch_3d):
            term = functional.linear(feature_3d, layer.input_weight, layer.bias)
            if index > 0 and layer.hidden_weight is not None:
                term.addmm_(y, layer.hidden_weight.t())
            last = index == len(self.branch_3d) - 1
            y = term if last and not activate_last else functional.leaky_relu_(term, LEAKY_SLOPE)
        return y
