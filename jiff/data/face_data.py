"""The face prior of a training subject: its 3DMM mesh and face box, from a small binary copy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from jiff.base.errors import DatasetError
from jiff.data.layout import view_name
from jiff.data.mesh_cache import cached_maps, fingerprint
from jiff.data.param_io import read_param
from jiff.face.box import FaceBox
from jiff.geometry.camera import Camera
from jiff.geometry.io.mesh_io import load_mesh

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jiff.data.layout import ProcessedSet
    from jiff.data.mapped import MappedArray

_VERSION = 1
_ARRAYS = ("vertices", "colors", "box")


@dataclass(frozen=True)
class FaceData:
    """A subject's face prior, frontal world frame.

    Attributes:
        vertices_world: [M, 3] float32; M = 0 where the subject has no face.
        colors: [M, 3] float32 RGB in [0, 1].
        box_world: [4] float32 xmin, xmax, ymin, ymax; xmin > xmax where the subject has no face.
    """

    vertices_world: NDArray[np.float32]
    colors: NDArray[np.float32]
    box_world: NDArray[np.float32]

    @property
    def present(self) -> bool:
        """Whether there is a face."""
        return len(self.vertices_world) > 0


@dataclass(frozen=True)
class StoredFace:
    """A subject's face prior on disk; a worker process gets its path and maps it.

    Attributes:
        maps: the arrays by name; empty where the subject has no face.
    """

    maps: dict[str, MappedArray]

    def read(self) -> FaceData:
        """Return a copy in memory."""
        if not self.maps:
            return no_face_data()
        return FaceData(*(self.maps[name][...] for name in _ARRAYS))


def no_face_data() -> FaceData:
    """Return the data of a subject without a face."""
    empty = np.zeros((0, 3), dtype=np.float32)
    return FaceData(empty, empty, np.array([1.0, -1.0, 1.0, -1.0], dtype=np.float32))


def frontal_camera(dataset: ProcessedSet, subject: str) -> Camera:
    """Return the 512-px camera of yaw 0 that the face region file is measured in."""
    path = dataset.param(subject, view_name(0, 0, 0))
    if path.is_file():
        return Camera.from_param(read_param(path))
    for view in dataset.views(subject):
        # Any other view of the subject has the same centre and scale.
        camera = Camera.from_param(read_param(dataset.param(subject, view)))
        return Camera(center_world=camera.center_world, half_width_world=camera.half_width_world)
    return Camera()


def face_box_corners(dataset: ProcessedSet, subject: str) -> NDArray[np.float64] | None:
    """Return [2, 3] the lower and upper corner of the face box in world units, None where there is no region file.

    Raises:
        DatasetError: the region file is damaged, or the box is empty.
    """
    path = dataset.face_region(subject)
    if not path.is_file():
        return None
    box = FaceBox.from_region_file(path, frontal_camera(dataset, subject))
    corners = box.corners
    if not (corners[1] > corners[0]).all():
        raise DatasetError(
            f"{path}: describes an empty face box; run `jiff data face --overwrite` for this subject."
        )
    return corners


def face_data(dataset: ProcessedSet, subject: str) -> FaceData:
    """Return the face prior of a subject; see ``stored_face``."""
    return stored_face(dataset, subject).read()


def stored_face(dataset: ProcessedSet, subject: str) -> StoredFace:
    """Return the binary copy of a subject's face prior (made when missing or outdated).

    Raises:
        DatasetError: one of the region file and the mesh is there without the other.
        MeshError: the mesh is damaged.
    """
    mesh_path, region_path = dataset.face_mesh(subject), dataset.face_region(subject)
    if not mesh_path.is_file() and not region_path.is_file():
        return StoredFace({})
    for path in (mesh_path, region_path):
        if not path.is_file():
            raise DatasetError(
                f"{path}: no such file, though its partner is there; run `jiff data face` again."
            )
    key = fingerprint([mesh_path, region_path], _VERSION)
    return StoredFace(
        cached_maps(dataset, subject, "face", key, _ARRAYS, lambda: _read_face(dataset, subject))
    )


def _read_face(dataset: ProcessedSet, subject: str) -> dict[str, NDArray[Any]]:
    mesh = load_mesh(dataset.face_mesh(subject), texture=False)
    corners = face_box_corners(dataset, subject)
    # Gray stands in for the colours that an external mesh may lack.
    colors = np.full_like(mesh.vertices, 0.5) if mesh.colors is None else mesh.colors
    box = no_face_data().box_world if corners is None else corners.T[:2].ravel()
    return {
        "vertices": mesh.vertices.astype(np.float32),
        "colors": colors.astype(np.float32),
        "box": np.asarray(box, dtype=np.float32),
    }
