"""Eyeballs and the inside of the mouth: discs that close the openings of the template."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from jiff.synthetic.slices import Shell

EYE_RINGS = 9
MOUTH_RINGS = 4
EYE_CHART = 0.62
"""Half width of the eye's chart as sine of the angle to the gaze."""


@dataclass(frozen=True)
class Eye:
    """An eyeball in scan coordinates: centre (3,), radius in metres, unit gaze, right and up (3,)."""

    center: np.ndarray
    radius: float
    gaze: np.ndarray
    right: np.ndarray
    up: np.ndarray


def fit_sphere(points: np.ndarray) -> tuple[np.ndarray, float]:
    """Return centre and radius of the least-squares sphere of (N, 3) points."""
    matrix = np.concatenate([2 * points, np.ones((len(points), 1))], axis=1)
    solution = np.linalg.lstsq(matrix, (points**2).sum(axis=1), rcond=None)[0]
    center = solution[:3]
    return center, float(np.sqrt(solution[3] + center @ center))


def _disc_faces(count: int, rings: int) -> np.ndarray:
    r, c = np.meshgrid(np.arange(rings - 1), np.arange(count), indexing="ij")
    n = (c + 1) % count
    p00, p01 = r * count + c, r * count + n
    quads = np.stack([p00, p01, p01 + count, p00 + count], axis=-1).reshape(-1, 4)
    last = (rings - 1) * count
    k = np.arange(count)
    fan = np.stack([last + k, last + (k + 1) % count, np.full(count, rings * count)], axis=1)
    return np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]], fan])


def eye_disc(loop: np.ndarray, eye: Eye) -> Shell:
    """Return the visible part of an eyeball.

    Args:
        loop: (L, 3) lid margin, in the order of ``Template.loops``; it becomes the first L vertices.
        eye: the eyeball.
    """
    count = len(loop)
    arms = loop - eye.center
    distance = np.linalg.norm(arms, axis=1, keepdims=True)
    start = arms / distance
    pole = start.mean(axis=0)
    pole /= np.linalg.norm(pole)
    rows = [loop]
    for ring in range(1, EYE_RINGS):
        t = ring / EYE_RINGS
        direction = start * (1 - t) + pole * t
        direction /= np.linalg.norm(direction, axis=1, keepdims=True)
        # The cornea stands a little proud of the ball.
        bulge = 1 + 0.035 * np.clip((direction @ eye.gaze - 0.87) / 0.13, 0, 1)
        blend = np.clip(t * 4, 0, 1)
        rows.append(
            eye.center
            + direction
            * (distance * (1 - blend) + np.minimum(eye.radius, distance * 1.2) * blend)
            * bulge[:, None]
        )
    center = eye.center + pole * eye.radius * (1 + 0.035 * np.clip((pole @ eye.gaze - 0.87) / 0.13, 0, 1))
    vertices = np.concatenate([*rows, center[None]])
    direction = vertices - eye.center
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    flat = np.stack([direction @ eye.right, direction @ eye.up], axis=1)
    uv = np.clip(0.5 + 0.5 * flat / EYE_CHART, 0.01, 0.99)
    faces = _disc_faces(count, EYE_RINGS)
    return Shell(vertices, faces, uv, faces)


def mouth_disc(loop: np.ndarray, forward: np.ndarray, right: np.ndarray, up: np.ndarray) -> Shell:
    """Return a shallow pocket behind the lips.

    Args:
        loop: (L, 3) inner edge of the lips.
        forward, right, up: (3,) axes of the head.
    """
    center = loop.mean(axis=0)
    width = np.ptp(loop @ right)
    rows = [loop]
    for ring in range(1, MOUTH_RINGS):
        t = ring / MOUTH_RINGS
        rows.append(loop + (center - loop) * t * t - forward * 0.2 * width * (1 - (1 - t) ** 2))
    vertices = np.concatenate([*rows, (center - forward * 0.2 * width)[None]])
    flat = np.stack([(vertices - center) @ right, (vertices - center) @ up], axis=1) / width
    uv = np.clip(0.5 + flat * 0.9, 0.01, 0.99)
    faces = _disc_faces(len(loop), MOUTH_RINGS)
    return Shell(vertices, faces, uv, faces)
