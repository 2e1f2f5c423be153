"""Pictures of a framed photo: its mask and what was seen, and the mesh drawn into it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from jiff.base.files import read_json
from jiff.geometry.camera import Camera
from jiff.geometry.raycast import RayScene
from jiff.perception.landmarks import HAND_LINES, POSE_LINES
from jiff.photo.images import read_image, resize_image
from jiff.render.gbuffer import render_gbuffer
from jiff.render.preview import render_preview

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jiff.geometry.mesh import Mesh
    from jiff.photo.seen import Seen

_PICTURE_SIDE = 1024
_DRAWN_SIDE = 640
_LEAST_VISIBILITY = 0.5


def draw_seen(
    picture: NDArray[np.uint8], seen: Seen, photo_to_picture: NDArray[np.float64]
) -> NDArray[np.uint8]:
    """Return a picture [H, W, 3] with skeleton (left green, right blue, hidden parts thin), face points and hands drawn in.

    Args:
        picture: of the photo.
        seen: in photo pixels.
        photo_to_picture: [2, 3] map of continuous pixels.
    """
    drawn = picture.copy()
    unit = max(1, round(max(picture.shape[:2]) / 500))

    def place(points: NDArray[np.float64]) -> list[tuple[int, int]]:
        moved = points[:, :2] @ photo_to_picture[:, :2].T + photo_to_picture[:, 2]
        return [(round(float(x)), round(float(y))) for x, y in np.clip(moved, -1e4, 1e4)]

    points = place(seen.pose.points_px)
    for a, b in POSE_LINES:
        color = (
            (0, 220, 0) if a % 2 and b % 2 else (0, 140, 255) if not a % 2 and not b % 2 else (255, 200, 0)
        )
        sure = min(seen.pose.visibility[[a, b]]) >= _LEAST_VISIBILITY
        cv2.line(drawn, points[a], points[b], color, 2 * unit if sure else 1, cv2.LINE_AA)
    if seen.face is not None:
        for center in place(seen.face.points_px)[::4]:
            cv2.circle(drawn, center, max(1, unit // 2), (255, 255, 0), -1, cv2.LINE_AA)
    for hand, color in zip(seen.hands, ((0, 220, 0), (0, 140, 255))):
        if hand is not None:
            points = place(hand.points_px)
            for a, b in HAND_LINES:
                cv2.line(drawn, points[a], points[b], color, max(1, unit // 2), cv2.LINE_AA)
    return np.asarray(drawn, dtype=np.uint8)


def shown(rgb: NDArray[np.uint8], mask: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return photo and mask at the size of a picture."""
    factor = min(1.0, _PICTURE_SIDE / max(mask.shape))
    size = (max(1, round(mask.shape[0] * factor)), max(1, round(mask.shape[1] * factor)))
    return resize_image(rgb, size), resize_image(mask, size)


def overlay(rgb: NDArray[np.uint8], mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the picture with everything outside the mask tinted."""
    weight = mask[..., None] / 255.0
    tint = 0.35 * rgb + 0.65 * np.array([255.0, 0.0, 160.0])
    return np.rint(rgb * weight + tint * (1 - weight)).astype(np.uint8)


def mesh_in_photo(source: Path, record_file: Path, mesh: Mesh) -> NDArray[np.uint8]:
    """Return the photo with the mesh's outline, and beside it the photo with the mesh drawn in, [H, 2 W, 3].

    Args:
        source: the photo.
        record_file: how it was framed.
        mesh: in the canonical camera's world frame.

    Raises:
        ImageError: the photo cannot be read any more.
        InputError: its record is missing or damaged.
    """
    record = read_json(record_file)
    rgb = np.ascontiguousarray(read_image(source)[..., :3])
    factor = min(1.0, _PICTURE_SIDE / max(rgb.shape[:2]))
    height, width = (max(1, round(n * factor)) for n in rgb.shape[:2])
    base = resize_image(rgb, (height, width))
    camera = Camera(size=min(int(record["size"]), _DRAWN_SIDE))
    scene = RayScene(mesh.vertices, mesh.faces)
    drawn = render_preview(mesh, camera, background=(0, 0, 0), samples=2, scene=scene)
    covered = np.rint(render_gbuffer(mesh, camera, 2, scene=scene).coverage() * 255).astype(np.uint8)
    matrix = np.array(record["frame_to_photo"]) * factor
    matrix[:, :2] *= record["size"] / camera.size
    # OpenCV counts pixels from their centres, continuous pixels from the corner.
    matrix[:, 2] += 0.5 * matrix[:, :2].sum(axis=1) - 0.5
    seen, weight = (
        np.asarray(cv2.warpAffine(part, matrix, (width, height), flags=cv2.INTER_LINEAR), dtype=np.uint8)
        for part in (drawn, covered)
    )
    share = weight[..., None] / 255.0
    inside = np.rint(base * (1 - share) + seen).clip(0, 255).astype(np.uint8)
    lines, _ = cv2.findContours((weight >= 128).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    outlined = cv2.drawContours(
        base.copy(), lines, -1, (255, 0, 160), max(2, round(max(height, width) / 400))
    )
    return np.concatenate([np.asarray(outlined, dtype=np.uint8), inside], axis=1)
