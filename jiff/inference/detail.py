"""Lapels, folds and hems: the front of a surface as the normals say that a network reads off the photo's shading.

The surface of a prior-held network is right over some centimetres, and rough or smooth below that. Its front is replaced by the depth
whose slopes are those of the photo's normals and that stays near the surface (a screened Poisson equation over the picture; that
normals be integrated over a body's depth is ECON's idea, Xiu et al., CVPR 2023). Between neighbours whose depths jump the normals tell
nothing, and such pairs count less the more they disagree.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import torch
from scipy.sparse import coo_matrix, diags
from scipy.sparse.linalg import cg

from jiff.geometry.camera import Camera
from jiff.models.normals.network import normals_picture
from jiff.photo.images import resize_image
from jiff.photo.masks import nearest_pixels
from jiff.render.gbuffer import render_gbuffer
from jiff.render.photo_projection import ramp, sample_pixels

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jiff.body.prior import BodyPrior
    from jiff.geometry.mesh import Mesh
    from jiff.models.normals.network import NormalNetwork

_SIDE = 512
"""Of the picture of normals, pixels; what the network has learnt from."""
_WIDEST, _OFF = (5.0, 14.0), (1.0, 4.0)
"""World units over which depth goes back to the surface's, on the skin and in loose clothes: wider shape is the body's business, but
what hangs far from it only the photo knows; and how far off the skin that is."""
_MOST = (3.0, 20.0)
"""World units that the front moves at most, on the skin and in loose clothes."""
_JUMPS = (10.0, 4.0, 2.0)
"""Differences from what normals say, world units between neighbours, from which a pair counts less and less, round by round: steps in
the surface that no other limb explains are closed first."""
_EXPLAINED, _NEARBY = 3.0, (3.5, 7.0)
"""Steps in the body's depth, and how far about them one in the surface's is a limb before another; where cloth joins the legs, and
elsewhere, as wide trousers stand off; world units."""
_CLOTH = 0.3
"""Looseness on either side from which other steps are of the surface, not of the person: cloth goes on there."""
_LEAST_NZ = 0.2
"""Slopes of normals that are turned farther away are those of this one."""
_BARE = 30.0
"""How much more the surface holds where nothing is moved: heads, which are fitted, and hands."""
_HEAD_M = (0.74, 0.79)
"""Canonical heights between which clothes end."""
_LINEAR = (1.0, 2.5)
"""World units from the new front over which the field is linear in the distance to it, so that its place is exact between cells."""
_BEHIND = (2.0, 4.0)
"""World units behind the new front, and behind the old one where that lies deeper, over which the new one ends."""
_BEFORE = (1.0, 3.0)
"""World units before the new front, beyond what it moves, over which the old surface goes on: a draft lacks thin things."""
_STEP, _BESIDE = 2.5, (0.4, 1.6)
"""Difference of neighbours' depths that is a step, and world units beside it over which the front is none of a body behind."""


