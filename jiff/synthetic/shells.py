"""Skirts and shoes: closed shells fitted to the posed legs and feet."""

from __future__ import annotations

import numpy as np

from jiff.geometry.raycast import RayScene
from jiff.synthetic.ramps import smoothstep
from jiff.synthetic.slices import Shell, hull_radius, rings_to_shell, smooth_ring, smooth_rows
from jiff.synthetic.spec import Garment


def skirt_shell(
    garment: Garment,
    points: np.ndarray,
    waist: np.ndarray,
    scale: float,
    rng: np.random.Generator,
    columns: int,
) -> Shell:
    """Return a skirt round hips and legs.

    Args:
        garment: kind "skirt".
        points: (N, 3) surface of trunk and legs as dressed so far, scan coordinates.
        waist: (3,) centre of the waist at the height where the skirt begins.
        scale: metres per canonical metre.
        rng: folds.
        columns: vertices round a ring.
    """
    length = garment.length_m * scale
    rows = max(12, int(columns * 0.55))
    y = waist[1] - np.linspace(0, length, rows)
    angles = np.arange(columns) / columns * 2 * np.pi
    center = np.zeros((rows, 2))
    radius = np.zeros((rows, columns))
    step = length / (rows - 1)
    for i in range(rows):
        slab = points[np.abs(points[:, 1] - y[i]) < max(1.2 * step, 0.014)][:, [0, 2]]
        if len(slab) < 8:
            center[i], radius[i] = center[i - 1], radius[i - 1]
            continue
        center[i] = 0.5 * (slab.min(axis=0) + slab.max(axis=0))
        radius[i] = hull_radius(slab - center[i], angles)
    moved = smooth_rows(center, 12)
    # Radii refer to the smoothed axis: shift them along each direction.
    directions = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    radius = radius + (center - moved) @ directions.T
    depth = np.linspace(0, 1, rows)[:, None]
    held = radius.copy()
    for i in range(1, rows):
        held[i] = np.maximum(radius[i], held[i - 1] * 0.996)
    held = smooth_ring(smooth_rows(held, 5), 3)
    lobes = int(rng.integers(7, 13))
    drift = 0.5 * np.sin(2.2 * depth + rng.uniform(0, 6.28))
    wave = 0.5 + 0.5 * np.sin(
        lobes * angles[None] + 1.3 * np.sin(3 * angles[None] + rng.uniform(0, 6.28)) + drift
    )
    second = 0.5 + 0.5 * np.sin((2 * lobes + 3) * angles[None] + rng.uniform(0, 6.28) + 2 * drift)
    folds = (wave**1.5 + 0.3 * second) * garment.fold_m * (0.05 + 1.6 * depth**1.2)
    band = 0.003 * np.exp(-((depth * length / 0.03) ** 4))
    outer = held + (garment.offset_m + band + garment.flare * depth * length * 0.5 + folds) * scale
    cloth = 0.004 * scale
    recess = max(2, int(0.12 * rows))
    inner = (outer - cloth)[::-1][:recess]

    def ring(row: int, r: np.ndarray) -> np.ndarray:
        return np.stack(
            [
                moved[row, 0] + directions[:, 0] * r,
                np.full(columns, y[row]),
                moved[row, 1] + directions[:, 1] * r,
            ],
            axis=1,
        )

    first = ring(0, np.maximum(radius[0] - 0.012 * scale, 0.05))
    stack = [first] + [ring(i, outer[i]) for i in range(rows)]
    stack += [ring(rows - 1 - k, inner[k]) for k in range(recess)]
    # x and z run clockwise seen from above; the ring is turned so that the shell faces outward.
    return rings_to_shell(np.stack(stack)[:, ::-1])


