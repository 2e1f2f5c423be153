"""A processed set small enough for tests: ellipsoids with a face, drawn by closed form."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from benchmarks.ellipsoid import CENTER, person_mesh, sphere_mesh, write_uv_maps, write_yaws
from jiff.data.layout import ProcessedSet, view_name
from jiff.data.param_io import write_param
from jiff.face.box import FaceBox
from jiff.geometry.camera import Camera
from jiff.geometry.io.mesh_io import save_image, save_mesh
from jiff.geometry.mesh import Mesh
from jiff.geometry.raycast import RayScene

__all__ = ["CENTER", "damage", "make_set", "person_mesh", "sphere_mesh"]


def make_set(
    root: Path, subjects: int = 3, yaws: tuple[int, ...] = (0, 20, 340), held_out: int = 1
) -> ProcessedSet:
    """Write a complete processed set of ellipsoids (128-px images) and return it."""
    dataset = ProcessedSet(root)
    names = [f"s{i}" for i in range(subjects)]
    for index, name in enumerate(names):
        radii = (22.0 + 4 * index, 85.0, 14.0 + 3 * index)
        mesh = person_mesh(radii)
        save_mesh(mesh, dataset.geometry(name))
        scene = RayScene(mesh.vertices, mesh.faces)
        base = np.array([0.3 + 0.2 * index, 0.7 - 0.1 * index, 0.5])
        for yaw in yaws:
            _draw_view(dataset, name, yaw, scene, mesh, base)
        _draw_uv(dataset, name, np.array(radii), yaws, base)
        _add_face(dataset, name, np.array(radii))
        write_yaws(dataset, name, yaws)
    dataset.val_list.write_text("".join(f"{name}\n" for name in names[len(names) - held_out :]))
    return dataset


def _light(yaw: int) -> float:
    # Differs from view to view, so that colours of another view's lighting are noticed.
    return 0.6 + 0.4 * np.cos(np.radians(yaw * 3.0))


def _draw_view(
    dataset: ProcessedSet, name: str, yaw: int, scene: RayScene, mesh: Mesh, base: np.ndarray, size: int = 128
) -> None:
    camera = Camera.at_yaw(yaw, size=size)
    grid = np.stack(np.meshgrid(np.arange(size) + 0.5, np.arange(size) + 0.5), axis=-1).reshape(-1, 2)
    origins, direction = camera.pixel_rays(grid)
    hit = scene.intersect(origins, direction).hit.reshape(size, size)
    image = np.zeros((size, size, 3))
    image[hit] = base * _light(yaw)
    view = view_name(yaw, 0, 0)
    save_image(dataset.render(name, view), np.rint(image * 255).astype(np.uint8))
    save_image(dataset.mask(name, view), np.where(hit, 255, 0).astype(np.uint8))
    write_param(dataset.param(name, view), {**camera.with_size(512).to_param(), "sh": np.zeros((9, 3))})


def _draw_uv(
    dataset: ProcessedSet,
    name: str,
    radii: np.ndarray,
    yaws: tuple[int, ...],
    base: np.ndarray,
    size: int = 32,
) -> None:
    mask = np.full((size, size), 255, np.uint8)
    mask[0] = 0
    write_uv_maps(dataset, name, radii, mask)
    for yaw in yaws:
        image = np.broadcast_to(base * _light(yaw), (size, size, 3))
        save_image(dataset.uv_render(name, view_name(yaw, 0, 0)), np.rint(image * 255).astype(np.uint8))


def _add_face(dataset: ProcessedSet, name: str, radii: np.ndarray) -> None:
    mesh = person_mesh(tuple(radii))
    near = (mesh.vertices[:, 1] > 140) & (mesh.vertices[:, 2] > 0)
    face = mesh.vertices[near]
    colors = np.full_like(face, 0.5)
    triangles = np.stack(
        [np.arange(len(face) - 2), np.arange(1, len(face) - 1), np.arange(2, len(face))], axis=1
    )
    save_mesh(Mesh(face, triangles, colors=colors), dataset.face_mesh(name))
    low, high = face.min(0), face.max(0)
    FaceBox(low[0], high[0], low[1], high[1], low[2] - 2, high[2] + 2).to_region_file(
        dataset.face_region(name), Camera()
    )


def damage(path: Path) -> None:
    """Cut an image file in the middle of its header."""
    path.write_bytes(path.read_bytes()[:60])
    assert cv2.imread(str(path)) is None
