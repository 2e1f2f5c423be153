"""Surface extraction at 512^3 with the published network against the published octree.

The octree starts at 64^3, takes every cell whose corners differ by more than 0.01, and evaluates 10,000 points at a
time in float32. Its points are counted on the same field; its time is that number over the rate of such calls (the best
of fifteen, spread over the run; features sampled and concatenated before every layer), its own loops in Python not
counted. Ours is the better of two extractions. The network is the published one in size; its weights are made so that
its field is a person: the body MLP carries the depth and the half thickness of a figure through every layer, beside
random units.

How steep the field is decides what the octree costs. Two fields are measured: one as steep as those of trained networks
(``TRAINED_STEEPNESS``), with the face branch at work, which is what a user sees; and one so soft that the octree evaluates
the 8 million points that it takes on real photos, without the face.
"""

from __future__ import annotations

import time

import numpy as np
import torch
from torch.nn import functional

from benchmarks.ellipsoid import sphere_mesh
from benchmarks.row import Row
from jiff.geometry.camera import Camera
from jiff.geometry.isosurface import SurfaceOptions, extract_surface_with_stats
from jiff.geometry.lattice import Lattice, sorted_unique
from jiff.geometry.marching import CORNERS
from jiff.geometry.mesh import Mesh
from jiff.inference.fields import OccupancyField
from jiff.models.face_input import FaceInput
from jiff.models.presets import shape_preset
from jiff.models.shape import ShapeFeatures, ShapeNetwork

_BOUNDS = np.array([[-102.4, -12.4, -102.4], [102.4, 192.4, 102.4]])
_CHUNK = 10_000
_UNIFORM = 0.01
_FIRST = 64
_STEEPNESS = 0.345
"""Change of the logit per world unit of depth; steeper fields cost the octree less (2: 1.7 million points)."""
TRAINED_STEEPNESS = 1.0
"""Median along the normals of three held-out people, shape network of `jiff demo` (10 % to 90 %: 0.4 to 1.9)."""
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


def figure_network(steepness: float = _STEEPNESS) -> tuple[ShapeNetwork, ShapeFeatures]:
    """Return the published network with a field sigmoid(steepness * (thickness - |z|)), and its features."""
    network = ShapeNetwork(shape_preset("paper", face_branch=False)).eval()
    craft_body(network, steepness)
    size = half_thickness(128)
    return network, ShapeFeatures([feature_map(network, size, torch.zeros_like(size))], None, 1, None)


def figure_with_face(steepness: float) -> tuple[ShapeNetwork, ShapeFeatures, Mesh]:
    """Return the same with the face branch, which says what the body says, and the face's mesh (35,000 vertices)."""
    network = ShapeNetwork(shape_preset("paper")).eval()
    craft_body(network, steepness)
    craft_joint(network, steepness)
    face = sphere_mesh(132, 264).transformed(np.diag([11.0, 13.0, 12.0]), np.array([0.0, 166.0, 0.0]))
    with torch.inference_mode():
        encoded = network.encode_face(
            FaceInput(
                [torch.from_numpy(face.vertices.astype(np.float32))],
                torch.tensor([[-14.0, 14.0, 150.0, 182.0]]),
                torch.zeros(1),
            )
        )
    size = half_thickness(128)
    features = ShapeFeatures([feature_map(network, size, torch.zeros_like(size))], None, 1, encoded)
    return network, features, face


def craft_joint(network: ShapeNetwork, steepness: float) -> None:
    """Give the face head's joint branch the front of the body MLP's field.

    Raises:
        ValueError: the network has no face head.
    """
    head = network.surface_classifier_multiLoss
    if head is None:
        raise ValueError("the published shape network has a face branch.")
    last = head.layers("joint")[-1]
    depth = network.config.hourglass_dim
    unit = network.config.depth_scale / 102.4
    with torch.no_grad():
        # The face branch says what lies behind the front surface.
        if last.hidden_weight is not None:
            last.hidden_weight.zero_()
        last.input_weight.zero_()
        last.input_weight[0, [0, 1]] = steepness / unit
        last.input_weight[0, depth] = -steepness / unit
        last.bias.fill_(-8.0 * steepness)


