"""Lighting environments as SH coefficients: generated mixtures of sky, ground and area lights, or read from a file.

An environment is [9, 3]: RGB radiance projected to the basis of ``jiff.render.sh``, fixed to the camera's frame
(x right, y up, z towards the camera). Its scale is that of the published ``env_sh.npy``: irradiance near 1 gives an
image value near the albedo.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from jiff.base.errors import InputError
from jiff.render.sh import CLAMPED_COSINE, GAMMA, SH_COUNT, sh_basis

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

# Shading of the camera-facing half of a white unoccluded ball: its mean is drawn from here, its brightest value is
# held below the second; so light skin or cloth (albedo 0.8) is neither black nor blown.
_FRONTAL_MEAN = (0.80, 1.02)
_FRONTAL_PEAK = 1.25
# Darkest irradiance over all directions relative to the mean: shadows of a room or a street are never black.
_DARKEST = 0.06
# How far the camera's white balance goes towards a neutral mean.
_WHITE_BALANCE = 0.75
_WARM = np.array([1.0, 0.78, 0.55])
_COOL = np.array([0.72, 0.87, 1.0])


def cap_sh(direction: ArrayLike, half_angle_rad: float) -> NDArray[np.float64]:
    """Return [9] coefficients of a uniform cap of radiance 1.

    A cap about ``direction`` has c_lm = Y_lm(direction) 2 pi times the integral of the Legendre polynomial P_l from
    cos(half_angle) to 1. A half angle of pi/2 is a hemisphere.
    """
    c = math.cos(half_angle_rad)
    bands = 2.0 * math.pi * np.array([1.0 - c, (1.0 - c * c) / 2.0, (c - c**3) / 2.0])
    return np.asarray(sh_basis(direction) * np.repeat(bands, [1, 3, 5]))


def irradiance(env_sh: ArrayLike, normals: ArrayLike) -> NDArray[np.float64]:
    """Return the RGB irradiance [..., 3] on unoccluded surfaces of unit ``normals`` [..., 3] under [9, 3]."""
    return np.asarray((sh_basis(normals) * CLAMPED_COSINE) @ np.asarray(env_sh, dtype=np.float64))


def sphere_directions(count: int) -> NDArray[np.float64]:
    """Return [count, 3] evenly spread unit vectors (Fibonacci sphere)."""
    index = np.arange(count) + 0.5
    z = 1.0 - 2.0 * index / count
    angle = index * math.pi * (3.0 - math.sqrt(5.0))
    radius = np.sqrt(1.0 - z * z)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle), z], axis=-1)


def _tint(rng: np.random.Generator) -> NDArray[np.float64]:
    """Return a light's colour between candle-warm and sky-cool, mean 1."""
    share = rng.random()
    color = share * _WARM + (1.0 - share) * _COOL
    return np.asarray(color / color.mean())


def _light_direction(rng: np.random.Generator) -> NDArray[np.float64]:
    """Return where an area light stands: mostly above the horizon, all around, more often in front."""
    azimuth = rng.uniform(-math.pi, math.pi) * rng.uniform(0.4, 1.0)
    elevation = math.asin(rng.uniform(-0.15, 0.95))
    return np.array(
        [
            math.cos(elevation) * math.sin(azimuth),
            math.sin(elevation),
            math.cos(elevation) * math.cos(azimuth),
        ]
    )


def _mixture(rng: np.random.Generator) -> NDArray[np.float64]:
    up = np.array([0.0, 1.0, 0.0])
    sky = np.outer(cap_sh(up, math.pi / 2), _tint(rng) * rng.uniform(0.3, 1.0))
    ground = np.outer(cap_sh(-up, math.pi / 2), _tint(rng) * rng.uniform(0.1, 0.5))
    environment = sky + ground
    for _ in range(rng.integers(1, 4)):
        half_angle = math.radians(rng.uniform(8.0, 45.0))
        cap = cap_sh(_light_direction(rng), half_angle)
        # Power, not radiance, is drawn, so that small lights matter as much as windows.
        environment = environment + np.outer(cap / cap[0], _tint(rng) * rng.uniform(0.2, 1.6))
    return environment


def damped(environment: NDArray[np.float64], normals: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the environment with bands 1-2 damped until no direction is darker than ``_DARKEST`` of the mean.

    Three bands of a small light ring below zero; damping keeps the mean, hue and direction.

    Args:
        environment: [9, 3].
        normals: [N, 3] directions that are looked at.
    """
    mean = irradiance(environment, normals).mean(0)
    swing = irradiance(environment, normals) - mean
    lowest = swing.min(0)
    room = (1.0 - _DARKEST) * mean
    damping = min(1.0, float((room / np.maximum(-lowest, 1e-12)).min()))
    return environment * np.where(np.arange(SH_COUNT) == 0, 1.0, damping)[:, None]


def _exposed(
    environment: NDArray[np.float64], normals: NDArray[np.float64], target: float
) -> NDArray[np.float64]:
    facing = normals[normals[:, 2] > 0]
    weight = facing[:, 2] / facing[:, 2].sum()
    mean = weight @ irradiance(environment, facing)
    environment = environment * (mean.mean() / mean) ** _WHITE_BALANCE
    shading = irradiance(environment, facing) ** (1.0 / GAMMA)
    exposure = min(target / float(weight @ shading.mean(1)), _FRONTAL_PEAK / float(shading.max()))
    return environment * exposure**GAMMA


def generate_environments(count: int, seed: int = 0) -> NDArray[np.float64]:
    """Generate lighting: sky and ground of random tints plus one to three area lights.

    Args:
        count: how many.
        seed: environment k depends on (seed, k) alone, so that a longer list starts with the shorter one.

    Returns:
        [count, 9, 3], irradiance positive in every direction and exposed for the camera's side.
    """
    normals = sphere_directions(1500)
    result = np.empty((count, SH_COUNT, 3))
    for k in range(count):
        rng = np.random.default_rng([seed, k])
        result[k] = _exposed(damped(_mixture(rng), normals), normals, rng.uniform(*_FRONTAL_MEAN))
    return result


def load_environments(path: Path | str) -> NDArray[np.float64]:
    """Read environments from a NumPy file of shape (N, 9, 3) or (9, 3), without pickle.

    Returns:
        [N, 9, 3].

    Raises:
        InputError: missing, of another shape, or not numbers.
    """
    path = Path(path)
    try:
        values = np.load(path, allow_pickle=False)
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; check the path of the environments.") from error
    except (OSError, ValueError, EOFError) as error:
        raise InputError(
            f"{path}: cannot be read as a NumPy array ({error}); save it with numpy.save."
        ) from error
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "fiu":
        raise InputError(f"{path}: does not hold an array of numbers; save it with numpy.save.")
    if values.shape[-2:] != (SH_COUNT, 3) or values.ndim not in (2, 3) or values.size == 0:
        raise InputError(f"{path}: has shape {values.shape}; environments are (N, 9, 3) or (9, 3).")
    if not np.isfinite(values).all():
        raise InputError(f"{path}: holds values that are not finite; compute the environments again.")
    return values.reshape(-1, SH_COUNT, 3).astype(np.float64)
