"""Synthetic people with known faces, lit pictures of them, and the sabotage that a face fit must refuse."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from benchmarks.seen_people import seen_scan
from jiff.geometry.camera import Camera
from jiff.geometry.mesh import Mesh
from jiff.render.environments import generate_environments

VIEW_YAWS_DEG = (0, 30, 60, 180)
_FIELDS = ("vertices", "faces", "face_vertices", "face_triangles", "pictures", "masks", "five")


@dataclass(frozen=True, eq=False)
class KnownPerson:
    """A person whose face is known.

    Attributes:
        mesh: the scan, world units, frontal.
        face: bare skin of the true face.
        five_world: [5, 3] true eyes, nose tip, mouth corners.
        pictures: yaw in degrees -> [512, 512, 3], lit by a random environment.
        masks: yaw in degrees -> [512, 512].
    """

    mesh: Mesh
    face: Mesh
    five_world: NDArray[np.float64]
    pictures: dict[int, NDArray[np.uint8]]
    masks: dict[int, NDArray[np.uint8]]

    def turned(self, yaw_deg: float) -> KnownPerson:
        """Return the same person turned about the vertical axis, pictures unchanged."""
        turn = Camera.at_yaw(yaw_deg).rotation
        axis = np.array([0.0, 90.0, 0.0])
        return KnownPerson(
            self.mesh.transformed(turn, axis - turn @ axis),
            self.face.transformed(turn, axis - turn @ axis),
            (self.five_world - axis) @ turn.T + axis,
            self.pictures,
            self.masks,
        )


def known_person(seed: int, index: int, cache: Path | None = None) -> KnownPerson:
    """Return person ``index`` of a seed: body, expression and pose as ``jiff data synth`` draws them.

    Args:
        seed: of the set of people.
        index: of the person.
        cache: folder that keeps what was made.
    """
    path = None if cache is None else cache / f"person_{seed}_{index:03d}.npz"
    if path is not None and path.is_file():
        with np.load(path, allow_pickle=False) as stored:
            return _from_arrays({key: stored[key] for key in _FIELDS})
    with tempfile.TemporaryDirectory() as folder:
        scan = seen_scan(Path(folder), seed, index)
    light = generate_environments(index + 1, seed)[index]
    frames = [scan.shaded.render(Camera.at_yaw(yaw), light, samples=4) for yaw in VIEW_YAWS_DEG]
    arrays: dict[str, Any] = {
        "vertices": scan.mesh.vertices,
        "faces": scan.mesh.faces,
        "face_vertices": scan.face.vertices,
        "face_triangles": scan.face.faces,
        "pictures": np.stack([frame.image for frame in frames]),
        "masks": np.stack([frame.mask for frame in frames]),
        "five": scan.five_world,
    }
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "wb") as handle:
            np.savez_compressed(handle, **arrays)
    return _from_arrays(arrays)


def _from_arrays(arrays: dict[str, Any]) -> KnownPerson:
    pictures, masks = arrays["pictures"], arrays["masks"]
    return KnownPerson(
        Mesh(arrays["vertices"], arrays["faces"]),
        Mesh(arrays["face_vertices"], arrays["face_triangles"]),
        np.asarray(arrays["five"], np.float64),
        dict(zip(VIEW_YAWS_DEG, np.asarray(pictures, np.uint8))),
        dict(zip(VIEW_YAWS_DEG, np.asarray(masks, np.uint8))),
    )


def coarse_reconstruction(mesh: Mesh, seed: int, noise_cm: float = 1.0) -> Mesh:
    """Return a mesh with the errors of a coarse reconstruction: everything is pushed about by waves of 6 to 20 cm.

    The displacement is a smooth random field with a standard deviation of ``noise_cm`` along every axis, so that a
    surface of any orientation is off by that much; averaged over a face some decimetre wide, a third to a half remains.
    """
    rng = np.random.default_rng([seed, 0x6E])
    shift = np.zeros((len(mesh.vertices), 3))
    for axis in range(3):
        for _ in range(30):
            wave = rng.normal(size=3)
            wave *= 2 * np.pi / rng.uniform(6, 20) / np.linalg.norm(wave)
            shift[:, axis] += np.sin(mesh.vertices @ wave + rng.uniform(0, 2 * np.pi))
    shift *= noise_cm / np.sqrt(15.0)
    return Mesh(mesh.vertices + shift, mesh.faces)


def distance_to_face(vertices: NDArray[np.float64], truth: Mesh) -> NDArray[np.float64]:
    """Return the distance [N] of points [N, 3] to the plane of the nearest true vertex."""
    index = cKDTree(truth.vertices).query(vertices)[1]
    gap = vertices - truth.vertices[index]
    return np.asarray(np.abs(np.einsum("ij,ij->i", gap, truth.vertex_normals()[index])))
