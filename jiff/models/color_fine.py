"""The fine colour network (``netC`` of JIFF): high-resolution image, coarse activation and coloured face prior."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from jiff.models.color_coarse import color_error
from jiff.models.config import ColorConfig
from jiff.models.face_branch import FaceFeatures, FacePoints, flatten_vertices, mean_loss
from jiff.models.face_input import FaceInput
from jiff.models.joint_head import JointHead
from jiff.models.layers import initialize
from jiff.models.mlp import SurfaceClassifier
from jiff.models.pointnet2 import PointNet2Filter
from jiff.models.resnet_filter import ResnetFilter
from jiff.models.sampling import project, sample_image
from jiff.models.unit_cube import UnitCube


@dataclass(frozen=True)
class ColorFineFeatures:
    """Image features [B * V, C, H/4, W/4], V, and the encoded priors."""

    images: Tensor
    views: int
    face: FaceFeatures | None


@dataclass(frozen=True)
class ColorFinePrediction:
    """RGB in [-1, 1].

    Attributes:
        body: [B, N, 3].
        face_values: [K, F, 3] at the face points: 2D, 3D, joint in training; joint in evaluation.
        points: which points are face points.
    """

    body: Tensor
    face_values: Tensor
    points: FacePoints

    @property
    def face_mask(self) -> Tensor:
        """Which points lie in the face box, bool [B, N]."""
        return self.points.mask

    @property
    def rgb(self) -> Tensor:
        """The body's colour, replaced by the last face prediction at the face points: [B, N, 3]."""
        if self.face_values.shape[0] == 0 or self.points.index.shape[0] == 0:
            return self.body
        return self.points.scatter(self.face_values[-1], like=self.body)


class ColorFineNetwork(nn.Module):
    """JIFF's fine colour network; without ``config.face_branch`` it refines the body only."""

    def __init__(self, config: ColorConfig) -> None:
        super().__init__()
        self.config = config
        channels = (config.fine_dim, *config.mlp_dim_color_fine[1:])
        self.image_filter = ResnetFilter(config)
        self.surface_classifier = SurfaceClassifier(channels, config.no_residual)
        self.tdmm_filter: PointNet2Filter | None = None
        self.surface_classifier_joint: JointHead | None = None
        if config.face_branch:
            if config.branch_3d:
                self.tdmm_filter = PointNet2Filter(config)
            self.surface_classifier_joint = JointHead(
                channels,
                config.mlp_dim_3d_color,
                config.mlp_dim_joint_color,
                config.branch_3d,
                config.joint_head,
                config.single_head,
            )
        initialize(self, config.init)

    def encode(self, images_hi: Tensor, face: FaceInput | None) -> ColorFineFeatures:
        """Extract image features and face grids.

        Args:
            images_hi: high-resolution images, [B, V, 3, H, W] in [-1, 1].
            face: coloured priors of the B items, or None.

        Returns:
            Features for ``query``.
        """
        encoded = self.encode_face(face) if face is not None else None
        return ColorFineFeatures(self.image_filter(images_hi.flatten(0, 1)), images_hi.shape[1], encoded)

    def encode_face(self, face: FaceInput) -> FaceFeatures | None:
        """Encode coloured priors into feature grids; None where the network has no face branch.

        Raises:
            ValueError: the priors have no colours.
        """
        if self.surface_classifier_joint is None:
            return None
        cube = UnitCube.of(face, self.config)
        if self.tdmm_filter is None:
            return FaceFeatures(None, cube, face)
        if face.colors is None:
            raise ValueError("face.colors must be given to the fine colour network; got None.")
        vertices, batch_index = flatten_vertices(face)
        counts = [len(item) for item in face.vertices_world]
        grid = self.tdmm_filter(cube.to_unit(vertices, batch_index), torch.cat(face.colors), counts)
        return FaceFeatures(grid, cube, face)

    def query(
        self, feats: ColorFineFeatures, points_world: Tensor, calibs: Tensor, phi: Tensor
    ) -> ColorFinePrediction:
        """Predict colour.

        Args:
            feats: from ``encode``.
            points_world: surface points, [B, N, 3], frontal world units.
            calibs: [B, V, 4, 4], world to NDC.
            phi: from ``ColorCoarseNetwork.query`` at the same points, [B, N, C].

        Returns:
            Colours of the body branch and of the face branches.
        """
        ndc = project(points_world, calibs)
        depth = ndc[..., 2:] * self.config.depth_scale_fine
        shared = phi[:, None].expand(-1, feats.views, -1, -1)
        pixel = torch.cat((sample_image(feats.images, ndc), shared, depth), dim=-1)
        values, _ = self.surface_classifier(pixel.transpose(0, 1).flatten(1, 2))
        body = torch.tanh(values).unflatten(0, points_world.shape[:2])
        head = self.surface_classifier_joint
        points = FacePoints.select(feats.face.face if feats.face and head else None, points_world)
        if head is None or feats.face is None or (not self.training and points.index.shape[0] == 0):
            return ColorFinePrediction(body, body.new_zeros(0, points.index.shape[0], 3), points)
        feature_3d = points.grid_features(feats.face, points_world)
        face = [torch.tanh(rows) for rows in head(points.gather_views(pixel), feature_3d)]
        return ColorFinePrediction(body, torch.stack(face), points)

    def loss(self, pred: ColorFinePrediction, rgb: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the mean error over all predictions, and its parts.

        Args:
            pred: from ``query``.
            rgb: colours in [-1, 1], [B, N, 3].

        Returns:
            The loss, averaged over the items of the batch, and its parts "body", "face" and, in training,
            "face_<branch>" (detached).
        """
        kind = self.config.color_loss_type
        errors_body = color_error(pred.body, rgb, kind)[None]
        errors_face = color_error(pred.face_values, pred.points.gather(rgb), kind)
        head = self.surface_classifier_joint
        return mean_loss(
            errors_body, errors_face, pred.points, head.branches if head and self.training else ()
        )
