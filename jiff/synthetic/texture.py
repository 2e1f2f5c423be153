"""The whole texture of a person."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from jiff.synthetic import atlas
from jiff.synthetic.beard import paint_beard
from jiff.synthetic.cut import garment_field
from jiff.synthetic.hair import crown_angles
from jiff.synthetic.open_front import gap_shadow, lapel_shade
from jiff.synthetic.paint_cloth import cloth_color
from jiff.synthetic.paint_skin import eye_image, hair_color, mouth_image, skin_color
from jiff.synthetic.paint_worn import paint_tails, paint_worn
from jiff.synthetic.person import PersonMesh
from jiff.synthetic.spec import Garment, PersonSpec
from jiff.synthetic.texels import Texels

_TORSO_RADIUS, _LEG_RADIUS = 0.15, 0.08


def _garment_coordinates(
    points: np.ndarray, part: np.ndarray, limb: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return metres round and along a garment of canonical points."""
    x, y, z = points.T
    across = np.arctan2(x, z - 0.025) * _TORSO_RADIUS
    down = -y
    arm, leg = (part == 2) | (part == 3), (part == 4) | (part == 5)
    side = np.where(x > 0, 1.0, -1.0)
    # Across the arm as cut flat: its axis runs down and out at about 45 degrees.
    out = (np.abs(x) * 0.75 + y * 0.66) - 0.62
    across = np.where(arm, np.where(z > 0.02 + 0.07 * np.clip(limb - 1, 0, 1), out, 0.3 - out), across)
    down = np.where(arm, limb * 0.29 + 0.1, down)
    center = side * (0.11 + 0.045 * np.clip(limb, 0, 2))
    across = np.where(leg, np.arctan2((x - center) * side, z - 0.02) * _LEG_RADIUS, across)
    return across, down


def _details(
    garment: Garment, color: np.ndarray, points: np.ndarray, field: np.ndarray, part: np.ndarray
) -> np.ndarray:
    """Draw seams, plackets, zips and pockets."""
    x, y, z = points.T
    shade = np.ones(len(points), dtype=np.float32)
    shade -= 0.22 * np.exp(-(((field - 0.018) / 0.0013) ** 2))
    shade -= 0.25 * np.exp(-((field / 0.002) ** 2))
    front = (z > 0.0) & (part == 0)
    if garment.kind == "trousers":
        fly = front & (np.abs(x - 0.004) < 0.0016) & (y > 0.11)
        pocket = (
            (np.abs(np.abs(x) - 0.13 + 0.6 * (y - 0.24) * 0.5) < 0.0016)
            & (y > 0.17)
            & (y < 0.26)
            & (z > -0.01)
        )
        shade = np.where(fly | pocket, shade * 0.6, shade)
        belt = (np.abs(field - 0.017) < 0.015) & (y > 0.2)
        color = np.where(belt[:, None], color * 0.55, color)
    elif garment.detail == "placket":
        edge = front & (np.abs(np.abs(x) - 0.014) < 0.0011)
        shade = np.where(edge, shade * 0.75, shade)
        button = front & (x**2 + (np.mod(y, 0.085) - 0.04) ** 2 < 0.0052**2)
        color = np.where(button[:, None], np.float32(0.9) - 0.75 * color.mean(axis=1, keepdims=True), color)
    elif garment.detail == "zip":
        shade = np.where(front & (np.abs(x) < 0.003), shade * 0.35, shade)
        pocket = front & (np.abs(np.abs(x) - 0.09 + 0.5 * (y - 0.2)) < 0.002) & (y > 0.17) & (y < 0.28)
        shade = np.where(pocket, shade * 0.5, shade)
    elif garment.detail == "pocket":
        box = np.maximum(np.abs(x - 0.075) - 0.04, np.abs(y - 0.55) - 0.045)
        shade = np.where(front & (np.abs(box) < 0.0013), shade * 0.7, shade)
    return color * shade[:, None]


