"""A processed set for benchmarks of loading: files of the true sizes, contents by closed form."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from benchmarks.ellipsoid import CENTER, person_mesh, write_uv_maps, write_yaws
from jiff.data.layout import ProcessedSet, view_name
from jiff.data.param_io import write_param
from jiff.face.box import FaceBox
from jiff.geometry.camera import Camera
from jiff.geometry.io.mesh_io import save_image, save_mesh
from jiff.geometry.mesh import Mesh

_RADII = np.array([30.0, 88.0, 18.0])
_FACE_VERTICES = 35_709
_SUBJECTS = 2
_YAWS = tuple(range(0, 360, 15))


def _image(camera: Camera, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return a textured silhouette and its mask; noise keeps the JPEG as large as a photo's."""
    size = camera.size
    grid = np.stack(np.meshgrid(np.arange(size) + 0.5, np.arange(size) + 0.5), axis=-1)
    offset = (camera.pixel_to_world(grid) - CENTER) @ camera.rotation.T
    width = float(np.hypot(_RADII[0] * camera.rotation[0, 0], _RADII[2] * camera.rotation[0, 2]))
    inside = (offset[..., 0] / width) ** 2 + (offset[..., 1] / _RADII[1]) ** 2 < 1
    smooth = cv2.resize(rng.integers(0, 255, (size // 8, size // 8, 3), dtype=np.uint8), (size, size))
    noise = rng.normal(scale=6, size=(size, size, 3))
    image = np.clip(smooth * inside[..., None] + noise * inside[..., None], 0, 255).astype(np.uint8)
    return image, np.where(inside, 255, 0).astype(np.uint8)


def write_set(root: Path) -> ProcessedSet:
    """Write the set into ``root`` unless it is there, and return it: two subjects, 24 yaws, 512 and 1024 px."""
    dataset = ProcessedSet(root)
    if root.is_dir():
        return dataset
    rng = np.random.default_rng(0)
    for name in (f"person_{index}" for index in range(_SUBJECTS)):
        save_mesh(person_mesh(_RADII, rings=96, columns=192), dataset.geometry(name))
        for yaw in _YAWS:
            view, camera = view_name(yaw, 0, 0), Camera.at_yaw(yaw)
            image, mask = _image(camera, rng)
            save_image(dataset.render(name, view), image)
            save_image(dataset.mask(name, view), mask)
            image, mask = _image(camera.with_size(1024), rng)
            save_image(dataset.render_hi(name, view), image)
            save_image(dataset.mask_hi(name, view), mask)
            save_image(
                dataset.uv_render(name, view), cv2.resize(image, (512, 512), interpolation=cv2.INTER_AREA)
            )
            write_param(dataset.param(name, view), {**camera.to_param(), "sh": np.zeros((9, 3))})
        write_uv_maps(dataset, name, _RADII, np.full((512, 512), 255, np.uint8))
        direction = rng.normal(size=(_FACE_VERTICES, 3))
        direction /= np.linalg.norm(direction, axis=1, keepdims=True)
        vertices = direction * (8.0, 11.0, 9.0) + (0.0, 160.0, 4.0)
        triangles = np.arange(_FACE_VERTICES // 3 * 3).reshape(-1, 3)
        save_mesh(Mesh(vertices, triangles, colors=np.full_like(vertices, 0.5)), dataset.face_mesh(name))
        FaceBox(-8.0, 8.0, 149.0, 171.0, -5.0, 13.0).to_region_file(dataset.face_region(name), Camera())
        write_yaws(dataset, name, _YAWS)
    return dataset
