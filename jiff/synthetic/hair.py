"""Hair: a raised scalp with locks, and hanging hair as a closed shell."""

from __future__ import annotations

import numpy as np

from jiff.geometry.raycast import RayScene
from jiff.synthetic.cut import HEAD_CENTER
from jiff.synthetic.ramps import smoothstep
from jiff.synthetic.slices import Shell, rings_to_shell, smooth_rows
from jiff.synthetic.spec import Hair

_CROWN = np.array([0.0, 0.86, -0.5])
HANGING = ("bob", "long")


def crown_angles(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return azimuth round the crown (0 towards the forehead) and angle from it, radians, of canonical points (N, 3)."""
    axis = _CROWN / np.linalg.norm(_CROWN)
    direction = points - HEAD_CENTER
    direction = direction / np.maximum(np.linalg.norm(direction, axis=1, keepdims=True), 1e-9)
    right = np.array([1.0, 0.0, 0.0])
    front = np.cross(right, axis)
    front = -front if front[2] < 0 else front
    return np.arctan2(direction @ right, direction @ front), np.arccos(np.clip(direction @ axis, -1, 1))


def hair_offset(hair: Hair, points: np.ndarray, field: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return (N,) metres by which hair stands off the scalp.

    Args:
        hair: the style.
        points: (N, 3) canonical positions.
        field: (N,) hair field, metres from the hairline.
        rng: locks.
    """
    azimuth, polar = crown_angles(points)
    relative = points - HEAD_CENTER
    edge = smoothstep(field / (0.05 if hair.style == "afro" else 0.028))
    thick = np.full(len(points), hair.thickness_m)
    if hair.style == "crop":
        thick = hair.thickness_m * (0.55 + 0.45 * smoothstep((points[:, 1] - 0.93) / 0.06))
    elif hair.style in ("short", "swept"):
        top = smoothstep((points[:, 1] - 0.935) / 0.06)
        forelock = smoothstep(relative[:, 2] / 0.07) * top * (0.9 if hair.style == "swept" else 0.25)
        thick = hair.thickness_m * (0.4 + 0.6 * top + forelock)
    elif hair.style == "bun":
        direction = relative / np.linalg.norm(relative, axis=1, keepdims=True)
        bun = np.array([0.0, 0.55, -0.83])
        angle = np.arccos(np.clip(direction @ (bun / np.linalg.norm(bun)), -1, 1))
        thick = thick + 0.052 * np.sqrt(np.clip(1 - (angle / 0.36) ** 2, 0, 1))
    if hair.style in ("bob", "long", "short", "swept"):
        groove = np.exp(-(((points[:, 0] - 0.028 * hair.parting) / 0.006) ** 2))
        thick = thick * (1 - 0.45 * groove * smoothstep(relative[:, 2] / 0.05 + 0.6))
    if hair.style == "afro":
        frequency = rng.normal(0, 1, (14, 3))
        frequency *= (2 * np.pi / 0.024) / np.linalg.norm(frequency, axis=1, keepdims=True)
        noise = np.sin(points @ frequency.T + rng.uniform(0, 6.28, 14)).sum(axis=1) / np.sqrt(14)
        return edge * (thick + 0.0028 * noise) + 0.003
    lobes = int(rng.integers(17, 26))
    bend = 0.5 * np.sin(3 * polar + rng.uniform(0, 6.28)) + 0.25 * np.sin(7 * polar + rng.uniform(0, 6.28))
    swirl = azimuth + 0.25 * bend + (0.5 * hair.parting * polar if hair.style != "crop" else 0)
    lock = np.abs(np.sin(0.5 * lobes * swirl + rng.uniform(0, 6.28)))
    fine = np.sin(2.3 * lobes * swirl + rng.uniform(0, 6.28))
    fade = smoothstep(polar / 0.35)
    strength = {"crop": 0.0006, "bun": 0.0013}.get(hair.style, 0.0028)
    return edge * (thick + fade * strength * (1.2 * lock + 0.5 * fine)) + 0.003


def hanging_hair(
    hair: Hair,
    surface: np.ndarray,
    faces: np.ndarray,
    to_scan: tuple[np.ndarray, np.ndarray],
    rng: np.random.Generator,
    columns: int,
) -> Shell:
    """Return hair that hangs from the back and sides of the head, clear of neck, shoulders and back.

    Args:
        hair: a style of ``HANGING``.
        surface, faces: the person without it (scan coordinates, metres).
        to_scan: (3, 3) and (3,) that take canonical head coordinates to scan coordinates.
        rng: locks.
        columns: grid resolution.
    """
    linear, offset = to_scan
    scene = RayScene(surface, faces)
    scale = float(np.cbrt(np.linalg.det(linear)))
    widest = np.radians(112)
    angle = np.linspace(-widest, widest, columns)
    rows = columns * 3 // 4
    top = HEAD_CENTER @ linear.T + offset
    down = np.linspace(-0.02 * scale, (0.07 + hair.length_m) * scale, rows)
    axis_back = linear @ np.array([0.0, 0.0, -1.0]) / scale
    yaw = np.arctan2(axis_back[0], axis_back[2])
    direction = np.stack([np.sin(angle + yaw), np.zeros(columns), np.cos(angle + yaw)], axis=1)
    neck = np.array([0.0, 0.84, 0.02]) @ linear.T + offset
    lean = np.clip(down / (0.1 * scale), 0, 1)[:, None]
    center = top * (1 - lean) + neck * lean
    center[:, 1] = top[1] - down
    origins = np.repeat(center, columns, axis=0)
    rays = np.tile(direction, (rows, 1))
    # From outside inwards, so that ears and collars count and nothing inside the body does.
    reach = 0.5 * scale
    hits = scene.intersect(origins + rays * reach, -rays)
    body = np.where(hits.hit, reach - hits.distance, 0.0).reshape(rows, columns)
    body = np.maximum(body, 0.0)
    head_radius = np.percentile(body[: rows // 4], 60, axis=0) + 0.006 * scale
    limit = head_radius + (0.055 if hair.style == "long" else 0.03) * scale
    # Below the ears it falls inwards, more so at the sides.
    fall = (
        0.9
        - 0.26
        * smoothstep((down - 0.03 * scale) / (0.09 * scale))[:, None]
        * (np.abs(angle)[None] / widest) ** 2
    )
    radius = np.minimum(np.maximum(body + 0.007 * scale, head_radius[None] * fall), limit[None])
    radius = (
        np.maximum.accumulate(smooth_rows(radius, 6)[::1] * 0.999, axis=0) if hair.style == "long" else radius
    )
    radius = smooth_rows(radius, 8)
    blocked = body > limit[None] + 0.012 * scale
    first_block = np.where(blocked.any(axis=0), blocked.argmax(axis=0), rows)
    side = np.abs(angle) / widest
    length = rows * (1 - 0.22 * side**2 * (1 if hair.style == "long" else 0.3))
    end = np.minimum(length, first_block + 2)
    for _ in range(6):
        end = np.minimum(end, np.convolve(np.pad(end, 1, mode="edge"), [0.25, 0.5, 0.25], "valid") + 0.5)
    end = np.clip(end * (1 + rng.normal(0, 0.012, columns)), 4, rows - 1)
    t = np.linspace(0, 1, rows)
    row = t[:, None] * end[None]
    low = np.clip(np.floor(row).astype(int), 0, rows - 2)
    share = row - low
    take = np.arange(columns)[None]
    r = radius[low, take] * (1 - share) + radius[low + 1, take] * share
    base = center[low] * (1 - share[..., None]) + center[low + 1] * share[..., None]
    lobes = rng.integers(9, 15)
    drift = 0.35 * np.sin(2.5 * t + rng.uniform(0, 6.28))[:, None]
    relief = np.abs(np.sin(lobes * (angle[None] + drift) + rng.uniform(0, 6.28))) + 0.4 * np.sin(
        3.1 * lobes * (angle[None] + drift) + rng.uniform(0, 6.28)
    )
    emerge = smoothstep(down[low] / ((0.13 if hair.style == "long" else 0.07) * scale))
    taper = emerge * smoothstep((1 - side[None]) / 0.16 + 0.05)
    thickness = 0.024 * scale * (0.15 + 0.85 * taper) * (1 - 0.6 * t[:, None] ** 3)
    # The first rows come out from under the cap of hair.
    r = r - (0.016 if hair.style == "long" else 0.004) * scale * (1 - emerge)
    outer = (
        base + direction[None] * (r + thickness * 0.8 * taper + 0.0032 * scale * relief * taper)[..., None]
    )
    inner = base + direction[None] * (r - 0.3 * thickness)[..., None]
    # A ring runs along the outside and back along the inside.
    rings = np.concatenate([outer, inner[:, ::-1]], axis=1)
    return rings_to_shell(rings, flat_ends=True)
