"""The shape network: image and face prior to occupancy (paper, Sec. 3; ``netG`` of the published code)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from jiff.models.config import ShapeConfig
from jiff.models.face_branch import FaceFeatures, FacePoints, flatten_vertices, fuse, mean_loss
from jiff.models.face_input import FaceInput
from jiff.models.hourglass import HourglassFilter
from jiff.models.joint_head import JointHead
from jiff.models.layers import initialize
from jiff.models.local_pointnet import LocalPoolPointnet
from jiff.models.mlp import SurfaceClassifier
from jiff.models.sampling import inside_image, project, sample_image
from jiff.models.unit_cube import UnitCube


@dataclass(frozen=True)
class ShapeFeatures:
    """What ``ShapeNetwork.encode`` extracts.

    Attributes:
        images: per supervised stack [B * V, C, H/4, W/4]; in evaluation the last stack only.
        stem: skipped stem feature [B * V, C/4, H/2, W/2], where the network uses it.
        views: V.
        face: encoded priors, or None for plain PIFu.
    """

    images: list[Tensor]
    stem: Tensor | None
    views: int
    face: FaceFeatures | None


@dataclass(frozen=True)
class ShapePrediction:
    """Occupancies in [0, 1] (1 inside).

    Attributes:
        body: [S, B, N], one per stack.
        face_values: [K, F] at the face points: stack by stack, each 2D, 3D, joint in training; joint in evaluation.
        points: which points are face points.
    """

    body: Tensor
    face_values: Tensor
    points: FacePoints

    @property
    def face_mask(self) -> Tensor:
        """Which points lie in the face box and were seen by the face head, bool [B, N]."""
        return self.points.mask

    @property
    def face(self) -> Tensor:
        """Face predictions [K, B, N], 0 off the mask."""
        batch, count = self.body.shape[1:]
        if self.face_values.shape[0] == 0:
            return self.body.new_zeros(0, batch, count)
        return torch.stack([self.points.scatter(rows) for rows in self.face_values])

    def fused(self, face_distance_world: Tensor | None = None) -> Tensor:
        """Blend the last face prediction into the last body prediction.

        Args:
            face_distance_world: distance of every point to the 3DMM's surface in world units, [B, N]; only face
                points are read. None gives the face prediction its full weight.

        Returns:
            Occupancy, [B, N].
        """
        body = self.body[-1]
        if self.face_values.shape[0] == 0 or self.points.index.shape[0] == 0:
            return body
        face = self.face_values[-1]
        if face_distance_world is not None:
            face = fuse(face, self.points.gather(body), self.points.gather(face_distance_world))
        return self.points.scatter(face, like=body)


class ShapeNetwork(nn.Module):
    """JIFF's shape network, or plain PIFu without ``config.face_branch``.

    ``train()`` supervises every stack and branch; ``eval()`` gives the last stack and the joint branch.
    """

    def __init__(self, config: ShapeConfig) -> None:
        super().__init__()
        self.config = config
        self.image_filter = HourglassFilter(config)
        self.surface_classifier = SurfaceClassifier(config.mlp_channels, config.no_residual)
        self.tdmm_filter: LocalPoolPointnet | None = None
        self.surface_classifier_multiLoss: JointHead | None = None
        if config.face_branch:
            if config.branch_3d:
                self.tdmm_filter = LocalPoolPointnet(config)
            self.surface_classifier_multiLoss = JointHead(
                config.mlp_channels,
                config.mlp_dim_3d,
                config.mlp_dim_joint,
                config.branch_3d,
                config.joint_head,
                config.single_head,
            )
        initialize(self, config.init)

    def encode(self, images: Tensor, face: FaceInput | None) -> ShapeFeatures:
        """Extract image features and face grids.

        Args:
            images: [B, V, 3, H, W] in [-1, 1].
            face: priors of the B items; None, or a network without a face branch, gives plain PIFu.

        Returns:
            Features for ``query``.
        """
        views = images.shape[1]
        maps, stem = self.image_filter(images.flatten(0, 1))
        if not self.training:
            maps = maps[-1:]
        return ShapeFeatures(
            maps,
            stem if self.config.skip_hourglass else None,
            views,
            self.encode_face(face) if face else None,
        )

    def encode_face(self, face: FaceInput) -> FaceFeatures | None:
        """Encode priors into feature grids; None where the network has no face branch."""
        if self.surface_classifier_multiLoss is None:
            return None
        cube = UnitCube.of(face, self.config)
        if self.tdmm_filter is None:
            return FaceFeatures(None, cube, face)
        vertices, batch_index = flatten_vertices(face)
        return FaceFeatures(
            self.tdmm_filter(cube.to_unit(vertices, batch_index), batch_index, len(face)), cube, face
        )

    def pixel_features(self, feats: ShapeFeatures, stack: int, ndc: Tensor) -> Tensor:
        """Return image feature, depth and (where used) stem feature at [B, V, N, 3]: [B, V, N, pixel_dim]."""
        parts = [sample_image(feats.images[stack], ndc), ndc[..., 2:] * self.config.depth_scale]
        if feats.stem is not None:
            parts.append(sample_image(feats.stem, ndc))
        return torch.cat(parts, dim=-1)

    def query(self, feats: ShapeFeatures, points_world: Tensor, calibs: Tensor) -> ShapePrediction:
        """Predict occupancy.

        Args:
            feats: from ``encode``.
            points_world: [B, N, 3], frontal world units.
            calibs: [B, V, 4, 4], world to NDC.

        Returns:
            Predictions of every supervised stack and branch.
        """
        ndc = project(points_world, calibs)
        visible = inside_image(ndc)
        head = self.surface_classifier_multiLoss
        points = FacePoints.select(feats.face.face if feats.face and head else None, points_world)
        feature_3d = points.grid_features(feats.face, points_world) if feats.face else None
        # In training the head runs even on no points, so that every parameter gets a (zero) gradient.
        face_runs = (
            head is not None and feats.face is not None and (self.training or points.index.shape[0] > 0)
        )
        body, face = [], []
        for stack in range(len(feats.images)):
            pixel = self.pixel_features(feats, stack, ndc)
            values, _ = self.surface_classifier(pixel.transpose(0, 1).flatten(1, 2))
            body.append(torch.sigmoid(values[:, 0]).reshape(visible.shape) * visible)
            if face_runs and head is not None:
                face += [torch.sigmoid(rows[:, 0]) for rows in head(points.gather_views(pixel), feature_3d)]
        values_face = torch.stack(face) if face else points_world.new_zeros(0, points.index.shape[0])
        return ShapePrediction(torch.stack(body), values_face, points)

    def loss(self, pred: ShapePrediction, labels: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the mean squared error over all predictions, and its parts.

        Args:
            pred: from ``query``.
            labels: 1 inside, 0 outside, [B, N].

        Returns:
            The loss, averaged over the items of the batch, and its parts "body", "face" and, in training,
            "face_<branch>" (detached).
        """
        errors_body = (pred.body - labels) ** 2
        errors_face = (pred.face_values - pred.points.gather(labels)) ** 2
        head = self.surface_classifier_multiLoss
        return mean_loss(
            errors_body, errors_face, pred.points, head.branches if head and self.training else ()
        )
