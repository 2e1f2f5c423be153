"""Real spherical harmonics of bands 0-2: basis, true rotation, and shading of PRT by an environment.

Order (that of the published ``bounce0.txt`` and ``env_sh``): Y00, Y1-1, Y10, Y11, Y2-2, Y2-1, Y20, Y21, Y22, that is
1, y, z, x, xy, yz, 3z^2 - 1, zx, x^2 - y^2 with positive orthonormal factors (no Condon-Shortley sign).
Polynomial forms: P. Sloan, "Stupid Spherical Harmonics (SH) Tricks", 2008, appendix A2.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

SH_COUNT = 9
GAMMA = 2.2
"""Exponent by which the published renderer turns radiance into image values."""

Y0 = 0.5 / math.sqrt(math.pi)
Y1 = math.sqrt(3.0 / (4.0 * math.pi))
Y2_XY = 0.5 * math.sqrt(15.0 / math.pi)
Y2_ZZ = 0.25 * math.sqrt(5.0 / math.pi)
Y2_XX = 0.25 * math.sqrt(15.0 / math.pi)

CLAMPED_COSINE = np.repeat([math.pi, 2.0 * math.pi / 3.0, math.pi / 4.0], [1, 3, 5])
"""[9] factors that turn Y(n) into the SH coefficients of max(0, n . w) (Ramamoorthi and Hanrahan 2001, eq. 8)."""

# Any five directions whose band-2 vectors are independent determine a band-2 rotation; these are well conditioned.
_PROBES = np.array([[1, 0, 0], [0, 0, 1], [1, 1, 0], [1, 0, 1], [0, 1, 1]]) / np.sqrt(
    [[1], [1], [2], [2], [2]]
)


def sh_basis(directions: ArrayLike) -> NDArray[np.float64]:
    """Evaluate the nine basis functions.

    Args:
        directions: [..., 3] unit vectors.

    Returns:
        [..., 9].
    """
    x, y, z = np.moveaxis(np.asarray(directions, dtype=np.float64), -1, 0)
    return np.stack(
        [
            np.full_like(x, Y0),
            Y1 * y,
            Y1 * z,
            Y1 * x,
            Y2_XY * x * y,
            Y2_XY * y * z,
            Y2_ZZ * (3.0 * z * z - 1.0),
            Y2_XY * z * x,
            Y2_XX * (x * x - y * y),
        ],
        axis=-1,
    )


_PROBES_INVERSE = np.linalg.inv(sh_basis(_PROBES)[:, 4:].T)


def sh_rotation(rotation: ArrayLike) -> NDArray[np.float64]:
    """Return the matrix D with Y(R n) = D Y(n) for every unit n.

    If c are the coefficients of a function on the sphere, D c are those of the function turned by R.

    Args:
        rotation: [..., 3, 3] R.

    Returns:
        [..., 9, 9], orthogonal and block-diagonal by band; exact to rounding, inputs untouched.
    """
    rotation = np.asarray(rotation, dtype=np.float64)
    matrix = np.zeros((*rotation.shape[:-2], SH_COUNT, SH_COUNT))
    matrix[..., 0, 0] = 1.0
    axes = [1, 2, 0]  # band 1 is y, z, x
    matrix[..., 1:4, 1:4] = rotation[..., axes, :][..., :, axes]
    turned = np.einsum("...ij,kj->...ki", rotation, _PROBES)
    matrix[..., 4:, 4:] = np.swapaxes(sh_basis(turned)[..., 4:], -1, -2) @ _PROBES_INVERSE
    return matrix


def rotate_sh(coefficients: ArrayLike, rotation: ArrayLike) -> NDArray[np.float64]:
    """Return the coefficients of a function or environment turned by R.

    Args:
        coefficients: [9, ...] first axis SH, e.g. an environment [9, 3].
        rotation: [3, 3].
    """
    return np.tensordot(sh_rotation(rotation), np.asarray(coefficients, dtype=np.float64), axes=1)


def clamped_cosine_sh(normals: ArrayLike) -> NDArray[np.float64]:
    """Return the PRT [..., 9] of unoccluded points with unit ``normals`` [..., 3]."""
    return sh_basis(normals) * CLAMPED_COSINE


def environment_in_model_frame(env_sh: ArrayLike, rotation_view: ArrayLike) -> NDArray[np.float64]:
    """Return the environment [9, 3] as the unturned subject sees it.

    The environment is fixed to the camera while a view turns the subject by R, so that the radiance of a point is
    (D(R) prt) . env = prt . (D(R)^T env): one 9x9 product per view instead of one per vertex.

    Args:
        env_sh: [9, 3] in the camera's frame.
        rotation_view: [3, 3] world to camera (``Camera.rotation``).
    """
    return np.asarray(sh_rotation(rotation_view).T @ np.asarray(env_sh, dtype=np.float64))


def shade(prt: ArrayLike, env_sh: ArrayLike, rotation_view: ArrayLike | None = None) -> NDArray[np.floating]:
    """Return the factor by which the published renderer multiplies albedo.

    An image value is ``clip(albedo * shade(...), 0, 1)`` with albedo in [0, 1] as stored in the texture: no 1/pi and no
    linearisation of the albedo, as published. Interpolate PRT first and shade pixels: the power is not linear.

    Args:
        prt: [..., 9] coefficients in the model's frame; float32 stays float32.
        env_sh: [9, 3] environment in the camera's frame.
        rotation_view: [3, 3] the subject's turn in this view; None leaves it as it is.

    Returns:
        [..., 3] (max(0, prt . env)) ^ (1 / 2.2), unbounded above.
    """
    env = np.asarray(env_sh, dtype=np.float64)
    if rotation_view is not None:
        env = environment_in_model_frame(env, rotation_view)
    transfer = np.asarray(prt)
    if transfer.dtype != np.float32:
        transfer = transfer.astype(np.float64)
    radiance = transfer @ env.astype(transfer.dtype)
    return np.asarray(np.maximum(radiance, 0.0) ** transfer.dtype.type(1.0 / GAMMA))
