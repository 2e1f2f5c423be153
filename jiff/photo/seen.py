"""What the person networks see in a photo, and ``<name>_person.json``, in which later steps find it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jiff.base.errors import ImageError, InputError
from jiff.base.files import read_json, write_json
from jiff.body.fit.observed import HAND_POINTS
from jiff.perception.crop import Crop
from jiff.perception.files import VERSION
from jiff.perception.hands import see_hands
from jiff.perception.landmarks import POSE_NAMES, FacePoints, HandPoints, head_window
from jiff.perception.mask import person_mask, with_seen_face
from jiff.perception.people import SeenPerson, find_people, person_in, see_face

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jiff.perception.landmarks import Pose
    from jiff.perception.networks import PersonNetworks

FORMAT = 2
"""2 has hands; files of 1 are read as if none was seen."""
SOURCE = "person networks"
_LEAST_SIDE = 32
HEAD_SIZE = 512


@dataclass(frozen=True, eq=False)
class Seen:
    """One person as the networks see them.

    Attributes:
        pose: body landmarks, photo pixels.
        face: face points, None where no face is seen.
        mask: [H, W] uint8 soft mask, None where another one is used.
        people: how many people are in the photo.
        hands: points of the left and right hand, None where one is not seen.
    """

    pose: Pose
    face: FacePoints | None
    mask: NDArray[np.uint8] | None = None
    people: int = 1
    hands: tuple[HandPoints | None, HandPoints | None] = (None, None)

    @property
    def head_window(self) -> Crop | None:
        """The upright window of the head, None where no face is seen."""
        if self.face is None:
            return None
        return head_window(self.face)


def see_person(
    networks: PersonNetworks, rgb: NDArray[np.uint8], name: str, person: int | None, choice: str = "--person "
) -> Seen:
    """Return the one person of a photo, or number ``person`` from the left (from 1), with the mask.

    Args:
        networks: the networks.
        rgb: [H, W, 3].
        name: of the photo, for messages.
        person: which one, None where there must be one only.
        choice: what a user writes before the number, for messages.

    Raises:
        ImageError: nobody, several people without a choice, or no such number.
    """
    if min(rgb.shape[:2]) < _LEAST_SIDE:
        raise ImageError(
            f"{name}: is {rgb.shape[1]} x {rgb.shape[0]} pixels; a person of 96 pixels or more is needed."
        )
    people = find_people(networks, rgb)
    if not people:
        raise ImageError(
            f"{name}: no person was found; give {Path(name).stem}_mask.png (white on black) or a clearer photo."
        )
    if person is None and len(people) > 1:
        raise ImageError(
            f"{name}: {len(people)} people are in the picture; choose one from the left with {choice}N, or crop."
        )
    number = person or 1
    if number > len(people):
        raise ImageError(f"{name}: has {len(people)} people, not a number {number}; correct {choice}N.")
    chosen = people[number - 1]
    others = [other.pose for other in people if other is not chosen]
    face = see_face(networks, rgb, chosen.pose)
    mask = with_seen_face(person_mask(rgb, chosen.pose, others), face)
    return Seen(chosen.pose, face, mask, len(people), see_hands(networks, rgb, chosen.pose))


def see_masked(networks: PersonNetworks, rgb: NDArray[np.uint8], mask: NDArray[np.uint8]) -> Seen | None:
    """Return what is seen of the person of a given mask [H, W], None where no landmarks fit it."""
    found = person_in(networks, rgb, mask)
    if found is None:
        return None
    return Seen(found.pose, see_face(networks, rgb, found.pose), hands=see_hands(networks, rgb, found.pose))


def people_in_mask(networks: PersonNetworks, rgb: NDArray[np.uint8], mask: NDArray[np.uint8]) -> int:
    """Return how many people have their shoulders and hips in a mask."""
    count = 0
    for person in find_people(networks, rgb):
        count += _trunk_inside(person, mask)
    return count


def _trunk_inside(person: SeenPerson, mask: NDArray[np.uint8]) -> bool:
    points = np.floor(person.pose.points_px[[11, 12, 23, 24]]).astype(int)
    points = points[(points >= 0).all(1) & (points < [mask.shape[1], mask.shape[0]]).all(1)]
    return len(points) > 1 and float((mask[points[:, 1], points[:, 0]] >= 128).mean()) > 0.7


def write_seen(path: Path, seen: Seen) -> None:
    """Write ``<name>_person.json``: landmarks, face and hands in photo pixels, scores, and the window of the head."""
    pose, face, window = seen.pose, seen.face, seen.head_window
    content: dict[str, Any] = {
        "format": FORMAT,
        "networks": VERSION,
        "people": seen.people,
        "pose": {
            "names": list(POSE_NAMES),
            "score": round(pose.score, 4),
            "points_px": np.round(pose.points_px, 2).tolist(),
            "depth_px": np.round(pose.depth_px, 2).tolist(),
            "visibility": np.round(pose.visibility, 4).tolist(),
            "presence": np.round(pose.presence, 4).tolist(),
            "points_m": np.round(pose.points_m, 4).tolist(),
        },
        "face": None
        if face is None
        else {"score": round(face.score, 4), "points_px": np.round(face.points_px, 3).tolist()},
        "hands": [None if hand is None else _hand_values(hand) for hand in seen.hands],
        "head_window": None
        if window is None
        else {"center_px": list(window.center_px), "side_px": window.side_px},
    }
    write_json(path, content)


def _hand_values(hand: HandPoints) -> dict[str, Any]:
    return {
        "score": round(hand.score, 4),
        "points_px": np.round(hand.points_px, 2).tolist(),
    }


def read_seen_hands(path: Path) -> list[dict[str, NDArray[np.float64]] | None]:
    """Return, of left and right hand, ``points_px`` [21, 3] and ``score`` []; None where none was seen.

    Axes are those of ``HandPoints``. Files of earlier versions hold no hands.

    Raises:
        InputError: the file is not such a record.
    """
    shapes: dict[str, tuple[int, ...]] = {"points_px": (HAND_POINTS, 3), "score": ()}
    content = read_json(path)
    try:
        hands = content.get("hands") or [None, None]
        if len(hands) != 2:
            raise ValueError("hands")
        found = [
            None
            if hand is None
            else {k: np.array(hand[k], dtype=np.float64).reshape(shape) for k, shape in shapes.items()}
            for hand in hands
        ]
        if not all(
            np.isfinite(values).all() for hand in found if hand is not None for values in hand.values()
        ):
            raise ValueError("hands")
        return found
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{path}: is not a record of `jiff data frame` ({type(error).__name__}); frame the photo again."
        ) from error


def read_seen_face(path: Path) -> tuple[FacePoints | None, Crop | None]:
    """Return the face points of ``<name>_person.json`` and the window of its close-up; None where no face was seen.

    Raises:
        InputError: the file is not such a record.
    """
    content = read_json(path)
    try:
        face, window = content["face"], content["head_window"]
        if face is None or window is None:
            return None, None
        points = np.array(face["points_px"], dtype=np.float64).reshape(468, 3)
        x, y = window["center_px"]
        return FacePoints(points, float(face["score"])), Crop((float(x), float(y)), float(window["side_px"]))
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{path}: is not a record of `jiff data frame` ({type(error).__name__}); frame the photo again."
        ) from error