def paint_person(spec: PersonSpec, mesh: PersonMesh, texels: Texels, rng: np.random.Generator) -> np.ndarray:
    """Return the (size, size, 3) uint8 RGB texture of a person."""
    size = texels.size
    image = np.full((size * size, 3), 0.35, dtype=np.float32)
    label = mesh.label[texels.face]
    garments = {"trousers": spec.bottom, "top": spec.top, "jacket": spec.jacket}
    for index, name in enumerate(mesh.layers):
        chosen = np.flatnonzero(label == index)
        if len(chosen) == 0:
            continue
        points = texels.position[chosen]
        if name == "skin":
            color = skin_color(spec.looks, points, texels.shade[chosen], texels.lips[chosen], rng)
            if spec.beard is not None:
                color = paint_beard(spec.beard, points, color)
        elif name == "hair":
            azimuth, polar = crown_angles(points)
            color = hair_color(spec.hair, polar, azimuth + 0.5 * spec.hair.parting * polar, rng)
        else:
            garment = garments[name]
            if garment is None:
                continue
            part, limb = texels.part[chosen], texels.limb[chosen]
            across, down = _garment_coordinates(points, part, limb)
            color = cloth_color(garment.cloth, across, down)
            field = garment_field(garment, points, part, limb)
            color = _details(garment, color, points, field, part)
        if spec.jacket is not None and spec.jacket.front is not None and name != "hair":
            part, limb = texels.part[chosen], texels.limb[chosen]
            closed = replace(spec.jacket, front=None, neck="crew")
            covered = (garment_field(closed, points, part, limb) > 0) & (name != "skin")
            shade = (lapel_shade if name == "jacket" else gap_shadow)(spec.jacket, spec.jacket.front, points)
            color = color * np.where(covered & ~np.isin(part, (2, 3)), shade, 1)[:, None]
        image[texels.index[chosen]] = color
    picture = image.reshape(size, size, 3)
    _paint_charts(spec, mesh, picture, rng)
    if spec.worn is not None:
        paint_worn(spec.worn, picture)
    if spec.jacket is not None and spec.jacket.length_m > 0:
        paint_tails(spec.jacket, picture)
    return np.round(np.clip(picture, 0, 1) * 255).astype(np.uint8)


def _fill(picture: np.ndarray, chart: atlas.Chart, content: np.ndarray) -> None:
    import cv2

    rows, columns = chart.pixels(picture.shape[0])
    shape = (columns.stop - columns.start, rows.stop - rows.start)
    picture[rows, columns] = cv2.resize(content, shape, interpolation=cv2.INTER_AREA)


def _paint_charts(spec: PersonSpec, mesh: PersonMesh, picture: np.ndarray, rng: np.random.Generator) -> None:
    size = picture.shape[0]
    for chart in atlas.EYES:
        _fill(picture, chart, eye_image(spec.looks, 192, rng))
    _fill(picture, atlas.MOUTH, mouth_image(128))
    base = {
        "skin": spec.looks.skin,
        "hair": spec.hair.color,
        "top": spec.top.cloth.colors[0],
        "trousers": spec.bottom.cloth.colors[0],
    }
    if spec.jacket is not None:
        base["jacket"] = spec.jacket.cloth.colors[0]
    for index, name in enumerate(mesh.layers):
        color = np.array(base[name], dtype=np.float32)
        _fill(picture, atlas.swatch(index), np.broadcast_to(color * 0.8, (4, 4, 3)).copy())
        _fill(picture, atlas.swatch(index + 8), np.broadcast_to(color * 0.65, (4, 4, 3)).copy())
    if spec.bottom.kind == "skirt":
        rows, columns = atlas.SKIRT.pixels(size)
        height, width = rows.stop - rows.start, columns.stop - columns.start
        across, down = np.meshgrid(
            np.arange(width) / width * 1.05, np.arange(height) / height * spec.bottom.length_m * 1.15
        )
        cloth = cloth_color(spec.bottom.cloth, across.ravel(), down.ravel()).reshape(height, width, 3)
        edge = (np.arange(height) / height)[:, None, None]
        cloth = cloth * (1 - 0.3 * np.exp(-(((edge - 0.045) / 0.004) ** 2)) - 0.3 * (edge > 0.92))
        picture[rows, columns] = cloth
    rows, columns = atlas.HAIR.pixels(size)
    height, width = rows.stop - rows.start, columns.stop - columns.start
    across, down = np.meshgrid(np.arange(width) / width * 2 * np.pi, np.arange(height) / height * 1.6)
    strands = hair_color(spec.hair, down.ravel(), across.ravel(), rng).reshape(height, width, 3)
    picture[rows, columns] = strands * (1 - 0.25 * (np.arange(height) / height)[:, None, None] ** 2)
    rows, columns = atlas.SHOES.pixels(size)
    height, width = rows.stop - rows.start, columns.stop - columns.start
    angle, along = np.meshgrid(np.arange(width) / width * 2 * np.pi, np.arange(height) / height)
    upper = np.array(spec.shoes.colors[0], dtype=np.float32)
    sole = np.array([0.9, 0.9, 0.88] if spec.shoes.print_seed % 2 else upper * 0.4, dtype=np.float32)
    # Round the ring from the side: first the sole, then the upper.
    low = np.clip((np.sin(angle) - 0.35) / 0.05, 0, 1)[..., None]
    laces = (np.abs(np.cos(angle)) < 0.35) & (np.sin(2 * np.pi - angle) > 0) & (np.mod(along * 22, 1) < 0.4)
    laces &= (along > 0.42) & (along < 0.7)
    shoe = upper * (1 - low) + sole * low
    picture[rows, columns] = np.where(laces[..., None], np.float32(0.92) - 0.6 * upper.mean(), shoe)
