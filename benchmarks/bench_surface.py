"""Surface extraction at 512^3 with the published network against the published octree.

The octree starts at 64^3, takes every cell whose corners differ by more than 0.01, and evaluates 10,000 points at a
time in float32. Its points are counted on the same field; its time is that number over the rate of such calls, its
own loops in Python not counted. The network is the published one in size; its weights are made so that its field is a
person: the body MLP carries the depth and the half thickness of a figure through every layer, beside random units.
"""

from __future__ import annotations

import time

import numpy as np
import torch

from benchmarks.row import Row
from jiff.geometry.camera import Camera
from jiff.geometry.isosurface import SurfaceOptions, extract_surface_with_stats
from jiff.geometry.lattice import Lattice, sorted_unique
from jiff.geometry.marching import CORNERS
from jiff.inference.fields import OccupancyField
from jiff.models.config import shape_preset
from jiff.models.shape import ShapeFeatures, ShapeNetwork

_BOUNDS = np.array([[-102.4, -12.4, -102.4], [102.4, 192.4, 102.4]])
_CHUNK = 10_000
_UNIFORM = 0.01
_FIRST = 64
_BONES = (
    ((0, 75, 0), (0, 135, 0), 17), ((0, 165, 0), (0, 168, 0), 12), ((10, 8, 0), (9, 80, 0), 8),
    ((-10, 8, 0), (-9, 80, 0), 8), ((15, 142, 0), (52, 85, 0), 5), ((-15, 142, 0), (-52, 85, 0), 5),
)  # fmt: skip


def half_thickness(size: int) -> torch.Tensor:
    """Return [size, size] half the depth of a figure of capsules behind each pixel, world units; -8 beside it."""
    camera = Camera(size=size)
    pixels = np.stack(np.meshgrid(np.arange(size) + 0.5, np.arange(size) + 0.5), axis=-1)
    xy = torch.from_numpy(camera.pixel_to_world(pixels)[..., :2]).float()
    result = torch.full((size, size), -8.0)
    for start, end, radius in _BONES:
        a, b = torch.tensor(start[:2]).float(), torch.tensor(end[:2]).float()
        along = ((xy - a) @ (b - a) / (b - a).square().sum()).clamp(0, 1)
        squared = (xy - a - along[..., None] * (b - a)).square().sum(-1)
        inside = torch.sqrt((radius**2 - squared).clamp(min=0))
        result = torch.maximum(result, torch.where(squared < radius**2, inside, radius - squared.sqrt()))
    return result.clamp(min=-8.0)


def figure_network(steepness: float = 0.5) -> tuple[ShapeNetwork, ShapeFeatures]:
    """Return the published network with a field sigmoid(steepness * (thickness - |z|)), and its features."""
    generator = torch.Generator().manual_seed(0)
    network = ShapeNetwork(shape_preset("paper", face_branch=False)).eval()
    config = network.config
    depth = config.hourglass_dim
    unit = config.depth_scale / 102.4
    layers = [network.surface_classifier.get_submodule(f"conv{i}") for i in range(5)]
    with torch.no_grad():
        for layer in layers:
            layer.weight.normal_(0, 0.02, generator=generator)
            layer.bias.zero_()
        width = layers[0].weight.shape[0] // 4
        scales = 0.5 + torch.rand(width, generator=generator)
        first = layers[0].weight[:, :, 0]
        first[: 3 * width] = 0
        first[:width, depth], first[width : 2 * width, depth] = scales, -scales
        first[2 * width : 3 * width, 0] = 1
        # LeakyReLU(s z) + LeakyReLU(-s z) = 0.99 s |z|.
        previous = (0, 2 * width, 2 * width, 3 * width)
        for layer, size in zip(layers[1:-1], (512, 256, 128)):
            matrix = layer.weight[:, :, 0]
            quarter = size // 4
            matrix[: 2 * quarter] = 0
            z0, z1, h0, h1 = previous
            for low, high, rows in ((z0, z1, slice(0, quarter)), (h0, h1, slice(quarter, 2 * quarter))):
                mix = torch.rand(quarter, high - low, generator=generator) + 0.5
                target = matrix[rows, low:high]
                target.copy_(mix / mix.sum(1, keepdim=True))
            if size == 512:
                matrix[:quarter, : 2 * width] *= 2.0 / (0.99 * scales.repeat(2))
            previous = (0, quarter, quarter, 2 * quarter)
        last = layers[-1].weight[0, :, 0]
        last[:32], last[32:64] = -steepness / unit / 32, steepness / unit / 32
        last[64:128] *= 2
        last[128:] = 0
    features = torch.randn(1, config.hourglass_dim, 128, 128, generator=generator)
    # Never negative, so that every ReLU passes it: the offset comes off with the last bias.
    features[0, 0] = (half_thickness(128) + 8.0) * unit
    with torch.no_grad():
        layers[-1].bias.fill_(-8.0 * steepness)
    return network, ShapeFeatures([features], None, 1, None)


