"""Colours of a fitted face from its picture, and from which yaws it can be seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from jiff.geometry.camera import rotation_y
from jiff.geometry.normals import area_weighted_normals

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from jiff.face.model import MorphableModel
    from jiff.face.surface import FaceScene
    from jiff.geometry.camera import Camera


def _sample(image: NDArray[np.uint8], pixels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return [N, C] bilinear samples in [0, 1] of [H, W, C] or [H, W] at continuous pixels [N, 2]."""
    import cv2

    where = (pixels - 0.5).astype(np.float32)
    values = cv2.remap(
        image, where[:, 0].reshape(-1, 1), where[:, 1].reshape(-1, 1), cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
    )  # fmt: skip
    return np.asarray(values, dtype=np.float64).reshape(len(pixels), -1) / 255.0


def face_colors(
    model: MorphableModel,
    vertices_world: NDArray[np.float64],
    image_rgb: NDArray[np.uint8],
    mask: NDArray[np.uint8],
    camera: Camera,
    scene: FaceScene | None = None,
) -> NDArray[np.float64]:
    """Return [V, 3] RGB in [0, 1]: the person's own where the picture shows the face, the model's elsewhere.

    The model's texture is brought to the person's by one gain per channel, so that the two parts meet.

    Args:
        model: gives the texture that fills in.
        vertices_world: [V, 3] the fitted face.
        image_rgb: [S, S, 3].
        mask: [S, S], the person at least 128.
        camera: of the image.
        scene: what may hide the face; without it only the face's own orientation counts.
    """
    camera = camera.with_size(image_rgb.shape[0])
    toward = -camera.forward_world
    facing = area_weighted_normals(vertices_world, model.triangles) @ toward
    pixels = camera.world_to_pixel(vertices_world)
    weight = np.clip((facing - 0.15) / 0.3, 0, 1)
    if scene is not None:
        weight = weight * scene.visible(vertices_world, toward)
    # Pixels at the outline mix the person with the background.
    weight = weight * np.clip((_sample(mask, pixels)[:, 0] - 0.9) / 0.1, 0, 1)
    seen = _sample(image_rgb, pixels)
    fill = model.texture()
    sure = weight > 0.5
    if sure.sum() >= 20:
        gain = np.median(seen[sure] / np.maximum(fill[sure], 0.05), axis=0)
        fill = np.clip(fill * np.clip(gain, 0.1, 2.0), 0, 1)
    return np.clip(weight[:, None] * seen + (1 - weight[:, None]) * fill, 0, 1)


def visible_share(
    model: MorphableModel,
    vertices_world: NDArray[np.float64],
    scene: FaceScene,
    yaws_deg: Sequence[int],
    *,
    stride: int = 6,
) -> NDArray[np.float64]:
    """Return [len(yaws)] the share of the face that faces the camera unhidden when the subject is turned by each yaw.

    Args:
        model: the face model.
        vertices_world: [V, 3] the fitted face, frontal world frame.
        scene: the scan.
        yaws_deg: turns of the subject.
        stride: every n-th vertex is tested.
    """
    normals = area_weighted_normals(vertices_world, model.triangles)[::stride]
    points = vertices_world[::stride]
    shares = np.zeros(len(yaws_deg))
    for number, yaw in enumerate(yaws_deg):
        toward = rotation_y(np.radians(yaw)).T[:, 2]
        facing = normals @ toward > 0.1
        if facing.any():
            shares[number] = scene.visible(points[facing], toward).sum() / len(points)
    return shares