class DetailedFront:
    """The front of a person as the photo's normals tell it, as a field.

    Args:
        mesh: the surface without it, world units, in the frame of the canonical camera.
        normals: [S, S, 3] unit normals as that camera sees them; x to the right, y up, z towards the camera.
        mask: [S, S] in [0, 1], the person.
        prior: of the fitted body.
        legs_joined: whether cloth joins the legs.
    """

    def __init__(
        self,
        mesh: Mesh,
        normals: NDArray[np.floating],
        mask: NDArray[np.floating],
        prior: BodyPrior,
        *,
        legs_joined: bool = False,
    ) -> None:
        self.camera = Camera(size=normals.shape[0])
        unit = 2 * self.camera.half_width_world / self.camera.size
        depth, held, loose = _front(mesh, self.camera, prior)
        inside = np.isfinite(depth) & (mask > 0.5) & np.isfinite(normals).all(axis=-1)
        normals = np.nan_to_num(normals)
        limbs = _occlusions(prior, self.camera, _NEARBY[0 if legs_joined else 1])
        apart = limbs | (cv2.dilate(loose, np.ones((3, 3), np.uint8)) < _CLOTH)
        found = _integrated(depth, _hold(held, loose, unit), normals, inside, apart, unit)
        most = _MOST[0] + (_MOST[1] - _MOST[0]) * loose
        moved = most * np.tanh((found - depth) / most)
        self._most = _spread(np.where(inside, most, np.nan))
        self.depth, self._raised = _spread(depth + moved), _spread(np.maximum(moved, 0))
        square = np.ones((3, 3), np.uint8)
        step = inside & limbs & (cv2.dilate(self.depth, square) - cv2.erode(self.depth, square) > _STEP)
        # Without a step anywhere distances are beyond all numbers.
        away = np.minimum(
            cv2.distanceTransform((~step).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5), len(normals)
        )
        self._share = _spread(np.where(inside, 1 - held, np.nan))
        self._whole = (self._share * ramp(away * unit, _BESIDE)).astype(np.float32)
        self._cosine = np.clip(normals[..., 2], _LEAST_NZ, 1).astype(np.float32)

    def distance(
        self, points_world: NDArray[np.floating], distance: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Return [N] signed distances, positive inside, to a surface with the new front.

        Args:
            points_world: [N, 3].
            distance: [N] to the surface with the old one.
        """
        pixels = self.camera.world_to_pixel(points_world)
        images = (self.depth, self._raised, self._most, self._share, self._whole, self._cosine)
        depth, raised, most, share, whole, cosine = (sample_pixels(image, pixels)[:, 0] for image in images)
        behind = depth - np.asarray(points_world)[:, 2]
        own = behind * cosine
        # Where the old front was is nothing, and what lies behind is of the person, but not beside a limb that is before another.
        cleared = share * (1 - ramp(-behind - most, _BEFORE)) * (behind < 0)
        distance = distance + cleared * (np.minimum(distance, own) - distance)
        filled = np.where(behind > 0, np.maximum(distance, own), distance)
        filled += (1 - ramp(np.abs(behind), _LINEAR)) * (own - filled)
        return np.asarray(
            distance + whole * (1 - ramp(behind - raised, _BEHIND)) * (filled - distance), np.float32
        )


def photo_normals(
    network: NormalNetwork, rgb: NDArray[np.uint8], mask: NDArray[np.uint8]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return [S, S, 3] unit normals that a framed photo shows, and [S, S] its mask in [0, 1].

    Args:
        network: in evaluation mode.
        rgb: [H, H, 3].
        mask: [H, H], 255 on the person.
    """
    small, share = (resize_image(image, (_SIDE, _SIDE)) for image in (rgb, mask))
    device = next(network.parameters()).device
    picture = torch.from_numpy(small).to(device).permute(2, 0, 1)[None] / 255
    there = torch.from_numpy(share).to(device)[None, None] / 255
    with torch.inference_mode():
        found = network(normals_picture(picture, there))[0].permute(1, 2, 0)
    return found.cpu().numpy(), there[0, 0].cpu().numpy()


def _front(
    mesh: Mesh, camera: Camera, prior: BodyPrior
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return [S, S] depth of a mesh, NaN where it is not, and in [0, 1] where it stays as it is and where it is far off the skin."""
    seen = render_gbuffer(mesh, camera)
    shape, count = (camera.size, camera.size), camera.size**2
    depth, held, loose = np.full(count, np.nan), np.zeros(count), np.zeros(count)
    depth[seen.pixel] = seen.interpolate(mesh.vertices, mesh.faces)[:, 2]
    points = np.asarray(mesh.vertices, np.float32)
    at = prior.at(points)
    bare = np.maximum(ramp(at.place[:, 1], _HEAD_M), prior.of_hands(points))
    held[seen.pixel], loose[seen.pixel] = seen.interpolate(
        np.stack([bare, ramp(-at.distance, _OFF)], axis=1), mesh.faces
    ).T
    return depth.reshape(shape), held.reshape(shape), loose.reshape(shape)


def _hold(held: NDArray[np.float64], loose: NDArray[np.float64], unit: float) -> NDArray[np.float64]:
    """Return [S, S] how much the surface's depth counts beside slopes, from where it stays and where it is far off the skin."""
    near, far = _WIDEST
    return (unit / (near + (far - near) * loose)) ** 2 + _BARE * held


def _occlusions(prior: BodyPrior, camera: Camera, nearby: float) -> NDArray[np.bool_]:
    """Return [S, S] where one limb may lie before another, or an arm or the head before clothes, within ``nearby`` world units."""
    seen = render_gbuffer(prior.mesh, camera)
    depth, apart = np.full(camera.size**2, np.nan), np.zeros(camera.size**2, np.uint8)
    points = seen.interpolate(prior.mesh.vertices, prior.mesh.faces)
    depth[seen.pixel] = points[:, 2]
    at = prior.at(points)
    apart[seen.pixel] = (at.place[:, 1] > _HEAD_M[0]) | prior.of_arms(points)
    shape, square = (camera.size, camera.size), np.ones((3, 3), np.uint8)
    there = np.isfinite(depth).reshape(shape)
    low, high = (np.where(there, depth.reshape(shape), fill).astype(np.float32) for fill in (1e6, -1e6))
    steps = cv2.dilate(high, square) - cv2.erode(low, square) > _EXPLAINED
    steps |= cv2.morphologyEx(apart.reshape(shape), cv2.MORPH_GRADIENT, square) > 0
    reach = 2 * round(nearby / (2 * camera.half_width_world / camera.size)) + 1
    return np.asarray(cv2.dilate(steps.astype(np.uint8), np.ones((reach, reach), np.uint8)) > 0)


def _integrated(
    depth: NDArray[np.float64],
    hold: NDArray[np.float64],
    normals: NDArray[np.floating],
    inside: NDArray[np.bool_],
    occlusions: NDArray[np.bool_],
    unit: float,
) -> NDArray[np.float64]:
    """Return [S, S] the depth whose slopes are those of normals, near that given; NaN outside."""
    number = np.full(inside.shape, -1)
    number[inside] = np.arange(inside.sum())
    nz = np.maximum(normals[..., 2], _LEAST_NZ)
    # How depth grows to the right, and from row to row, by the width of a pixel.
    slopes = (-normals[..., 0] / nz * unit, normals[..., 1] / nz * unit)
    one, other, step, sure, near = [], [], [], [], []
    for axis, slope in ((1, slopes[0]), (0, slopes[1])):
        a = tuple(slice(None, -1) if k == axis else slice(None) for k in range(2))
        b = tuple(slice(1, None) if k == axis else slice(None) for k in range(2))
        both = inside[a] & inside[b]
        one.append(number[a][both])
        other.append(number[b][both])
        step.append((slope[a][both] + slope[b][both]) / 2)
        sure.append(np.minimum(normals[..., 2][a][both], normals[..., 2][b][both]).clip(0.02, 1))
        near.append(occlusions[a][both] | occlusions[b][both])
    first, second, wanted, trust, limb = (np.concatenate(parts) for parts in (one, other, step, sure, near))
    count, start = int(inside.sum()), depth[inside]
    anchor = hold[inside]
    z = start
    pairs = np.arange(len(first))
    difference = coo_matrix(
        (
            np.concatenate([-np.ones(len(first)), np.ones(len(first))]),
            (np.tile(pairs, 2), np.concatenate([first, second])),
        ),
        shape=(len(first), count),
    ).tocsr()
    for jump in _JUMPS:
        # Other steps are of the surface, not of the person: cloth goes on there.
        off = np.where(limb, z[second] - z[first] - wanted, 0) / jump
        weight = trust / (1 + off**2) ** 2
        system = difference.T @ diags(weight) @ difference + diags(anchor)
        right = difference.T @ (weight * wanted) + anchor * start
        z = cg(system, right, x0=z, rtol=1e-4, maxiter=600, M=diags(1 / system.diagonal()))[0]
    result = np.full(inside.shape, np.nan)
    result[inside] = z
    return result


def _spread(image: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return an image [S, S] whose holes (NaN) have the nearest value."""
    there = np.isfinite(image)
    if there.all() or not there.any():
        return np.nan_to_num(image).astype(np.float32)
    return np.asarray(image.ravel()[nearest_pixels(there)[1]], np.float32)
