"""Skin, face, eyes and hair as colours on the canonical body."""

from __future__ import annotations

import numpy as np

from jiff.synthetic.caps import EYE_CHART
from jiff.synthetic.spec import Hair, Looks

EYE = np.array([0.0325, 0.9035])
"""Canonical x (left, mirrored for right) and y of the middle of the lid opening, metres."""


def _blob(
    points: np.ndarray, center: tuple[float, float, float], radius: tuple[float, float, float]
) -> np.ndarray:
    """Return (N,) a soft spot, mirrored left and right."""
    x = np.abs(points[:, 0]) - center[0]
    d = (
        (x / radius[0]) ** 2
        + ((points[:, 1] - center[1]) / radius[1]) ** 2
        + ((points[:, 2] - center[2]) / radius[2]) ** 2
    )
    return np.exp(-d)


def _noise(points: np.ndarray, wavelength: float, rng: np.random.Generator, count: int = 6) -> np.ndarray:
    frequency = rng.normal(0, 1, (3, count))
    frequency *= 2 * np.pi / wavelength / np.linalg.norm(frequency, axis=0)
    phase = rng.uniform(0, 2 * np.pi, count)
    total = np.zeros(len(points), dtype=np.float32)
    x, y, z = points.T
    for (a, b, c), p in zip(frequency.T.astype(np.float32), phase.astype(np.float32)):
        total += np.sin(a * x + b * y + c * z + p)
    return total / np.sqrt(count)


