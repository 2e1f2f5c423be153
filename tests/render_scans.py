"""A small scan for render and check tests: an egg-shaped closed body with texture and analytic transfer."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from jiff.geometry.io.mesh_io import save_mesh
from jiff.geometry.mesh import Mesh
from jiff.render.prt_io import Prt, write_prt
from jiff.render.sh import clamped_cosine_sh

HEIGHT = 180.0


def egg(columns: int = 48, rows: int = 24, texture_size: int = 64) -> Mesh:
    """A textured ellipsoid 180 high, feet at 0, seam at the back, uv well inside the unit square."""
    u, v = np.meshgrid(np.linspace(0, 1, columns + 1), np.linspace(0, 1, rows + 1))
    longitude, latitude = (2 * u - 1) * np.pi, (v - 0.5) * np.pi
    unit = np.stack(
        [np.cos(latitude) * np.sin(longitude), np.sin(latitude), np.cos(latitude) * np.cos(longitude)], -1
    )
    radii = np.array([35.0, 90.0, 25.0])
    grid = np.arange((rows + 1) * (columns + 1)).reshape(rows + 1, columns + 1)
    a, b, c, d = grid[:-1, :-1], grid[:-1, 1:], grid[1:, 1:], grid[1:, :-1]
    quads = np.stack([np.stack([a, b, c], -1), np.stack([a, c, d], -1)], 2).reshape(-1, 3)
    # One vertex per seam column and pole, so that the surface is closed; uv keep the seam apart.
    weld = grid.copy()
    weld[:, -1] = weld[:, 0]
    weld[0], weld[-1] = weld[0, 0], weld[-1, 0]
    faces = weld.ravel()[quads]
    solid = (faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 2] != faces[:, 0])
    used, faces = np.unique(faces[solid], return_inverse=True)
    flat = unit.reshape(-1, 3)
    normals = flat / radii
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    ramp = np.linspace(60, 250, texture_size)
    texture = np.stack(
        [np.tile(ramp, (texture_size, 1)), np.tile(ramp[:, None], (1, texture_size)), np.full((texture_size,) * 2, 120.0)],
        axis=-1,
    )  # fmt: skip
    return Mesh(
        vertices=(flat * radii + [0, 90, 0])[used],
        faces=faces.reshape(-1, 3),
        uv=0.05 + 0.9 * np.stack([u, v], -1).reshape(-1, 2),
        faces_uv=quads[solid],
        normals=normals[used],
        texture=texture.astype(np.uint8),
    )


def unoccluded(mesh: Mesh) -> Prt:
    """Transfer of a surface that nothing shadows."""
    return Prt(clamped_cosine_sh(mesh.vertex_normals()).astype(np.float32), mesh.faces)


def write_scan(root: Path, name: str, **kwargs: int) -> Path:
    """Write an egg with its PRT as ``root/name/name.obj`` and return the file."""
    mesh = egg(**kwargs)
    path = root / name / f"{name}.obj"
    save_mesh(mesh, path)
    prt = unoccluded(mesh)
    write_prt(path.parent / "bounce", prt.coefficients, prt.faces)
    return path