def feature_map(network: ShapeNetwork, half: torch.Tensor, middle: torch.Tensor) -> torch.Tensor:
    """Return the map [1, C, H, W] that a crafted network needs: half the thickness (at least -8) and its middle's depth."""
    unit = network.config.depth_scale / 102.4
    features = torch.randn(
        1, network.config.hourglass_dim, *half.shape, generator=torch.Generator().manual_seed(1)
    )
    # Never negative, so that every ReLU passes it: the offset comes off with the last bias.
    features[0, 0] = (half + 8.0) * unit
    features[0, 1] = middle * unit
    return features


def craft_body(network: ShapeNetwork, steepness: float) -> None:
    """Give the body MLP the field sigmoid(steepness * (thickness - |z - middle|)) of a ``feature_map``."""
    generator = torch.Generator().manual_seed(0)
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
        first[:width, 1], first[width : 2 * width, 1] = -scales, scales
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
        layers[-1].bias.fill_(-8.0 * steepness)


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


def plain_rate(network: ShapeNetwork, features: ShapeFeatures, calib: torch.Tensor) -> float:
    """Return the points per second of the published evaluation: every layer sees its input concatenated to it."""
    low, high = torch.from_numpy(_BOUNDS.astype(np.float32))
    points = low + (high - low) * torch.rand(_CHUNK, 3, generator=torch.Generator().manual_seed(0))
    layers = [network.surface_classifier.get_submodule(f"conv{i}") for i in range(5)]
    seconds = []
    for _ in range(6):
        begin = time.perf_counter()
        ndc = points @ calib[:3, :3].t() + calib[:3, 3]
        sampled = functional.grid_sample(features.images[-1], ndc[None, None, :, :2], align_corners=True)
        given = torch.cat((sampled[:, :, 0], ndc[None, :, 2:].mT * network.config.depth_scale), dim=1)
        y = given
        for index, layer in enumerate(layers):
            y = layer(y if index == 0 else torch.cat((y, given), dim=1))
            y = functional.leaky_relu(y) if index < len(layers) - 1 else torch.sigmoid(y)
        seconds.append(time.perf_counter() - begin)
    return _CHUNK / min(seconds)


def _measure(
    label: str,
    network: ShapeNetwork,
    features: ShapeFeatures,
    face: Mesh | None,
    resolution: int,
    quick: bool,
) -> list[Row]:
    """Extract one field in both precisions."""
    calib = torch.from_numpy(Camera().calib.astype(np.float32))
    with torch.inference_mode():
        rates = [plain_rate(network, features, calib)]
        plain_points = octree_points(OccupancyField(network, features, calib), resolution)
    seconds: dict[str, float] = {}
    besides: dict[str, float] = {}
    points = 0
    for _ in range(1 if quick else 2):
        for precision in ("float32", "auto"):
            # A field of its own each time: what it keeps from call to call is part of the cost, the face's BVH too.
            begin = time.perf_counter()
            field = OccupancyField(network, features, calib, face_mesh=face, precision=precision)
            options = SurfaceOptions(resolution=resolution, max_chunk=field.best_chunk)
            _, stats = extract_surface_with_stats(field, _BOUNDS, options)
            ours = time.perf_counter() - begin
            name = f"{label}, {str(field.dtype).removeprefix('torch.')}"
            seconds[name] = min(ours, seconds.get(name, ours))
            rest = ours - stats.field_seconds
            besides[name] = min(rest, besides.get(name, rest))
            points = stats.points
        with torch.inference_mode():
            rates.append(plain_rate(network, features, calib))
    plain = plain_points / max(rates)
    rows = [Row(f"{label}: published octree, points per second of a call", max(rates), "1/s")]
    for name, ours in seconds.items():
        rows.append(Row(name, ours, "s", plain, plain / ours))
        rows.append(Row(f"{name}, without the network", besides[name], "s"))
    rows.append(Row(f"{label}: points", points, "points", plain_points, plain_points / points))
    return rows


def run(quick: bool) -> list[Row]:
    """Extract at 512^3 (``quick``: 128^3) in both precisions: a trained network's field with face, and a soft one."""
    resolution = 128 if quick else 512
    network, features, face = figure_with_face(TRAINED_STEEPNESS)
    rows = _measure(f"{resolution}^3 as trained, with face", network, features, face, resolution, quick)
    network, features = figure_network()
    return rows + _measure(f"{resolution}^3 soft, no face", network, features, None, resolution, quick)