def tucked(
    shell: Shell, scene: RayScene, columns: int, depth_m: float, gap_m: float, reach: int = 0
) -> Shell:
    """Return a skirt whose upper end lies close on what is below it, hollows included: the tails of a coat.

    Args:
        shell: from ``skirt_shell``.
        scene: skin and clothes, metres.
        columns: vertices round a ring.
        depth_m: from the upper end on, over which it comes off.
        gap_m: by which the upper end clears what is below.
        reach: columns on either side whose highest place it clears, for steps in what is below.
    """
    rings = shell.vertices[: len(shell.vertices) - 2].reshape(-1, columns, 3).copy()
    # The first ring lies under the belt, the last ones inside the hem.
    top = rings[1, :, 1].mean()
    low = int(rings[:, :, 1].mean(axis=1).argmin())
    for row in range(1, low):
        share = np.clip((top - rings[row, :, 1].mean()) / depth_m, 0, 1)
        if share >= 1:
            break
        middle = rings[row].mean(axis=0)
        arms = rings[row] - middle
        length = np.linalg.norm(arms, axis=1)
        out = arms / length[:, None]
        hits = scene.intersect(middle + out * 0.6, -out)
        close = np.where(hits.hit, 0.6 - hits.distance + gap_m, length)
        for _ in range(reach):
            close = np.maximum(close, np.maximum(np.roll(close, 1), np.roll(close, -1)))
        close = smooth_ring(np.minimum(close, length)[None], 2)[0]
        rings[row] = middle + out * (close + (length - close) * smoothstep(share))[:, None]
    vertices = np.concatenate([rings.reshape(-1, 3), shell.vertices[-2:]])
    return Shell(vertices, shell.faces, shell.uv, shell.faces_uv)


def shoe_shell(foot: np.ndarray, scale: float, columns: int, heel_m: float) -> Shell:
    """Return a shoe round a foot in the foot's own rest frame (y up, toes towards +z).

    Args:
        foot: (N, 3) skin of the foot and lower ankle.
        scale: metres per canonical metre.
        columns: vertices round a ring.
        heel_m: thickness of the sole.
    """
    low, high = foot[:, 1].min(), foot[:, 1].min() + 0.088 * scale
    foot = foot[foot[:, 1] < high]
    back, front = foot[:, 2].min(), foot[:, 2].max()
    rows = columns
    t = np.linspace(0, 1, rows)
    z = back + (front - back) * (0.5 - 0.5 * np.cos(np.pi * t))
    angles = np.arange(columns) / columns * 2 * np.pi
    directions = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    slab = 0.016 * scale
    center = np.zeros((rows, 2))
    radius = np.zeros((rows, columns))
    for i in range(rows):
        part = foot[np.abs(foot[:, 2] - z[i]) < slab][:, :2]
        center[i] = [0.5 * (part[:, 0].min() + part[:, 0].max()), low + 0.028 * scale]
        radius[i] = hull_radius(part - center[i], angles)
    shifted = smooth_rows(center, 8)
    radius = smooth_rows(radius + (center - shifted) @ directions.T, 4)
    margin = 0.006 * scale
    # Toe and heel round off beyond the foot.
    end = np.sqrt(np.clip(1 - np.clip((t - 0.9) / 0.1, 0, 1) ** 2, 0.02, 1)) * np.sqrt(
        np.clip(1 - np.clip((0.07 - t) / 0.07, 0, 1) ** 2, 0.12, 1)
    )
    outer = (radius + margin) * (0.3 + 0.7 * end[:, None])
    zz = z + np.where(t > 0.5, 0.012, -0.007) * scale * np.abs(2 * t - 1) ** 3
    x = shifted[:, :1] + outer * directions[None, :, 0]
    y = shifted[:, 1:] + outer * directions[None, :, 1]
    sole = low - heel_m * (0.75 + 0.25 * np.clip(1 - 2.2 * t, 0, 1))[:, None]
    y = np.maximum(np.where(directions[None, :, 1] < -0.35, np.minimum(y, sole), y), sole)
    edge = (y < low + 0.002) & (np.abs(directions[None, :, 0]) > 0.2)
    x = np.where(edge, shifted[:, :1] + (x - shifted[:, :1]) * 1.04, x)
    rings = np.stack([x, y, np.repeat(zz[:, None], columns, axis=1)], axis=-1)
    # Rings run towards +z.
    return rings_to_shell(rings[:, ::-1])
