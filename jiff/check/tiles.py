"""Pictures that let a person judge a subject of a processed set at a glance."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from jiff.check.processed_set import SubjectData, read_pixels
from jiff.geometry.camera import Camera
from jiff.render.gbuffer import render_gbuffer

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jiff.data.layout import ProcessedSet

_OUTSIDE = np.array([255, 0, 200])
_MASK_ONLY, _MESH_ONLY, _BOTH = (230, 60, 40), (50, 90, 240), (225, 225, 225)
_FACE_TINT = np.array([90, 220, 120])


def _fit(image: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    import cv2

    method = cv2.INTER_AREA if image.shape[0] > size else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, (size, size), interpolation=method), np.uint8)


def _face_tile(
    dataset: ProcessedSet, subject: str, view: str, data: SubjectData, size: int
) -> NDArray[np.uint8] | None:
    """Return the head of the frontal picture with the face mesh over its right half of brightness and the box drawn."""
    import cv2

    image = read_pixels(dataset.render_hi(subject, view))
    if image is None:
        image = read_pixels(dataset.render(subject, view))
    if image is None or data.mesh is None:
        return None
    camera = data.cameras[view].with_size(image.shape[0])
    if data.face is not None:
        low, high = data.face.bounds
    else:
        low, high = data.mesh.bounds
        low = np.array([low[0] * 0, high[1] - 26.0, 0.0])
        high = np.array([0.0, high[1], 0.0])
    center, half = (low + high) / 2, max(float((high - low)[:2].max()) * 0.8, 8.0)
    zoomed = Camera(rotation=camera.rotation, center_world=center, half_width_world=half, size=size)
    # The crop is the zoomed camera's picture, so that the mesh drawn by it fits pixel for pixel.
    corners = zoomed.pixel_to_world([[0.0, 0.0], [size, 0.0], [0.0, size]])
    affine = cv2.getAffineTransform(
        camera.world_to_pixel(corners).astype(np.float32) - 0.5,
        np.array([[0, 0], [size, 0], [0, size]], np.float32) - 0.5,
    )
    tile = np.asarray(cv2.warpAffine(image, affine, (size, size), flags=cv2.INTER_CUBIC), np.float32)
    if data.face is not None:
        seen = render_gbuffer(data.face, zoomed, samples=2)
        normals = seen.interpolate(data.face.vertex_normals(), data.face.faces) @ camera.rotation[2].astype(
            np.float32
        )
        shade = (0.35 + 0.65 * np.abs(normals))[:, None] * _FACE_TINT.astype(np.float32)
        cover = seen.coverage()[..., None] * 0.5
        tile = tile * (1 - cover) + seen.resolve(shade) * 0.5
    drawn = np.ascontiguousarray(np.clip(tile, 0, 255).astype(np.uint8))
    if data.box_world is not None:
        corner = np.rint(zoomed.world_to_pixel(data.box_world)).astype(int)
        cv2.rectangle(drawn, tuple(map(int, corner[0])), tuple(map(int, corner[1])), (255, 210, 0), 2)
    return drawn


def subject_tiles(
    dataset: ProcessedSet, subject: str, data: SubjectData, size: int = 224
) -> list[NDArray[np.uint8]]:
    """Return four pictures [size, size, 3]: image, mask over image, mask against mesh, face mesh and box over the head.

    Outside the mask is tinted pink; where only the mask is, red; where only the mesh is, blue. Parts that cannot be
    drawn are gray.
    """
    blank = np.full((size, size, 3), 128, np.uint8)
    looked_at = sorted(data.silhouettes or {})
    frontal = [view for view in looked_at if view.startswith("0_0_")]
    if not looked_at:
        return [blank] * 4
    view = (frontal or looked_at)[0]
    image, mask = (
        read_pixels(dataset.render(subject, view)),
        read_pixels(dataset.mask(subject, view), gray=True),
    )
    if image is None or mask is None or data.silhouettes is None:
        return [blank] * 4
    inside = mask > 127
    tinted = np.where(inside[..., None], image, image * 0.4 + _OUTSIDE * 0.35).astype(np.uint8)
    both = np.full(image.shape, 40, np.uint8)
    seen = data.silhouettes[view]
    both[inside & seen], both[inside & ~seen], both[~inside & seen] = _BOTH, _MASK_ONLY, _MESH_ONLY
    face = _face_tile(dataset, subject, view, data, size)
    return [_fit(image, size), _fit(tinted, size), _fit(both, size), blank if face is None else face]
