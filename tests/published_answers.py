"""Inputs and weights from one seed, and what the published networks answered to them (``tests/data/published_networks.npz``).

The answers were recorded with the code of yukangcao/JIFF at 86fcf17 on a CPU, torch 2.13, float32, farthest-point sampling
begun at index 0; they hold numbers only. Weights and inputs are made anew from the seed, so that no weight is stored.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

FILE = Path(__file__).parent / "data" / "published_networks.npz"
SEED = 7
KINDS = ("shape", "color_coarse", "color_fine")


def tensor_of(key: str, shape: tuple[int, ...]) -> np.ndarray:
    """Return the values of a tensor, which depend on its name and shape alone and keep activations of deep stacks finite."""
    if key.endswith("num_batches_tracked"):
        return np.zeros(shape, np.int64)
    draw = np.random.default_rng([SEED, zlib.crc32(key.encode("ascii"))])
    values = draw.uniform(-1.0, 1.0, shape).astype(np.float32)
    if len(shape) > 1:
        # Variance 1 / fan-in.
        return (values * np.float32(np.sqrt(3.0 / np.prod(shape[1:])))).astype(np.float32)
    spread = np.float32(0.2) * values
    return np.float32(1.0) + np.abs(spread) if key.endswith(("running_var", "weight")) else spread


def state_of(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """Return the tensors of a network by name."""
    return {key: tensor_of(key, tuple(shape)) for key, shape in shapes.items()}


@cache
def inputs() -> dict[str, Any]:
    """Return one person's inputs: images, camera, points of which half lie in the face box, a face, labels and colours."""
    draw = np.random.default_rng(SEED)
    mask = np.zeros((1, 1, 64, 64), np.float32)
    mask[:, :, 6:60, 20:44] = 1.0
    image = draw.uniform(-1, 1, (1, 3, 64, 64)).astype(np.float32) * mask
    image_hi = draw.uniform(-1, 1, (1, 3, 128, 128)).astype(np.float32) * mask.repeat(2, 2).repeat(2, 3)
    scale = 1 / 102.4
    calib = np.diag([scale, -scale, scale, 1.0]).astype(np.float32)
    calib[1, 3] = 90.0 * scale
    # Rows and columns of 512 pixels; the box is x -20..20, y 148..178 by the published formula.
    region = np.array([[34.0, 119.0, 216.0, 296.0]], np.float32)
    body = draw.uniform([-60, -10, -30], [60, 185, 30], (180, 3))
    face_points = draw.uniform([-19, 149, -15], [19, 177, 15], (140, 3))
    face = draw.normal(size=(400, 3))
    face = face / np.linalg.norm(face, axis=1, keepdims=True) * [11, 14, 12] + [0, 163, 1]
    points = np.concatenate([body, face_points]).astype(np.float32)
    return {
        "image": image,
        "image_hi": image_hi,
        "calib": calib,
        "face_region": region,
        "points": points,
        "face_vertices": face.astype(np.float32),
        "face_colors": draw.uniform(0, 1, (400, 3)).astype(np.float32),
        "face_sdf": draw.uniform(0, 8, (1, len(points), 1)).astype(np.float32),
        "labels": (draw.uniform(size=(1, 1, len(points))) > 0.5).astype(np.float32),
        "rgb": draw.uniform(-1, 1, (1, 3, len(points))).astype(np.float32),
        "grid_index_zyx": draw.integers(0, 64, (300, 3)),
    }
