"""Wrinkles at random all over a clothed person: what networks of normals learn folds of every kind from.

Not folds as cloth makes them (``folds.py``) but whatever ridges and valleys a few numbers can draw, so that a network must read
them from the picture: domain randomisation (Tobin et al., IROS 2017).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jiff.geometry.mesh import Mesh

_FAMILIES = 3
"""Families of wrinkles that lie over each other, at most."""
_LENGTHS = (3.0, 12.0)
"""World units from ridge to ridge."""
_STEEPEST = 0.11
"""Of a ridge's height, as a part of that length."""
MOST_HEIGHT = _FAMILIES * _STEEPEST * _LENGTHS[1]
"""World units that no vertex is moved beyond."""
_RIDGES = 0.7
"""Part of the families that are sharp ridges between wide valleys; the others are seams between cushions."""
_PATCH = 60.0
"""World units from one wrinkled patch to the next."""
_HEAD_BEGINS, _HEAD_FADE = 150.0, 6.0
"""World units above which nothing is wrinkled, and over which it fades below: people are 180 high, heads begin here."""


def wrinkled(mesh: Mesh, rng: np.random.Generator) -> Mesh:
    """Return a person with wrinkles: vertices moved along their normals, ``MOST_HEIGHT`` at most, the head left as it is.

    Args:
        mesh: a person in world units, 180 high at most; topology and texture stay.
        rng: of the wrinkles.
    """
    places = mesh.vertices.astype(np.float64)
    height = np.zeros(len(places))
    for _ in range(int(rng.integers(1, _FAMILIES + 1))):
        height += _family(places, rng)
    height *= np.clip((_HEAD_BEGINS - places[:, 1]) / _HEAD_FADE, 0, 1)
    return replace(mesh, vertices=places + height[:, None] * mesh.vertex_normals())


def _family(places: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Return (V,) heights of wrinkles that run in one direction, bent and interrupted, in some patches only."""
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    length = float(np.exp(rng.uniform(*np.log(_LENGTHS))))
    # Across the wrinkles, along them, and through the body.
    waves = 2 * np.pi / (length * np.array([1.0, rng.uniform(2, 6), rng.uniform(1.5, 6)]))
    angles = places @ turn.T * waves
    bends = [_bend(angles, rng) for _ in range(3)]
    phase = angles[:, 0] + sum(bends) + 0.5 * np.sin(angles[:, 1] + rng.uniform(0, 2 * np.pi))
    sharpness = rng.uniform(0.5, 1.6)
    profile = np.abs(np.sin(phase / 2)) ** sharpness
    if rng.random() < _RIDGES:
        profile = 1 - profile
    steepness = rng.uniform(0.02, _STEEPEST)
    return steepness * length * (profile - profile.mean()) * _patches(places, rng)


def _bend(angles: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    slow = rng.uniform(0.3, 0.9, 3) * rng.choice([-1, 1], 3)
    return np.asarray(rng.uniform(0.3, 1.2) * np.sin(angles @ slow + rng.uniform(0, 2 * np.pi)))


def _patches(places: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Return (V,) how much of a family is seen, in [0, 1]."""
    field = np.full(len(places), 0.5)
    for _ in range(4):
        direction = rng.normal(0, 2 * np.pi / _PATCH, 3)
        field += 0.6 * rng.normal() * np.sin(places @ direction + rng.uniform(0, 2 * np.pi))
    return np.clip(field, 0, 1)
