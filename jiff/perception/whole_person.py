"""The landmarks of a whole person from a rough window: one that cuts somebody, or whose mask disagrees, is replaced."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from jiff.perception.crop import Crop
from jiff.perception.networks import whole_crop

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jiff.perception.landmarks import Pose
    from jiff.perception.networks import PersonNetworks

LEAST_SCORE = 0.5
AGREED = 0.9
"""Share of the landmarks that the mask covers where both are right."""
_CUT = 0.05
"""Share of a side of a window, within the photo, that a mask may touch before the window is taken to cut the person."""
_WIDER = 1.5
_TIMES_WIDER = 3


def coverage(pose: Pose, shape: tuple[int, ...]) -> float:
    """Return the share of the landmarks in the photo that the pose's own mask covers."""
    points = pose.points_px
    inside = (points >= 0).all(1) & (points < [shape[1], shape[0]]).all(1)
    matrix = pose.crop.photo_to_crop(256)
    x, y = np.floor(points[inside] @ matrix[:, :2].T + matrix[:, 2]).astype(int).clip(0, 255).T
    # Landmarks lie on borders too: fingers, toes.
    theirs = grown(pose.mask > 0.3)
    return float(theirs[y, x].mean()) if len(x) else 0.0


def _cut_by_window(pose: Pose, shape: tuple[int, ...]) -> float:
    """Return the share of that side of the window, of what lies in the photo, that the mask covers most."""
    size = pose.mask.shape[0]
    along = np.arange(size) + 0.5
    low, high = np.full(size, 0.5), np.full(size, size - 0.5)
    sides = (
        (pose.mask[0], along, low), (pose.mask[-1], along, high), (pose.mask[:, 0], low, along), (pose.mask[:, -1], high, along),
    )  # fmt: skip
    most = 0.0
    for values, x, y in sides:
        places = pose.crop.to_photo(np.stack([x, y], axis=1), size)
        inside = (places >= 1).all(1) & (places < [shape[1] - 1, shape[0] - 1]).all(1)
        most = max(most, float((values > 0.5)[inside].sum()) / size)
    return most


def widened(networks: PersonNetworks, rgb: NDArray[np.uint8], pose: Pose) -> Pose:
    """Return the landmarks of a window that holds the whole mask: into one that cuts legs off, they are squeezed."""
    for _ in range(_TIMES_WIDER):
        if _cut_by_window(pose, rgb.shape) <= _CUT:
            break
        again = networks.pose(
            rgb, [Crop(pose.crop.center_px, _WIDER * pose.crop.side_px, pose.crop.angle_rad)]
        )[0]
        if again.score < LEAST_SCORE or coverage(again, rgb.shape) < min(coverage(pose, rgb.shape), AGREED):
            break
        pose = again
    return pose


def whole_pose(networks: PersonNetworks, rgb: NDArray[np.uint8], crop: Crop) -> Pose:
    """Return the landmarks of a rough window; where mask and landmarks disagree, of a better one."""
    pose = networks.pose(rgb, [crop])[0]
    if pose.score < LEAST_SCORE:
        return pose
    best = widened(networks, rgb, pose)
    most = coverage(best, rgb.shape)
    if most >= AGREED:
        return best
    low, high = best.points_px.min(0), best.points_px.max(0)
    others = [
        Crop.around(float(low[0]), float(low[1]), float(high[0]), float(high[1]), 1.35),
        Crop(crop.center_px, 1.5 * crop.side_px),
        whole_crop(rgb),
    ]
    for other in others:
        pose = networks.pose(rgb, [other])[0]
        covered = coverage(pose, rgb.shape)
        if pose.score >= LEAST_SCORE and covered > most:
            best, most = pose, covered
        if most >= AGREED:
            break
    return best


def grown(on: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return a mask [H, W] with a seam of about an eightieth of its longer side."""
    import cv2

    reach = 2 * (max(on.shape) // 80) + 1
    return np.asarray(cv2.dilate(on.astype(np.uint8), np.ones((reach, reach), np.uint8)) > 0)
