"""A photo's face from the coefficient network: crop, 257 numbers, and their place before the orthographic camera."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from jiff.assets.folders import assets_dir
from jiff.face.fit.fitting import FacePose
from jiff.face.fit.photo_fit import DEPTH_WORLD
from jiff.face.models.bfm import BaselModel, Coefficients, euler_rotation, load_basel, pose_vertices, project
from jiff.face.models.coeff_net import (
    CROP_SIZE,
    CoefficientNetwork,
    crop_transform,
    five_template,
    load_coefficient_network,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jiff.face.model import MorphableModel
    from jiff.geometry.camera import Camera


@dataclass(frozen=True, eq=False)
class CoefficientReader:
    """Network, Basel arrays and landmark template, loaded once."""

    network: CoefficientNetwork
    basel: BaselModel
    template: NDArray[np.float64]

    def read(
        self, image_rgb: NDArray[np.uint8], five_px: NDArray[np.float64]
    ) -> tuple[Coefficients, float, NDArray[np.float64]]:
        """Return the coefficients of a face, and scale and offset [2] from the picture to its crop.

        Args:
            image_rgb: [H, W, 3].
            five_px: [5, 2] landmarks, y down.
        """
        import cv2
        import torch

        scale, offset = crop_transform(five_px, self.template)
        matrix = np.array([[scale, 0, offset[0]], [0, scale, offset[1]]])
        flags = cv2.INTER_CUBIC if scale >= 1 else cv2.INTER_AREA
        crop = cv2.warpAffine(image_rgb, matrix, (CROP_SIZE, CROP_SIZE), flags=flags)
        batch = torch.from_numpy(np.ascontiguousarray(crop[..., ::-1].transpose(2, 0, 1))).float()[None]
        with torch.inference_mode():
            values = self.network(batch)[0].numpy()
        return Coefficients.split(values), scale, offset

    def read_pose(
        self,
        model: MorphableModel,
        image_rgb: NDArray[np.uint8],
        five_px: NDArray[np.float64],
        camera: Camera,
    ) -> FacePose:
        """Return the face of a picture before the orthographic camera; see ``PhotoReader``."""
        return self.place(model, *self.read(image_rgb, five_px), camera)

    def place(
        self,
        model: MorphableModel,
        coefficients: Coefficients,
        scale: float,
        offset: NDArray[np.float64],
        camera: Camera,
    ) -> FacePose:
        """Return the face before the orthographic camera: turn and form from the network, place and size from its landmarks.

        Args:
            model: ``bfm.morphable`` of ``basel``.
            coefficients: from ``read``.
            scale: from the picture to the crop.
            offset: the same.
            camera: of the picture, without turn.
        """
        posed = pose_vertices(self.basel.shape(coefficients.identity, coefficients.expression), coefficients)
        crop_px, _ = project(posed[self.basel.landmarks])
        target = camera.pixel_to_world((crop_px - offset) / scale)[:, :2]
        turn = euler_rotation(coefficients.angles_rad).T
        marks = model.shape(coefficients.identity, coefficients.expression)[model.landmarks68] @ turn.T
        source = marks[:, :2]
        moved_s, moved_t = source - source.mean(0), target - target.mean(0)
        size = float((moved_s * moved_t).sum() / max(float((moved_s**2).sum()), 1e-9))
        shift = target.mean(0) - size * source.mean(0)
        return FacePose(
            scale=size,
            rotation=turn,
            offset=np.array([shift[0], shift[1], DEPTH_WORLD]),
            identity=coefficients.identity.astype(np.float64),
            expression=coefficients.expression.astype(np.float64),
        )


def coefficient_file() -> Path:
    """Return where the network's weights belong."""
    return assets_dir() / "deep3d" / "params.pt"


@lru_cache(maxsize=1)
def load_reader() -> CoefficientReader | None:
    """Return the reader, None when its weights are not there.

    Raises:
        AssetError: they are there but damaged, or the Basel files are missing.
    """
    path = coefficient_file()
    if not path.is_file():
        return None
    template = five_template(assets_dir() / "bfm" / "similarity_Lm3D_all.mat")
    return CoefficientReader(load_coefficient_network(path), load_basel(), template)
