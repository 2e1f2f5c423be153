"""A figure of capsules with its photo, mask and face, and tiny networks that have learned it (a few seconds)."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from jiff.geometry.camera import Camera
from jiff.geometry.isosurface import SurfaceOptions, extract_surface
from jiff.geometry.mesh import Mesh
from jiff.inference.person import canonical_bounds
from jiff.models.checkpoint import save_network
from jiff.models.color_coarse import ColorCoarseNetwork
from jiff.models.color_fine import ColorFineNetwork
from jiff.models.face_input import FaceInput
from jiff.models.presets import color_preset, shape_preset
from jiff.models.shape import ShapeFeatures, ShapeNetwork
from jiff.photo.test_folder import PersonImage
from jiff.render.gbuffer import render_gbuffer
from jiff.render.preview import render_preview

HEAD_WORLD = (0.0, 165.0, 0.0)
HEAD_RADIUS = 15.0
_BONES = [
    ((0.0, 75.0, 0.0), (0.0, 135.0, 0.0), 20.0),
    (HEAD_WORLD, HEAD_WORLD, HEAD_RADIUS),
    ((12.0, 10.0, 0.0), (10.0, 80.0, 0.0), 10.0),
    ((-12.0, 10.0, 0.0), (-10.0, 80.0, 0.0), 10.0),
    ((15.0, 140.0, 0.0), (55.0, 90.0, 5.0), 8.0),
    ((-15.0, 140.0, 0.0), (-55.0, 90.0, 5.0), 8.0),
]


def figure_distance(points: torch.Tensor) -> torch.Tensor:
    """Distance [N] to the figure's surface, negative inside."""
    distance = torch.full((len(points),), 1e9)
    for start, end, radius in _BONES:
        a, b = torch.tensor(start), torch.tensor(end)
        along = ((points - a) @ (b - a) / (b - a).square().sum().clamp(min=1e-9)).clamp(0, 1)
        distance = torch.minimum(distance, (points - a - along[:, None] * (b - a)).norm(dim=1) - radius)
    return distance


def figure_colors(points: np.ndarray) -> np.ndarray:
    """Red shirt, blue legs, skin above."""
    y = points[:, 1]
    colors = np.empty((len(y), 3))
    colors[y < 80] = (0.15, 0.2, 0.7)
    colors[(y >= 80) & (y < 150)] = (0.8, 0.15, 0.1)
    colors[y >= 150] = (0.9, 0.7, 0.6)
    return colors


@functools.cache
def figure(resolution: int = 96) -> Mesh:
    """The figure as a coloured mesh."""
    options = SurfaceOptions(resolution=resolution)
    mesh = extract_surface(lambda p: torch.sigmoid(-figure_distance(p)), canonical_bounds(), options)
    return dataclasses.replace(mesh, colors=figure_colors(mesh.vertices))


@functools.cache
def photo(size: int = 128, yaw: float = 0.0) -> PersonImage:
    """The figure as the canonical camera sees it, turned by ``yaw`` degrees."""
    mesh, camera = figure(), Camera.at_yaw(yaw, size=size)
    rgb = render_preview(mesh, camera, background=(0, 0, 0), shading=False)
    mask = render_gbuffer(mesh, camera, 1).mask()
    return PersonImage(rgb, mask)


@functools.cache
def face_mesh() -> Mesh:
    """The front of the head, as a face model would cover it."""
    whole = figure(64)
    ahead = (whole.vertices[:, 1] > 155) & (whole.vertices[:, 2] > 2)
    faces = whole.faces[ahead[whole.faces].all(axis=1)]
    used, index = np.unique(faces, return_inverse=True)
    assert whole.colors is not None
    return Mesh(whole.vertices[used], index.reshape(-1, 3), colors=whole.colors[used])


FACE_BOX = (-14.0, 14.0, 154.0, 181.0)


def face_input() -> FaceInput:
    """The face as networks take it."""
    mesh = face_mesh()
    assert mesh.colors is not None
    return FaceInput(
        [torch.from_numpy(mesh.vertices.astype(np.float32))],
        torch.tensor([FACE_BOX]),
        torch.zeros(1),
        [torch.from_numpy(mesh.colors.astype(np.float32))],
    )


