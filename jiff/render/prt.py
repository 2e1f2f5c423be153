"""Precomputed radiance transfer: for each vertex, the SH coefficients of its visible clamped cosine.

Coefficient i is the integral over the sphere of V(w) max(0, n . w) Y_i(w), bands 0-2, no 1/pi (the published
``bounce0.txt``). Two samplers:

- ``cosine``: per vertex a randomly shifted golden-ratio lattice, mapped to cosine-weighted directions. The answer for an
  unoccluded vertex is known in closed form and serves as control variate, so that only shadows carry noise.
- ``uniform``: the published one, n x n random directions over the whole sphere, the same for every vertex.
"""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from jiff.base.errors import UsageError
from jiff.render.sh import Y0, Y1, Y2_XX, Y2_XY, Y2_ZZ, clamped_cosine_sh, sh_basis

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jiff.geometry.mesh import Mesh
    from jiff.geometry.raycast import RayScene

SAMPLINGS = ("cosine", "uniform")
# Rays of the cosine sampler per published direction: 40 x 40 become 100, half the error of the published sampler.
_DIRECTIONS_PER_RAY = 16
_MIN_RAYS = 16
# Patterns in the bank; each vertex also turns its pattern by a random angle, so that few suffice.
_PATTERNS = 64
_RAYS_PER_BATCH = 1 << 18
_GOLDEN = (math.sqrt(5.0) - 1.0) / 2.0


@dataclass(frozen=True)
class PrtSampling:
    """How the sphere of directions is sampled.

    Attributes:
        method: ``"cosine"`` or ``"uniform"``.
        directions: n of the published n x n directions; the cosine sampler takes n^2 / 16 rays, at no larger error.
        seed: of the random shifts or directions.
    """

    method: str = "cosine"
    directions: int = 40
    seed: int = 0

    def __post_init__(self) -> None:
        if self.method not in SAMPLINGS:
            raise UsageError(
                f"PRT sampling {self.method!r} is unknown; choose one of {', '.join(SAMPLINGS)}."
            )
        if self.directions < 1:
            raise UsageError(f"PRT needs at least one direction per axis, not {self.directions}; give -n 40.")

    @property
    def rays(self) -> int:
        """Rays cast per vertex."""
        if self.method == "uniform":
            return self.directions**2
        return max(_MIN_RAYS, round(self.directions**2 / _DIRECTIONS_PER_RAY))


def concentric_disc(square: NDArray[np.float64]) -> NDArray[np.float64]:
    """Map [..., 2] of the unit square to the unit disc, area-preserving (Shirley and Chiu 1997)."""
    a, b = np.moveaxis(2.0 * square - 1.0, -1, 0)
    wide = np.abs(a) > np.abs(b)
    radius = np.where(wide, a, b)
    safe = np.where(radius == 0.0, 1.0, radius)
    angle = np.where(wide, (math.pi / 4.0) * (b / safe), math.pi / 2.0 - (math.pi / 4.0) * (a / safe))
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=-1)


