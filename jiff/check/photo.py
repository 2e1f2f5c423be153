"""Is a framed photo of a test folder fit for reconstruction? What the networks saw in it, and whether the mask agrees."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jiff.base.errors import ImageError, InputError
from jiff.base.files import read_json
from jiff.check.body import doubtful_body
from jiff.check.item import CheckItem
from jiff.photo.images import read_image
from jiff.photo.masks import MASK_TAG
from jiff.photo.test_folder import PersonFiles, list_people, read_person

if TYPE_CHECKING:
    from numpy.typing import NDArray

CUT_OFF, SEVERAL, NO_FACE, MASK_GAP, FACE_REFUSED, NOT_FRAMED = (
    "person cut off", "several people", "face not seen", "mask leaves out landmarks", "face refused", "photo refused",
)  # fmt: skip
LEAST_VISIBILITY = 0.5
MAX_OUTSIDE = 0.1
"""Share of the visible landmarks outside the mask: of 22 photos looked at, right masks had at most 0.06."""
_REACH = 0.015
"""Landmarks may lie this share of the picture outside the mask: toes, fingers."""


def is_test_folder(root: Path) -> bool:
    """Return whether photos were framed, or lie with their masks, in a folder."""
    return root.is_dir() and any(
        path.stem.endswith((MASK_TAG, "_framing")) for path in root.iterdir() if path.is_file()
    )


def photos_to_check(root: Path) -> list[PersonFiles]:
    """Return the people of a test folder, and those photos of which only the picture of a refusal is there.

    Raises:
        InputError: no images, or two of one name.
    """
    pictures = root / "previews"
    names = [path.stem for path in pictures.glob("*.png")] if pictures.is_dir() else []
    try:
        people = list_people(root)
    except InputError:
        if not names:
            raise
        people = []
    there = {person.name for person in people}
    refused = [PersonFiles(name, root / f"{name}.png") for name in names if name not in there]
    return sorted([*people, *refused], key=lambda person: person.name)


def preview_of(person: PersonFiles) -> Path:
    """Return the picture that ``jiff data frame`` draws: mask, skeleton, face points."""
    return person.image.parent / "previews" / f"{person.name}.png"


def check_photo(person: PersonFiles) -> CheckItem:
    """Examine one photo of a test folder; what cannot be read is a verdict, not an error.

    The facts name what was found in ``findings``.
    """
    item = CheckItem(person.name)
    item.facts["findings"] = []
    if not person.image.is_file():
        _find(item, NOT_FRAMED)
        item.reject(
            f"{NOT_FRAMED.capitalize()}: only {preview_of(person)} is there; run `jiff data frame` on it again to read why."
        )
        return item
    try:
        pixels = read_person(person)
        item.facts["size"] = pixels.rgb.shape[0]
        framing = read_json(person.framing) if person.framing.is_file() else None
        if framing is not None:
            _check_framing(item, framing)
        if framing is not None and person.seen.is_file():
            _check_seen(item, read_json(person.seen), framing, pixels.mask)
        _check_face(item, person)
        _check_body(item, person)
    except InputError as error:
        item.reject(str(error))
    except (KeyError, TypeError, ValueError, np.linalg.LinAlgError) as error:
        item.reject(
            f"Its records are not those of `jiff data frame` ({type(error).__name__}); frame the photo again."
        )
    return item


def _find(item: CheckItem, what: str) -> None:
    item.facts["findings"].append(what)


def _check_framing(item: CheckItem, framing: dict[str, Any]) -> None:
    item.facts["mask"] = framing.get("mask")
    missing = [note for note in framing.get("notes", ()) if note.endswith("what is outside is missing.")]
    if missing:
        _find(item, CUT_OFF)
        item.fix(f"{CUT_OFF.capitalize()}: {missing[0][:1].lower()}{missing[0][1:]}")


def _check_seen(
    item: CheckItem, seen: dict[str, Any], framing: dict[str, Any], mask: NDArray[np.uint8]
) -> None:
    people = int(seen["people"])
    item.facts["people"] = people
    if people > 1:
        _find(item, SEVERAL)
        item.fix(
            f"{SEVERAL.capitalize()}: {people} are in the photo; look whether the right one is framed (`jiff data frame --person N`)."
        )
    item.facts["face"] = seen["face"] is not None
    if seen["face"] is None:
        _find(item, NO_FACE)
        item.fix(
            f"{NO_FACE.capitalize()}: there will be no face prior; use a photo that shows it, or give landmarks."
        )
    pose = seen["pose"]
    share = outside_share(
        np.array(pose["points_px"], dtype=np.float64).reshape(33, 2),
        np.array(pose["visibility"], dtype=np.float64).reshape(33),
        np.array(framing["frame_to_photo"], dtype=np.float64).reshape(2, 3),
        mask,
    )
    item.facts["landmarks_outside_mask"] = round(share, 3)
    if share > MAX_OUTSIDE:
        _find(item, MASK_GAP)
        item.fix(
            f"{MASK_GAP.capitalize()}: {100 * share:.0f} % of the visible ones; paint a better {item.name}{MASK_TAG}.png and frame again."
        )


def outside_share(
    points_px: NDArray[np.float64],
    visibility: NDArray[np.float64],
    frame_to_photo: NDArray[np.float64],
    mask: NDArray[np.uint8],
) -> float:
    """Return the share of the visible landmarks in the framed picture that a mask leaves out; 0 where none is visible.

    Args:
        points_px: [33, 2] photo pixels.
        visibility: [33] in [0, 1].
        frame_to_photo: [2, 3] map of continuous pixels.
        mask: [S, S], the person at least 128.
    """
    import cv2

    framed = np.linalg.solve(frame_to_photo[:, :2], (points_px - frame_to_photo[:, 2]).T).T
    size = mask.shape[0]
    chosen = (visibility > LEAST_VISIBILITY) & (framed >= 0).all(1) & (framed < size).all(1)
    if not chosen.any():
        return 0.0
    reach = 2 * max(1, round(_REACH * size)) + 1
    inside = cv2.dilate((mask >= 128).astype(np.uint8), np.ones((reach, reach), np.uint8))
    x, y = np.floor(framed[chosen]).astype(int).T
    return float((inside[y, x] == 0).mean())


def _check_face(item: CheckItem, person: PersonFiles) -> None:
    """Add why the face of a photo was refused."""
    if not person.fit.is_file():
        return
    refused = read_json(person.fit).get("refused")
    if refused and NO_FACE not in item.facts["findings"]:
        _find(item, FACE_REFUSED)
        item.fix(f"{FACE_REFUSED.capitalize()}: {refused}")


def _check_body(item: CheckItem, person: PersonFiles) -> None:
    """Add why the body of a photo was refused, or what makes it doubtful."""
    doubt = doubtful_body(person.body) if person.body.is_file() else None
    if doubt is not None:
        finding, why = doubt
        _find(item, finding)
        item.fix(
            f"{finding.capitalize()}: {why.rstrip('.')}; look at {person.body_overlay}, at mask and framing."
        )


def photo_tiles(person: PersonFiles, size: int) -> list[NDArray[np.uint8]]:
    """Return pictures [size, size, 3]: mask, skeleton and face points, and the fitted face; gray where there is none."""
    return [fitted_tile(path, size) for path in (preview_of(person), person.overlay)]


def fitted_tile(path: Path, size: int) -> NDArray[np.uint8]:
    """Return a picture in the middle of a gray square [size, size, 3]; an empty one where it cannot be read."""
    import cv2

    tile = np.full((size, size, 3), 128, np.uint8)
    try:
        image = read_image(path)[..., :3]
    except ImageError:
        return tile
    factor = size / max(image.shape[:2])
    width, height = (max(1, min(size, round(n * factor))) for n in (image.shape[1], image.shape[0]))
    small = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    top, left = (size - height) // 2, (size - width) // 2
    tile[top : top + height, left : left + width] = small
    return tile