def train_networks(folder: Path, steps: int = 90, yaws: tuple[float, ...] = (0.0,)) -> Path:
    """Train the tiny networks on the figure (colour and face encoders stay random) and save a run's folder.

    With several yaws the networks are trained with as many views.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return _train_networks(folder, steps, yaws)
    finally:
        torch.set_num_threads(threads)


def _train_networks(folder: Path, steps: int, yaws: tuple[float, ...]) -> Path:
    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    views = len(yaws)
    shape = ShapeNetwork(shape_preset("tiny", num_views=views)).train()
    coarse = ColorCoarseNetwork(color_preset("tiny", num_views=views)).train()
    fine = ColorFineNetwork(color_preset("tiny", num_views=views)).train()
    people, face = [photo(yaw=yaw) for yaw in yaws], face_input()

    def images(size: int) -> torch.Tensor:
        return torch.from_numpy(np.stack([person.network_input(size) for person in people]))[None]

    image, image_hi = images(shape.config.load_size), images(fine.config.load_size_fine)
    calib = torch.from_numpy(np.stack([Camera.at_yaw(y).calib.astype(np.float32) for y in yaws]))[None]
    surface = torch.from_numpy(figure().vertices.astype(np.float32))
    low, high = torch.from_numpy(canonical_bounds().astype(np.float32))
    head, fine_head = shape.surface_classifier_multiLoss, fine.surface_classifier_joint
    assert head is not None and fine_head is not None

    def batch() -> tuple[torch.Tensor, torch.Tensor]:
        near = surface[torch.randint(len(surface), (1000,), generator=generator)]
        near = near + torch.randn(near.shape, generator=generator) * 6
        anywhere = low + (high - low) * torch.rand(300, 3, generator=generator)
        points = torch.cat([near, anywhere])
        return points[None], (figure_distance(points) < 0).float()[None]

    def learn(parameters: list[torch.nn.Parameter], count: int, encode: Callable[[], ShapeFeatures]) -> None:
        optimiser = torch.optim.Adam(parameters, lr=1e-2)
        for _ in range(count):
            points, labels = batch()
            loss, _ = shape.loss(shape.query(encode(), points, calib), labels)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()

    body = [*shape.image_filter.parameters(), *shape.surface_classifier.parameters()]
    learn(body, steps, lambda: shape.encode(image, None))
    with torch.no_grad():
        features = shape.encode(image, face)
        coarse_features = coarse.encode(image, features)
        fine_features = fine.encode(image_hi, face)
    learn(list(head.parameters()), steps // 2, lambda: features)
    parts = (coarse.surface_classifier, fine.surface_classifier, fine_head)
    optimiser = torch.optim.Adam([p for part in parts for p in part.parameters()], lr=1e-2)
    for _ in range(steps):
        points = surface[torch.randint(len(surface), (800,), generator=generator)][None]
        rgb = torch.from_numpy(figure_colors(points[0].numpy()).astype(np.float32))[None] * 2 - 1
        first = coarse.query(coarse_features, points, calib)
        second = fine.query(fine_features, points, calib, first.phi)
        loss = coarse.loss(first, rgb)[0] + fine.loss(second, rgb)[0]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    for stage, network in (("shape", shape), ("color_coarse", coarse), ("color_fine", fine)):
        save_network(folder / stage / "latest.safetensors", network.eval())
    return folder


def write_photo(folder: Path, name: str, *, face: bool = False) -> None:
    """Write image and mask (and face files) of a test folder."""
    from jiff.geometry.io.mesh_io import save_mesh

    folder.mkdir(parents=True, exist_ok=True)
    person = photo()
    Image.fromarray(person.rgb).save(folder / f"{name}.png")
    Image.fromarray(person.mask).save(folder / f"{name}_mask.png")
    if face:
        from jiff.face.box import FaceBox

        mesh = face_mesh()
        save_mesh(mesh, folder / f"{name}_mesh.obj")
        depth = mesh.bounds[:, 2]
        FaceBox(*FACE_BOX, float(depth[0]), float(depth[1])).to_region_file(
            folder / f"{name}_region.txt", Camera()
        )
