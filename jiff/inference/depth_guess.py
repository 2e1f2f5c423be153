"""How deep what is seen of a person goes on beside it: depth and thickness of a mesh, spread over the picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from jiff.geometry.raycast import RayScene
from jiff.render.gbuffer import render_gbuffer

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jiff.body.prior import BodyPrior
    from jiff.geometry.camera import Camera
    from jiff.geometry.mesh import Mesh

_ARMS_UNITS = 13.0
"""So near, trunk and legs tell how cloth goes on, and not the arms that it is seen beside."""
_RIM_UNITS = 5.0
"""Over so much the thickness of what is beside is looked up: at its rim it is thin."""
_SMOOTH_UNITS, _CALM_UNITS = 1.2, 8.0
"""Over which depth is smoothed beside what is seen, and farther off: cloth does not follow every jump of what it hangs from."""


@dataclass(frozen=True, eq=False)
class DepthGuess:
    """What a mesh shows, and how it goes on.

    Attributes:
        covered: [S, S] where the mesh is.
        middle: [S, S] world z of the middle of what is seen first; beside the mesh as it goes on from trunk and legs sooner than from the
            arms that cloth is seen beside.
        half: [S, S] half its thickness, world units; likewise.
    """

    covered: NDArray[np.bool_]
    middle: NDArray[np.float32]
    half: NDArray[np.float32]


def guess_depth(mesh: Mesh, camera: Camera, prior: BodyPrior) -> DepthGuess:
    """Return depth and thickness of a mesh and beside it.

    Args:
        mesh: frontal world frame.
        camera: without turn.
        prior: of the body in or below the mesh.
    """
    scene = RayScene(mesh.vertices, mesh.faces)
    covered = render_gbuffer(mesh, camera, scene=scene).coverage() > 0
    unit = 2 * camera.half_width_world / camera.size
    # Each halving of the pictures counts an arm four times as much.
    middle, half, weight = _first_layer(scene, camera, covered, prior, (_ARMS_UNITS / unit) ** -2.0)
    near = smooth(_gone_on(middle, weight), _SMOOTH_UNITS / unit)
    beyond = cv2.distanceTransform((~covered).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5) * unit
    calm = near + np.clip(beyond / _CALM_UNITS, 0, 1) * (smooth(near, _CALM_UNITS / unit) - near)
    rim = 2 * round(_RIM_UNITS / unit / 2) + 1
    thick = np.asarray(cv2.dilate(half, np.ones((rim, rim), np.uint8)), np.float32)
    beside = _gone_on(thick, weight)
    return DepthGuess(covered, np.asarray(calm, np.float32), beside)


def smooth(image: NDArray[np.float32], sigma_px: float) -> NDArray[np.float32]:
    """Return an image smoothed by a Gaussian."""
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma_px), np.float32)


def _first_layer(
    scene: RayScene, camera: Camera, covered: NDArray[np.bool_], prior: BodyPrior, arms: float
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Return [S, S] the depth in the middle of what is seen first, half its thickness, and what it counts for; 0 where nothing is."""
    rows, columns = np.nonzero(covered)
    origins, direction = camera.pixel_rays(np.stack([columns + 0.5, rows + 0.5], axis=1))
    first = scene.intersect(origins, direction)
    rows, columns, origins, way = (
        rows[first.hit],
        columns[first.hit],
        origins[first.hit],
        first.distance[first.hit],
    )
    entry = origins[:, 2] - way
    inside = origins + (way + 1e-2)[:, None] * direction
    leaves = scene.intersect(inside, direction)
    leaving = np.where(leaves.hit, inside[:, 2] - leaves.distance, entry)
    counts = np.where(prior.of_arms(np.column_stack([origins[:, :2], entry])), arms, 1.0)
    images = np.zeros((3, *covered.shape), np.float32)
    images[:, rows, columns] = np.stack([(entry + leaving) / 2, (entry - leaving) / 2, counts])
    return images[0], images[1], images[2]


def _gone_on(values: NDArray[np.float32], known: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return values [S, S] that go on smoothly where they count for nothing (pull and push over a pyramid of halves).

    Args:
        values: [S, S].
        known: [S, S] in [0, 1] what they count for beside others; they stay where it is not 0.
    """
    levels = [(values, known)]
    while levels[-1][0].shape[0] > 1:
        total, weight = levels[-1]
        half = (max(1, total.shape[1] // 2), max(1, total.shape[0] // 2))
        share = cv2.resize(weight, half, interpolation=cv2.INTER_AREA)
        mean = cv2.resize(total * weight, half, interpolation=cv2.INTER_AREA) / np.maximum(share, 1e-9)
        levels.append(
            (np.where(share > 0, mean, 0).astype(np.float32), np.minimum(4 * share, 1).astype(np.float32))
        )
    found = levels[-1][0]
    for total, weight in levels[-2::-1]:
        wide = cv2.resize(found, (total.shape[1], total.shape[0]), interpolation=cv2.INTER_LINEAR)
        keep = (weight > 0).astype(np.float32) if total is values else weight
        found = (keep * total + (1 - keep) * wide).astype(np.float32)
    return found
