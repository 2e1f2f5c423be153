"""An ellipsoid that stands where a person would: scan and UV maps by closed form, for benchmarks and tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyexr

from jiff.geometry.io.mesh_io import save_image
from jiff.geometry.mesh import Mesh

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import ArrayLike, NDArray

    from jiff.data.layout import ProcessedSet

CENTER = np.array([0.0, 90.0, 0.0])


def sphere_mesh(rings: int = 24, columns: int = 48) -> Mesh:
    """Return a closed unit sphere with outward triangles."""
    polar = np.linspace(0, np.pi, rings + 1)[1:-1]
    azimuth = np.arange(columns) * 2 * np.pi / columns
    body = _unit(polar[:, None], azimuth[None]).reshape(-1, 3)
    vertices = np.concatenate([[[0.0, 1.0, 0.0]], body, [[0.0, -1.0, 0.0]]])
    faces = []
    for column in range(columns):
        after = (column + 1) % columns
        faces.append([0, 1 + column, 1 + after])
        for ring in range(rings - 2):
            a, b = 1 + ring * columns + column, 1 + ring * columns + after
            faces += [[a, a + columns, b + columns], [a, b + columns, b]]
        last = 1 + (rings - 2) * columns
        faces.append([last + column, len(vertices) - 1, last + after])
    return Mesh(vertices, np.array(faces, dtype=np.int64))


def person_mesh(radii: ArrayLike, rings: int = 24, columns: int = 48) -> Mesh:
    """Return the ellipsoid of ``radii`` [3], world units."""
    return sphere_mesh(rings, columns).transformed(np.diag(np.asarray(radii)), CENTER)


def write_uv_maps(dataset: ProcessedSet, name: str, radii: ArrayLike, mask: NDArray[np.uint8]) -> None:
    """Write UV_MASK, UV_NORMAL and UV_POS of the ellipsoid, in the size of ``mask`` [S, S]."""
    grid = (np.arange(len(mask)) + 0.5) / len(mask)
    v, u = np.meshgrid(grid, grid, indexing="ij")
    unit = _unit(v * np.pi, u * 2 * np.pi)
    normals = unit / radii
    normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
    save_image(dataset.uv_mask(name), mask)
    save_image(dataset.uv_normal(name), np.rint((normals * 0.5 + 0.5) * 255).astype(np.uint8))
    dataset.uv_pos(name).parent.mkdir(parents=True, exist_ok=True)
    pyexr.write(str(dataset.uv_pos(name)), (unit * radii + CENTER).astype(np.float32))


def write_yaws(dataset: ProcessedSet, name: str, yaws: Iterable[int]) -> None:
    """Write FILE_NUMBER."""
    path = dataset.file_number(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{yaw}\n" for yaw in yaws), encoding="utf-8")


def _unit(polar: NDArray[np.float64], azimuth: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return [..., 3] points of the unit sphere at angles from +y and, about it, from +z towards +x."""
    parts = (np.sin(polar) * np.sin(azimuth), np.cos(polar), np.sin(polar) * np.cos(azimuth))
    return np.stack(np.broadcast_arrays(*parts), axis=-1)