def cosine_patterns(rays: int, patterns: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return [patterns, rays, 3] cosine-weighted directions about +z, each pattern a shifted lattice."""
    index = np.arange(rays)
    lattice = np.stack([(index + 0.5) / rays, (index * _GOLDEN) % 1.0], axis=-1)
    shifted = (lattice + rng.random((patterns, 1, 2))) % 1.0  # Cranley-Patterson rotation
    disc = concentric_disc(shifted)
    height = np.sqrt(np.maximum(0.0, 1.0 - (disc**2).sum(-1)))
    return np.concatenate([disc, height[..., None]], axis=-1).astype(np.float32)


def tangent_frames(normals: NDArray[np.floating], angles_rad: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return [V, 3, 3] rotations whose third column is the normal, turned by an angle about it.

    Branchless basis of Duff et al., "Building an Orthonormal Basis, Revisited", JCGT 2017.
    """
    x, y, z = normals.T
    sign = np.where(z >= 0, 1.0, -1.0)
    a = -1.0 / (sign + z)
    b = x * y * a
    tangent = np.stack([1.0 + sign * x * x * a, sign * b, -sign * x], axis=-1)
    bitangent = np.stack([b, sign + y * y * a, -y], axis=-1)
    c, s = np.cos(angles_rad)[:, None], np.sin(angles_rad)[:, None]
    return np.stack([c * tangent + s * bitangent, c * bitangent - s * tangent, normals], axis=-1).astype(
        np.float32
    )


def _sh_of_moments(
    count: NDArray[np.float64], first: NDArray[np.float64], second: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return [V, 9] sums of Y over directions from their number [V], sum [V, 3] and sum of outer products [V, 3, 3]."""
    return np.stack(
        [
            Y0 * count,
            Y1 * first[:, 1],
            Y1 * first[:, 2],
            Y1 * first[:, 0],
            Y2_XY * second[:, 0, 1],
            Y2_XY * second[:, 1, 2],
            Y2_ZZ * (3.0 * second[:, 2, 2] - count),
            Y2_XY * second[:, 2, 0],
            Y2_XX * (second[:, 0, 0] - second[:, 1, 1]),
        ],
        axis=-1,
    )


_PAIRS = ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))


def _moments(directions: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return [..., 10]: 1, the direction, and its six products."""
    products = [directions[..., i] * directions[..., j] for i, j in _PAIRS]
    ones = np.ones_like(directions[..., :1])
    return np.concatenate([ones, directions, np.stack(products, axis=-1)], axis=-1)


def _turned_sh(moments: NDArray[np.float64], frames: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return [V, 9] sums of Y(frame @ direction) from local moments [V, 10] and frames [V, 3, 3]."""
    second = np.empty((len(moments), 3, 3))
    for k, (i, j) in enumerate(_PAIRS):
        second[:, i, j] = second[:, j, i] = moments[:, 4 + k]
    first = np.einsum("vij,vj->vi", frames, moments[:, 1:4])
    return _sh_of_moments(moments[:, 0], first, frames @ second @ frames.transpose(0, 2, 1))


class _CosineSampler:
    """Per-vertex lattices turned about the normal, with the unoccluded answer as control variate."""

    def __init__(self, scene: RayScene, sampling: PrtSampling) -> None:
        self.scene = scene
        self.rays = sampling.rays
        rng = np.random.default_rng(sampling.seed)
        self.patterns = cosine_patterns(self.rays, _PATTERNS, rng)
        self.moments = _moments(self.patterns)
        self.seed = sampling.seed
        # A multiple of the bank: vertex k of a batch uses pattern k modulo the bank's size.
        self.batch = max(1, _RAYS_PER_BATCH // (self.rays * _PATTERNS)) * _PATTERNS

    def __call__(
        self, start: int, origins: NDArray[np.float32], normals: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        count = len(origins)
        padded = -(-count // _PATTERNS) * _PATTERNS
        index = np.minimum(np.arange(padded), count - 1).reshape(-1, _PATTERNS).T  # [P, G]
        # Seeded by position, so that the answer does not depend on threads.
        angles = np.random.default_rng([self.seed, start]).random(padded) * (2.0 * math.pi)
        frames = tangent_frames(normals[index.ravel()], angles)
        columns = frames.reshape(_PATTERNS, -1, 3).transpose(0, 2, 1)  # [P, 3, G * 3]
        directions = self.patterns @ columns  # [P, N, G * 3]
        starts = np.broadcast_to(origins[index][:, None], (_PATTERNS, self.rays, index.shape[1], 3))
        occluded = self.scene.occluded(starts.reshape(-1, 3), directions.reshape(-1, 3))
        visible = ~occluded.reshape(_PATTERNS, self.rays, -1)
        sums = visible.transpose(0, 2, 1).astype(np.float32) @ self.moments  # [P, G, 10]
        total = self.moments.sum(1, dtype=np.float64)[:, None]
        seen = sums[..., :1] / np.float64(self.rays)
        # Control variate: the error of the full sum is known; remove the share of it that the visible part has.
        turn = frames.astype(np.float64)
        estimate = _turned_sh((sums - seen * total).reshape(-1, 10), turn) * (math.pi / self.rays)
        exact = clamped_cosine_sh(turn[:, :, 2]) * seen.reshape(-1, 1)
        result = np.empty((count, 9))
        result[index.ravel()] = estimate + exact
        return result


class _UniformSampler:
    """The published estimator: one set of directions over the sphere for all vertices."""

    def __init__(self, scene: RayScene, sampling: PrtSampling) -> None:
        self.scene = scene
        rng = np.random.default_rng(sampling.seed)
        height = 1.0 - 2.0 * rng.random(sampling.rays)
        angle = 2.0 * math.pi * rng.random(sampling.rays)
        radius = np.sqrt(1.0 - height**2)
        self.directions = np.stack([radius * np.cos(angle), radius * np.sin(angle), height], axis=-1)
        self.basis = sh_basis(self.directions) * (4.0 * math.pi / sampling.rays)
        self.batch = max(1, _RAYS_PER_BATCH // sampling.rays)

    def __call__(
        self, start: int, origins: NDArray[np.float32], normals: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        cosine = normals @ self.directions.T  # [V, N]
        vertex, ray = np.nonzero(cosine > 0)
        occluded = self.scene.occluded(origins[vertex], self.directions[ray])
        cosine[cosine <= 0] = 0.0
        cosine[vertex[occluded], ray[occluded]] = 0.0
        return np.asarray(cosine @ self.basis)


def compute_prt(
    mesh: Mesh,
    scene: RayScene,
    sampling: PrtSampling | None = None,
    *,
    threads: int = 1,
) -> NDArray[np.float64]:
    """Compute the PRT of every vertex.

    Args:
        mesh: triangles facing outward, any unit; vertex normals are the given ones or area-weighted means.
        scene: Embree's BVH of the same mesh.
        sampling: directions; the default sampler when None.
        threads: threads that cast rays (Embree releases the GIL); the answer does not depend on their number.

    Returns:
        [V, 9]; zero where a vertex has no normal (belongs to no triangle).
    """
    sampling = sampling or PrtSampling()
    normals = np.array(mesh.vertex_normals(), dtype=np.float64)  # a copy: changed below
    length = np.linalg.norm(normals, axis=1)
    valid = length > 1e-12
    normals[valid] /= length[valid, None]
    normals[~valid] = (0.0, 1.0, 0.0)
    # The published offset: far above the rounding of float32, far below any fold of cloth.
    offset = 1e-3 * float(np.ptp(mesh.vertices, axis=0).min())
    offset = max(offset, 1e-6 * float(np.ptp(mesh.vertices, axis=0).max()))
    origins = (mesh.vertices + offset * normals).astype(np.float32)
    sampler = (_UniformSampler if sampling.method == "uniform" else _CosineSampler)(scene, sampling)
    prt = np.empty((len(origins), 9))

    def run(start: int) -> None:
        stop = min(start + sampler.batch, len(origins))
        prt[start:stop] = sampler(start, origins[start:stop], normals[start:stop])

    with ThreadPoolExecutor(max(1, threads)) as pool:
        list(pool.map(run, range(0, len(origins), sampler.batch)))
    prt[~valid] = 0.0
    return prt