def octree_points(field: OccupancyField, resolution: int) -> int:
    """Return how many points the published octree evaluates on a field."""
    lattice = Lattice.of_bounds(_BOUNDS, resolution)
    stride = max(1, resolution // _FIRST)
    cells = lattice.all_cells(stride)
    total = len(cells)
    values: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def evaluate(keys: np.ndarray) -> np.ndarray:
        points = torch.from_numpy(lattice.positions_world(keys).astype(np.float32))
        return torch.cat([field.draft(part) for part in points.split(field.best_chunk)]).numpy()

    while stride > 1:
        corners = lattice.corner_keys(cells, stride)
        keys = sorted_unique(corners)
        values[stride] = keys, evaluate(keys)
        at = values[stride][1][np.searchsorted(keys, corners)]
        cells = cells[np.ptp(at, axis=0) >= _UNIFORM]
        # Of the half-open cell's eight nodes at the next level one is known.
        total += len(cells) * (len(CORNERS) - 1)
        cells = lattice.children(cells, stride)
        stride //= 2
    return total


def run(quick: bool) -> list[Row]:
    """Extract at 512^3 (``quick``: 128^3) in both precisions."""
    resolution = 128 if quick else 512
    network, features = figure_network()
    calib = torch.from_numpy(Camera().calib.astype(np.float32))
    rows = []
    with torch.inference_mode():
        fast = OccupancyField(network, features, calib)
        low, high = torch.from_numpy(_BOUNDS.astype(np.float32))
        points = low + (high - low) * torch.rand(5 * _CHUNK, 3)
        network.query(features, points[None, :_CHUNK], calib[None, None])
        begin = time.perf_counter()
        for part in points.split(_CHUNK):
            network.query(features, part[None], calib[None, None]).fused()
        rate = len(points) / (time.perf_counter() - begin)
        plain_points = octree_points(fast, resolution)
    plain = plain_points / rate
    rows.append(Row("published octree, points per second of a call", rate, "1/s"))
    for precision in ("float32", "auto"):
        field = OccupancyField(network, features, calib, precision=precision)
        begin = time.perf_counter()
        _, stats = extract_surface_with_stats(
            field, _BOUNDS, SurfaceOptions(resolution=resolution, max_chunk=field.best_chunk)
        )
        ours = time.perf_counter() - begin
        name = f"surface at {resolution}^3, {str(field.dtype).removeprefix('torch.')}"
        target = "20 times faster" if not quick else None
        rows.append(Row(name, ours, "s", plain, plain / ours, target))
        rows.append(Row(f"{name}, without the network", ours - stats.field_seconds, "s"))
    rows.append(
        Row(f"points at {resolution}^3", stats.points, "points", plain_points, plain_points / stats.points,
            "5 times fewer" if not quick else None)
    )  # fmt: skip
    return rows
