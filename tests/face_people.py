"""A synthetic person with known face, its processed set with pictures, made once per session."""

from __future__ import annotations

import functools
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from jiff.base.progress import NullProgress
from jiff.data.layout import ProcessedSet
from jiff.data.param_io import write_param
from jiff.face.model import MorphableModel
from jiff.face.models.anny_face import load_anny_face
from jiff.geometry.camera import Camera
from jiff.geometry.io.mesh_io import load_mesh, save_image, save_mesh
from jiff.geometry.mesh import Mesh
from jiff.options.synth import SynthConfig
from jiff.pipelines.synth import run_synth
from jiff.render.preview import render_preview


@dataclass(frozen=True, eq=False)
class Person:
    """A scan in world units, its frontal picture and mask at 512 px, and its true face."""

    mesh: Mesh
    picture: np.ndarray
    mask: np.ndarray
    face: Mesh
    face_visible: np.ndarray


@functools.cache
def model() -> MorphableModel:
    return load_anny_face()


@functools.cache
def person(seed: int = 5) -> Person:
    with tempfile.TemporaryDirectory() as folder:
        config = SynthConfig(
            out=Path(folder), count=1, seed=seed, jobs=1, triangles=60_000, texture_size=512, poses="standing"
        )
        report = run_synth(config, NullProgress())
        assert not report.failures
        path = next(Path(folder).glob("*/*.obj"))
        mesh = load_mesh(path)
        truth = dict(np.load(next(path.parent.glob("*_truth.npz"))))
    low, high = mesh.bounds
    scale = 180.0 / (high - low)[1]
    offset = -scale * np.array([(low + high)[0] / 2, low[1], (low + high)[2] / 2])
    world = mesh.transformed(np.eye(3) * scale, offset)
    picture = render_preview(world, Camera(), background=(0, 0, 0), samples=2)
    mask = (picture.any(axis=2) * 255).astype(np.uint8)
    face = Mesh(truth["face_vertices"] * scale + offset, truth["face_triangles"].astype(np.int64))
    return Person(world, picture, mask, face, truth["face_visible"])


def write_subject(root: Path, name: str, mesh: Mesh, yaws: tuple[int, ...] = (0, 90, 180, 270)) -> None:
    """Write what `data face` reads of one subject: GEO, and picture, mask and camera of some yaws."""
    dataset = ProcessedSet(root)
    save_mesh(Mesh(mesh.vertices, mesh.faces), dataset.geometry(name))
    for yaw in yaws:
        camera, view = Camera.at_yaw(yaw), f"{yaw}_0_00"
        picture = render_preview(mesh, camera, background=(0, 0, 0), samples=2)
        save_image(dataset.render(name, view), picture)
        save_image(dataset.mask(name, view), (picture.any(axis=2) * 255).astype(np.uint8))
        write_param(dataset.param(name, view), {**camera.to_param(), "sh": np.zeros((9, 3))})


def distance_to_truth(vertices: np.ndarray, truth: Mesh) -> np.ndarray:
    """Return the distance of each vertex to the plane of the nearest true vertex."""
    from scipy.spatial import cKDTree

    index = cKDTree(truth.vertices).query(vertices)[1]
    return np.abs(np.einsum("ij,ij->i", vertices - truth.vertices[index], truth.vertex_normals()[index]))
