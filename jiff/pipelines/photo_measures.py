"""How well a reconstruction agrees with the photo it was made from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jiff.inference.face_points import face_point_numbers
from jiff.inference.in_photo import photo_numbers
from jiff.perception.files import find_networks
from jiff.photo.observed import frame_map
from jiff.photo.seen import read_seen_face

if TYPE_CHECKING:
    from jiff.geometry.mesh import Mesh
    from jiff.photo.test_folder import PersonFiles, PersonImage


def measures_in_photo(mesh: Mesh, person: PersonFiles, pixels: PersonImage) -> dict[str, float | None]:
    """Return outline, colours and face points of a reconstruction against its photo.

    See ``photo_numbers`` and ``face_point_numbers``; the face's are left out where no face was seen in the photo.
    """
    numbers: dict[str, float | None] = dict(photo_numbers(mesh, pixels))
    mapped, networks = frame_map(person), find_networks()
    if mapped is None or networks is None:
        return numbers
    face, _ = read_seen_face(person.seen)
    if face is None:
        return numbers
    scale, offset = mapped
    points = face.points_px[:, :2] * scale + offset
    return {**numbers, **face_point_numbers(mesh, points, pixels.rgb.shape[0], networks)}
