"""Photos of any kind to a test folder: upright, masked, framed as in training."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jiff.data.framing import choose_person, frame_person
from jiff.data.images import IMAGE_SUFFIXES, read_image
from jiff.data.matting import given_matte, grabcut_matte
from jiff.data.test_folder import MASK_TAG, PersonFiles
from jiff.errors import InputError
from jiff.files import read_json, write_json
from jiff.geometry.mesh_io import save_image

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jiff.face.detect import FaceDetector


@dataclass(frozen=True)
class Photo:
    """A photo to reconstruct and where its framed copy goes.

    Attributes:
        source: the photo.
        folder: test folder to write to.
    """

    source: Path
    folder: Path

    @property
    def name(self) -> str:
        """Stem of all its results."""
        return self.source.stem

    @property
    def person(self) -> PersonFiles:
        """The framed copy."""
        return PersonFiles(self.name, self.folder / f"{self.name}.png")

    @property
    def record(self) -> Path:
        """How it was framed (.json)."""
        return self.folder / f"{self.name}_framing.json"

    @property
    def picture(self) -> Path:
        """The photo with its mask drawn in, to be looked at."""
        return self.folder / "previews" / f"{self.name}.png"


def find_photos(source: Path, folder: Path) -> list[Photo]:
    """Return the photos of a folder (or the one photo), masks left out, sorted by name.

    Raises:
        InputError: missing, empty, or two photos of one name.
    """
    if source.is_file():
        return [Photo(source, folder)]
    if not source.is_dir():
        raise InputError(f"{source}: no such file or folder; give a photo or a folder of photos.")
    found: dict[str, Photo] = {}
    for path in sorted(source.iterdir()):
        usable = path.is_file() and path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")
        if not usable or path.stem.endswith(MASK_TAG):
            continue
        if path.stem in found:
            other = found[path.stem].source.name
            raise InputError(f"{path}: another photo named {other} stands beside it; rename one of them.")
        found[path.stem] = Photo(path, folder)
    if not found:
        raise InputError(f"{source}: holds no photos; give JPEG, PNG, WebP or TIFF files.")
    return list(found.values())


def _settings(photo: Photo, person: int | None) -> dict[str, Any]:
    inputs = [photo.source, photo.source.with_name(f"{photo.name}{MASK_TAG}.png")]
    stamps = {p.name: [p.stat().st_size, p.stat().st_mtime_ns] for p in inputs if p.is_file()}
    return {"inputs": stamps, "person": person}


def is_framed(photo: Photo, person: int | None) -> bool:
    """Tell whether the framed copy is there and still belongs to the photo."""
    if not (photo.record.is_file() and photo.person.image.is_file() and photo.person.mask.is_file()):
        return False
    stored = read_json(photo.record)
    return isinstance(stored, dict) and stored.get("settings") == _settings(photo, person)


def frame_photo(photo: Photo, detector: FaceDetector, person: int | None = None) -> dict[str, Any]:
    """Write the framed image, mask, picture and record of one photo; return the record.

    Raises:
        ImageError: unreadable, or refused (nobody, several people, cut off, too small); nothing is written then.
    """
    image = read_image(photo.source)
    rgb = np.ascontiguousarray(image[..., :3])
    matte = given_matte(photo.source, image)
    notes = []
    if matte is None:
        matte = grabcut_matte(rgb, detector, str(photo.source), person)
        mask = matte.mask
        notes.append(
            f"No mask was given; GrabCut guessed one, see {photo.picture}; a {photo.name}{MASK_TAG}.png is better."
        )
    else:
        mask = choose_person(matte.mask, person, str(photo.source))
    framing = frame_person(mask, str(photo.source))
    framed, framed_mask = framing.apply(rgb), framing.apply(mask)
    record = {
        "settings": _settings(photo, person),
        "photo": photo.source.name,
        "photo_size": [int(n) for n in rgb.shape[:2]],
        "mask": matte.source,
        **framing.to_dict(),
        "notes": [*notes, *framing.notes],
    }
    photo.record.unlink(missing_ok=True)
    save_image(photo.person.image, framed)
    save_image(photo.person.mask, framed_mask)
    save_image(photo.picture, _overlay(framed, framed_mask))
    write_json(photo.record, record)
    return record


def _overlay(rgb: NDArray[np.uint8], mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the picture with everything outside the mask tinted."""
    weight = mask[..., None] / 255.0
    tint = 0.35 * rgb + 0.65 * np.array([255.0, 0.0, 160.0])
    return np.rint(rgb * weight + tint * (1 - weight)).astype(np.uint8)