def brow_mask(points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return (N,) density of the eyebrows in [0, 1]."""
    x, y, z = np.abs(points[:, 0]), points[:, 1], points[:, 2]
    t = (x - 0.0125) / 0.041
    arch = 0.9185 + 0.0075 * np.sin(np.clip(t, 0, 1) * 2.2) - 0.004 * np.clip(t - 0.55, 0, 1) ** 1.5 * 3
    half = 0.0046 * (1 - 0.6 * np.clip(t, 0, 1) ** 1.5)
    across = (y - arch) / half
    hairs = 0.82 + 0.18 * np.sin(900 * x + 500 * y + 3 * np.sin(260 * y + rng.uniform(0, 6)))
    body = (
        np.clip(1.5 - np.abs(across) * 1.15, 0, 1)
        * np.clip(t * 9 + 0.6, 0, 1)
        * np.clip((1.04 - t) * 7, 0, 1)
    )
    return np.where((z > 0.08), body * hairs, 0.0)


def skin_color(
    looks: Looks, points: np.ndarray, shade: np.ndarray, lips: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Return (N, 3) float32 colours of bare skin with brows, lips and lids.

    Args:
        looks: whose.
        points: (N, 3) canonical positions.
        shade: (N,) openness.
        lips: (N,) lip mask.
        rng: mottling.
    """
    base = np.array(looks.skin, dtype=np.float32)
    color = np.broadcast_to(base, (len(points), 3)).copy()
    mottle = 0.018 * _noise(points, 0.05, rng) + 0.012 * _noise(points, 0.012, rng, 4)
    color *= (1 + mottle[:, None]).astype(np.float32)
    head = points[:, 1] > 0.76
    p = points[head]
    c = color[head]
    warm = np.array([1.05, 0.86, 0.84], dtype=np.float32)
    red = looks.blush * (
        0.75 * _blob(p, (0.043, 0.862, 0.115), (0.02, 0.017, 0.05))
        + 0.55 * _blob(p, (0.0, 0.862, 0.165), (0.014, 0.014, 0.03))
    )
    red += 0.5 * np.clip((np.abs(p[:, 0]) - 0.079) / 0.01, 0, 1) * (p[:, 1] > 0.845) * (p[:, 1] < 0.92)
    c *= 1 + red[:, None] * (warm - 1)
    socket = _blob(p, (0.033, 0.9035, 0.135), (0.021, 0.0125, 0.03))
    c *= 1 - 0.2 * socket[:, None] * np.array([0.85, 1.0, 1.0], dtype=np.float32)
    if looks.stubble > 0.02:
        line = np.interp(
            np.abs(p[:, 0]), [0, 0.026, 0.036, 0.055, 0.068], [0.852, 0.849, 0.838, 0.846, 0.895]
        )
        beard = np.clip((line - p[:, 1]) / 0.02, 0, 1) * np.clip((p[:, 1] - 0.772) / 0.02, 0, 1)
        beard *= np.clip((p[:, 2] - 0.05 - 0.3 * (0.84 - p[:, 1])) / 0.02, 0, 1)
        beard *= 1 - lips[head]
        dark = np.array([0.58, 0.6, 0.64], dtype=np.float32)
        c *= 1 + (0.62 * looks.stubble * beard)[:, None] * (dark - 1)
    x, y = np.abs(p[:, 0]) - EYE[0], p[:, 1] - EYE[1]
    front = p[:, 2] > 0.11
    # Lash lines: the margins of the lids, darker above.
    inside = (np.abs(x) < 0.0150) & front
    curve = 0.0052 * (1 - (x / 0.0150) ** 2)
    upper = np.exp(-(((y - curve - 0.0012) / 0.0016) ** 2)) * inside
    lower = np.exp(-(((y + 0.75 * curve) / 0.0011) ** 2)) * inside
    crease = np.exp(-(((y - curve - 0.0062) / 0.0013) ** 2)) * inside
    lash = np.array([0.1, 0.07, 0.06], dtype=np.float32)
    c += (0.9 * upper + 0.4 * lower)[:, None] * (lash - c)
    c *= 1 - 0.22 * crease[:, None]
    brow = (looks.brow_strength * brow_mask(p, rng))[:, None]
    c += np.clip(brow, 0, 1) * (np.array(looks.brow_color, dtype=np.float32) - c)
    lip = np.clip(lips[head] * 1.25, 0, 1)[:, None]
    ridges = 1 + 0.05 * np.sin(p[:, :1] * 2600 + 2 * np.sin(p[:, 1:2] * 900))
    c += lip * (np.array(looks.lips, dtype=np.float32) * ridges - c)
    parting = np.exp(-(((p[:, 1] - 0.8318) / 0.0014) ** 2)) * (np.abs(p[:, 0]) < 0.0245) * (p[:, 2] > 0.12)
    c *= 1 - 0.45 * parting[:, None]
    nostril = _blob(p, (0.0085, 0.8545, 0.152), (0.0046, 0.0032, 0.008))
    c *= 1 - 0.72 * nostril[:, None]
    color[head] = c
    occlusion = np.clip(shade / 0.72, 0, 1) ** 0.55
    tint = np.array([0.62, 1.0, 1.05], dtype=np.float32)
    color *= 1 - (0.75 * (1 - occlusion))[:, None] * tint
    return np.clip(color, 0.01, 1).astype(np.float32)


def eye_image(looks: Looks, size: int, rng: np.random.Generator) -> np.ndarray:
    """Return a (size, size, 3) eye, gaze in the middle, sine of the angle reaching ``EYE_CHART`` at the border."""
    grid = ((np.arange(size) + 0.5) / size * 2 - 1) * EYE_CHART
    x, y = np.meshgrid(grid, -grid)
    r = np.hypot(x, y)
    angle = np.arctan2(y, x)
    white = np.array([0.87, 0.85, 0.83])
    image = white * (1 - 0.35 * np.clip(r / EYE_CHART, 0, 1)[..., None] ** 3 * np.array([0.3, 0.75, 0.8]))
    iris_radius, pupil = 0.47, float(rng.uniform(0.16, 0.21))
    spokes = 1 + 0.16 * np.sin(31 * angle + 2 * np.sin(7 * angle)) * np.clip((r - pupil) / 0.1, 0, 1)
    iris = (
        np.array(looks.iris)
        * (0.75 + 0.7 * np.clip((r - pupil) / (iris_radius - pupil), 0, 1))[..., None]
        * spokes[..., None]
    )
    ring = np.exp(-(((r - iris_radius) / 0.05) ** 2))[..., None]
    iris = iris * (1 - 0.75 * ring)
    soft = np.clip((iris_radius + 0.02 - r) / 0.04, 0, 1)[..., None]
    image = image * (1 - soft) + iris * soft
    image *= 1 - np.clip((pupil + 0.02 - r) / 0.03, 0, 1)[..., None] * 0.96
    # The upper lid shades the ball.
    image *= 1 - 0.5 * np.clip((y - 0.12) / 0.3, 0, 1)[..., None]
    glint = np.exp(-(((x + 0.13) / 0.055) ** 2) - (((y - 0.13) / 0.055) ** 2))[..., None]
    return np.clip(image + 0.85 * glint, 0, 1).astype(np.float32)


def mouth_image(size: int) -> np.ndarray:
    """Return a (size, size, 3) inside of the mouth with teeth."""
    grid = (np.arange(size) + 0.5) / size - 0.5
    x, y = np.meshgrid(grid, -grid)
    image = np.broadcast_to(np.array([0.25, 0.07, 0.07]), (size, size, 3)).copy()
    arch = y + 0.5 * x**2
    for center, half in ((0.05, 0.055), (-0.08, 0.045)):
        teeth = np.clip((half - np.abs(arch - center)) / 0.01, 0, 1)[..., None]
        gaps = 1 - 0.2 * np.exp(-(((np.mod(x * 11, 1) - 0.5) / 0.08) ** 2))[..., None]
        image = image * (1 - teeth) + teeth * np.array([0.86, 0.83, 0.76]) * gaps
    return image.astype(np.float32)


def hair_color(hair: Hair, along: np.ndarray, across: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return (N, 3) float32 colours of strands.

    Args:
        hair: the style.
        along: (N,) position along a strand, radians or so.
        across: (N,) position across strands, radians or so.
        rng: strands.
    """
    if hair.style == "afro":
        curls = np.sin(75 * across + 2 * np.sin(31 * along)) * np.sin(68 * along + 2 * np.sin(37 * across))
        tone = 1 + 0.28 * curls.astype(np.float32)
        return np.clip(np.array(hair.color, dtype=np.float32) * tone[:, None], 0.01, 1).astype(np.float32)
    bend = across + 0.05 * np.sin(4 * along + rng.uniform(0, 6)) + 0.02 * np.sin(11 * along)
    strands = np.zeros(len(across), dtype=np.float32)
    for frequency, weight in ((43, 0.45), (97, 0.4), (181, 0.3)):
        strands += weight * np.sin(frequency * bend + rng.uniform(0, 6) + np.sin(3 * along)).astype(
            np.float32
        )
    sheen = 0.12 * np.exp(-(((along - 0.75) / 0.22) ** 2))
    tone = 1 + 0.2 * strands + sheen
    return np.clip(np.array(hair.color, dtype=np.float32) * tone[:, None], 0.01, 1).astype(np.float32)
