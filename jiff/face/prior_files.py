"""The two files of a face prior: its mesh and its box."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from jiff.face.box import FaceBox
from jiff.geometry.io.mesh_io import save_mesh

if TYPE_CHECKING:
    from jiff.geometry.camera import Camera
    from jiff.geometry.mesh import Mesh


def write_face(face: Mesh, mesh_path: Path, region_path: Path, camera: Camera, margin: float) -> None:
    """Write a fitted face and the box around it.

    Args:
        face: frontal world frame.
        mesh_path: OBJ with vertex colours.
        region_path: text file in pixels of ``camera``.
        camera: of the frontal picture.
        margin: border of the box, as a share of the face's height.
    """
    save_mesh(face, mesh_path)
    FaceBox.around(face.vertices, margin).to_region_file(region_path, camera)
