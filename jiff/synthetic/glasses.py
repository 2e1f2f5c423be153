"""Glasses on a face: rims, bridge and arms, and dark lenses; each a closed shell, in canonical head coordinates."""

from __future__ import annotations

import numpy as np

from jiff.geometry.raycast import RayScene
from jiff.synthetic.slices import Shell, rings_to_shell
from jiff.synthetic.spec import Glasses
from jiff.synthetic.tubes import outward, rim, tube

_EXPONENT = {"round": 2.2, "square": 4.5, "wide": 2.9}
_WRAP = 1.6
"""Metres by which a front recedes per square metre beside its middle."""
_LEAN = 0.1
_FAR = 0.4
_FORWARD = np.array([0.0, 0.0, 1.0])


def _unit(vectors: np.ndarray) -> np.ndarray:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12))


def _front_of(scene: RayScene, points: np.ndarray) -> np.ndarray:
    """Return (N,) z of the skin behind points, -1 where there is none."""
    hits = scene.intersect(points * [1, 1, 0] + [0, 0, _FAR], -_FORWARD)
    return np.where(hits.hit, _FAR - hits.distance, -1.0)


def _side_of(scene: RayScene, points: np.ndarray, side: int) -> np.ndarray:
    """Return (N,) distance of the skin from the middle plane beside points, 0 where there is none."""
    origin = points * [0, 1, 1] + [side * _FAR, 0, 0]
    hits = scene.intersect(origin, np.array([-float(side), 0, 0]))
    return np.where(hits.hit, _FAR - hits.distance, 0.0)


def glasses_shells(
    glasses: Glasses, skin: np.ndarray, faces: np.ndarray, ears: np.ndarray, eyes: np.ndarray
) -> list[tuple[str, Shell]]:
    """Return the shells of a pair of glasses by the name of their colour, "frame" or "lens".

    Args:
        glasses: the pair.
        skin, faces: the bare person, canonical head coordinates, metres.
        ears: (N, 3) skin of both ears.
        eyes: (2, 3) centres of the left and the right eyeball.
    """
    scene = RayScene(skin, faces)
    middle = float(eyes[:, 0].mean())
    apart = float(eyes[0, 0] - eyes[1, 0]) / 2
    level = float(eyes[:, 1].mean()) - 0.002
    a = min(glasses.width_m, apart - 0.0075 - glasses.rim_m / 2)
    b = glasses.height_m
    angle = np.arange(40) / 40 * 2 * np.pi
    power = 2 / _EXPONENT[glasses.shape]
    x = a * np.sign(np.cos(angle)) * np.abs(np.cos(angle)) ** power
    y = b * np.sign(np.sin(angle)) * np.abs(np.sin(angle)) ** power

    def lens(side: int, grow: float = 0.0) -> np.ndarray:
        at = np.stack(
            [middle + side * (apart + 0.001) + x * (1 + grow / a), level + y * (1 + grow / b)], axis=1
        )
        bend = -_WRAP * (at[:, 0] - middle) ** 2 + _LEAN * (at[:, 1] - level)
        return np.concatenate([at, bend[:, None]], axis=1)

    both = np.concatenate([lens(1, glasses.rim_m / 2), lens(-1, glasses.rim_m / 2)])
    beside = np.abs(both[:, 0] - middle) > 0.016
    need = (_front_of(scene, both) - both[:, 2])[beside].max() + 0.0035
    front = float(np.clip(need, eyes[:, 2].mean() + 0.018, eyes[:, 2].mean() + 0.034))
    thick = max(glasses.rim_m, 0.0022)
    shells: list[tuple[str, Shell]] = []
    hinges = {}
    for side in (1, -1):
        outline = lens(side) + [0, 0, front]
        along = _unit(np.roll(outline, -1, axis=0) - np.roll(outline, 1, axis=0))
        out = _unit(np.cross(along, _FORWARD))
        shells.append(
            ("frame", rim(outline, out, np.broadcast_to(_FORWARD, out.shape), (glasses.rim_m, thick)))
        )
        if glasses.lens is not None:
            rings = np.stack([outline + [0, 0, 0.0006], outline - [0, 0, 0.0006]])
            shells.append(("lens", outward(rings_to_shell(rings))))
        hinges[side] = outline[np.argmin(np.abs(y - 0.5 * b) + np.where(side * x > 0, 0, 1.0))]
    inner = np.array([[middle + s * (apart + 0.001 - a), level + 0.3 * b, 0.0] for s in (-1, 1)])
    span = inner[0] + (inner[1] - inner[0]) * np.linspace(0, 1, 11)[:, None]
    arch = np.sin(np.linspace(0, np.pi, 11))
    span[:, 1] += 0.003 * arch
    plain = front - _WRAP * (span[:, 0] - middle) ** 2 + _LEAN * (span[:, 1] - level)
    span[:, 2] = np.maximum(plain, plain + arch * (_front_of(scene, span) + 0.002 - plain).max())
    up = np.broadcast_to([0.0, 1.0, 0.0], span.shape)
    forward = np.broadcast_to(_FORWARD, span.shape)
    shells.append(("frame", tube(span, up, forward, (max(glasses.rim_m, 0.002), thick))))
    for side in (1, -1):
        shells.append(("frame", _arm(glasses, scene, ears, hinges[side], side)))
    return shells


def _arm(glasses: Glasses, scene: RayScene, ears: np.ndarray, hinge: np.ndarray, side: int) -> Shell:
    """Return the bar from a hinge over the ear and down behind it."""
    ear = ears[side * ears[:, 0] > 0]
    top, back = float(ear[:, 1].max()), float(ear[:, 2].mean())
    straight = np.linspace(0, 1, 14)[:, None]
    over = np.array([0.0, top + 0.004, back + 0.004])
    path = hinge * [0, 1, 1] + (over - hinge * [0, 1, 1]) * straight
    # It swings out at the hinge, then runs along the temple, just clear of the skin.
    skull = _side_of(scene, path, side) + 0.0025
    outermost = max(float(side * (hinge[0])) + 0.003, 0.0)
    hull = np.maximum(skull, outermost + (skull[-1] - outermost) * straight[:, 0])
    for _ in range(3):
        hull[1:-1] = np.maximum(hull[1:-1], 0.5 * hull[:-2] + 0.5 * hull[2:])
    hull[0] = side * hinge[0]
    path[:, 0] = side * hull
    bend = np.linspace(0, 1, 6)[1:, None]
    tip = path[-1] + bend * [side * -0.004, 0, -0.022] - bend**2 * [0.0, 0.03, 0.0]
    path = np.concatenate([path, tip])
    along = _unit(np.gradient(path, axis=0))
    outside = _unit(np.array([float(side), 0, 0]) - along * (side * along[:, :1]))
    return tube(path, outside, np.cross(along, outside), (0.002, max(1.3 * glasses.rim_m, 0.003)))
