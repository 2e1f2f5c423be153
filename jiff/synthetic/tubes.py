"""Closed shells swept along paths: rims and arms of glasses, straps, boxes with round edges."""

from __future__ import annotations

import numpy as np

from jiff.synthetic.slices import Shell, rings_to_shell

_SIDES = 8


def outward(shell: Shell) -> Shell:
    """Return the shell with its triangles facing outward."""
    a, b, c = shell.vertices[shell.faces].transpose(1, 0, 2)
    if (
        np.einsum("ij,ij->", a - shell.vertices[0], np.cross(b - shell.vertices[0], c - shell.vertices[0]))
        >= 0
    ):
        return shell
    return Shell(shell.vertices, shell.faces[:, ::-1], shell.uv, shell.faces_uv[:, ::-1])


def _sections(
    path: np.ndarray, first: np.ndarray, second: np.ndarray, size: tuple[float, float]
) -> np.ndarray:
    """Return (N, A, 3) rounded rectangles about the points of a path."""
    angle = (np.arange(_SIDES) + 0.5) / _SIDES * 2 * np.pi
    c, s = np.cos(angle), np.sin(angle)
    x, y = (np.sign(v) * np.abs(v) ** 0.6 for v in (c, s))
    return (
        path[:, None]
        + 0.5 * size[0] * x[None, :, None] * first[:, None]
        + 0.5 * size[1] * y[None, :, None] * second[:, None]
    )


def tube(path: np.ndarray, first: np.ndarray, second: np.ndarray, size: tuple[float, float]) -> Shell:
    """Return a bar along an open path.

    Args:
        path: (N, 3).
        first, second: (N, 3) unit vectors across it.
        size: width along either, unit of the path.
    """
    return outward(rings_to_shell(_sections(path, first, second, size)))


def hoop(rings: np.ndarray) -> Shell:
    """Return the ring-shaped shell of (R, A, 3) cross-sections, the last of which is followed by the first."""
    rows, columns = rings.shape[:2]
    r, c = np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij")
    r2, c2 = (r + 1) % rows, (c + 1) % columns
    quads = np.stack([r * columns + c, r2 * columns + c, r2 * columns + c2, r * columns + c2], axis=-1)
    wide = columns + 1
    uv_quads = np.stack(
        [r * wide + c, (r + 1) * wide + c, (r + 1) * wide + c + 1, r * wide + c + 1], axis=-1
    ).reshape(-1, 4)
    quads = quads.reshape(-1, 4)
    u, v = np.meshgrid(np.arange(wide) / columns, 1 - np.arange(rows + 1) / rows)
    return outward(
        Shell(
            rings.reshape(-1, 3),
            np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]]),
            np.stack([u, v], axis=-1).reshape(-1, 2),
            np.concatenate([uv_quads[:, [0, 1, 2]], uv_quads[:, [0, 2, 3]]]),
        )
    )


def rim(path: np.ndarray, first: np.ndarray, second: np.ndarray, size: tuple[float, float]) -> Shell:
    """Return a bar along a closed path; arguments as of ``tube``."""
    return hoop(_sections(path, first, second, size))


def round_box(half: tuple[float, float, float], columns: int) -> Shell:
    """Return a box with round edges about the origin: half width (x), height (y), depth (z), flat at z < 0."""
    rows = max(10, columns // 2)
    t = np.sin(np.linspace(-1, 1, rows) * np.pi / 2)
    level = (1 - np.abs(t) ** 6) ** (1 / 6) * 0.97 + 0.03
    angle = np.arange(columns) / columns * 2 * np.pi
    c, s = np.cos(angle), np.sin(angle)
    x, z = (np.sign(v) * np.abs(v) ** 0.45 for v in (c, s))
    rings = np.stack(
        [
            half[0] * level[:, None] * x[None],
            np.repeat(half[1] * t[:, None], columns, axis=1),
            half[2] * np.where(z[None] < 0, 1.0, level[:, None]) * z[None],
        ],
        axis=-1,
    )
    # From the top down, so that v is up in the chart.
    return outward(rings_to_shell(rings[::-1]))
