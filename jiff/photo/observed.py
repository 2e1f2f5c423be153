"""What is seen of a framed person, in the world frame of the framed photo, for the body fit."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from jiff.base.errors import InputError
from jiff.base.files import read_json
from jiff.body.fit.observed import Observation, SeenHand
from jiff.geometry.camera import Camera
from jiff.perception.hands import see_hands
from jiff.perception.people import person_in, see_face
from jiff.photo.images import resize_image
from jiff.photo.seen import read_seen_face, read_seen_hands

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from jiff.perception.networks import PersonNetworks
    from jiff.photo.test_folder import PersonFiles, PersonImage

_MASK_SIZE = 256
_AXES = np.array([1.0, -1.0, -1.0])
"""From x right, y down, z away to x right, y up, z towards the viewer."""


def frame_map(person: PersonFiles) -> tuple[float, NDArray[np.float64]] | None:
    """Return scale and offset [2] from photo to framed pixels; None where the photo was not framed here.

    Raises:
        InputError: the record of the framing is damaged.
    """
    if not (person.seen.is_file() and person.framing.is_file()):
        return None
    try:
        back = np.array(read_json(person.framing)["frame_to_photo"], dtype=np.float64).reshape(2, 3)
        return 1.0 / float(back[0, 0]), -back[:, 2] / back[0, 0]
    except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        raise InputError(
            f"{person.framing}: is not a record of `jiff data frame` ({type(error).__name__}); frame the photo again."
        ) from error


def _photo_bounds(
    person: PersonFiles, scale: float, offset: NDArray[np.float64], size: int
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return the photo's corners in the world of the frame, endless where the record does not hold its size."""
    extent = read_json(person.framing).get("photo_size")
    if not (isinstance(extent, list) and len(extent) == 2):
        return (-np.inf, -np.inf), (np.inf, np.inf)
    camera = Camera(size=size)
    corners = camera.pixel_to_world(np.array([[0.0, 0.0], extent[::-1]], dtype=np.float64) * scale + offset)[
        :, :2
    ]
    low, high = corners.min(axis=0), corners.max(axis=0)
    return (float(low[0]), float(low[1])), (float(high[0]), float(high[1]))


def _read_pose(path: Path) -> dict[str, NDArray[np.float64]]:
    content = read_json(path)
    shapes = {
        "points_px": (33, 2),
        "depth_px": (33,),
        "visibility": (33,),
        "presence": (33,),
        "points_m": (33, 3),
    }
    try:
        return {
            k: np.array(content["pose"][k], dtype=np.float64).reshape(shape) for k, shape in shapes.items()
        }
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{path}: is not a record of `jiff data frame` ({type(error).__name__}); frame the photo again."
        ) from error


def _observation(
    pose: dict[str, NDArray[np.float64]], face_px: NDArray[np.float64] | None, mask: NDArray[np.uint8]
) -> Observation:
    """Return an observation of landmarks in pixels of the framed mask [S, S]."""
    size = mask.shape[0]
    camera = Camera(size=size)
    unit = 2 * camera.half_width_world / size

    def places(points: NDArray[np.float64]) -> NDArray[np.float64]:
        return camera.pixel_to_world(points)[..., :2]

    face = None
    if face_px is not None:
        face = np.concatenate([places(face_px[:, :2]), -unit * face_px[:, 2:]], axis=1)
    small = resize_image(mask, (_MASK_SIZE, _MASK_SIZE)).astype(np.float32) / 255.0
    return Observation(
        points=places(pose["points_px"]),
        depth=-unit * pose["depth_px"],
        visibility=pose["visibility"],
        presence=pose["presence"],
        metres=pose["points_m"] * _AXES,
        face=face,
        mask=small,
    )


def _seen_hand(points_px: NDArray[np.float64], size: int) -> SeenHand:
    """Return a hand of points [21, 3] in pixels of the framed photo of ``size``."""
    camera = Camera(size=size)
    plane = camera.pixel_to_world(points_px[:, :2])[..., :2]
    depth = -2 * camera.half_width_world / size * points_px[:, 2:]
    return SeenHand(np.concatenate([plane, depth], axis=1))


def observe(person: PersonFiles, pixels: PersonImage, networks: PersonNetworks | None) -> Observation | None:
    """Return what is seen of a framed person; None where no landmarks fit the mask.

    Args:
        person: its files; ``<name>_person.json`` is read where it is there.
        pixels: of the framed photo.
        networks: look at the framed photo where nobody looked at the photo.

    Raises:
        InputError: a record is damaged, or there is neither a record nor networks.
    """
    mapped = frame_map(person)
    if mapped is not None:
        scale, offset = mapped
        pose = _read_pose(person.seen)
        pose["points_px"] = pose["points_px"] * scale + offset
        pose["depth_px"] = pose["depth_px"] * scale
        face, _ = read_seen_face(person.seen)
        face_px = None if face is None else face.points_px * scale + np.append(offset, 0.0)
        found = _observation(pose, face_px, pixels.mask)
        size = pixels.mask.shape[0]
        low, high = _photo_bounds(person, scale, offset, size)
        left, right = (
            None if hand is None else _seen_hand(hand["points_px"] * scale + np.append(offset, 0.0), size)
            for hand in read_seen_hands(person.seen)
        )
        return replace(found, photo_low=low, photo_high=high, hands=(left, right))
    if networks is None:
        raise InputError(
            f"{person.seen}: is missing, and so are the networks that see people; run `jiff assets fetch perception`."
        )
    return look_at(networks, pixels.rgb, pixels.mask, hands=True)


def look_at(
    networks: PersonNetworks, rgb: NDArray[np.uint8], mask: NDArray[np.uint8], *, hands: bool = False
) -> Observation | None:
    """Return what the networks see of a framed person; None where no landmarks fit the mask.

    Args:
        networks: that see people.
        rgb: [S, S, 3] of the canonical camera, or of another one in whose NDC the person lies alike.
        mask: [S, S], the person at least 128.
        hands: whether hands are looked for, too.
    """
    found = person_in(networks, rgb, mask)
    if found is None:
        return None
    seen = found.pose
    face = see_face(networks, rgb, seen)
    pose = {
        name: np.asarray(getattr(seen, name))
        for name in ("points_px", "depth_px", "visibility", "presence", "points_m")
    }
    observation = _observation(pose, None if face is None else face.points_px, mask)
    if not hands:
        return observation
    left, right = (
        None if hand is None else _seen_hand(hand.points_px, len(mask))
        for hand in see_hands(networks, rgb, seen)
    )
    return replace(observation, hands=(left, right))
