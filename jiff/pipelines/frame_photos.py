"""Photos of any kind to a test folder: upright, masked, framed as in training."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jiff.base.errors import ImageError, InputError
from jiff.base.files import write_json
from jiff.geometry.camera import Camera
from jiff.geometry.io.mesh_io import save_image
from jiff.perception.files import VERSION
from jiff.photo.framing import Framing, choose_person, frame_person
from jiff.photo.images import photo_suffixes, read_image
from jiff.photo.masks import MASK_TAG, is_mask_of, mask_file
from jiff.photo.matting import Matte, find_faces, given_matte, grabcut_matte, is_wide, refuse_joined_people
from jiff.photo.seen import HEAD_SIZE, SOURCE, Seen, people_in_mask, see_masked, see_person, write_seen
from jiff.photo.test_folder import PersonFiles
from jiff.pipelines.photo_pictures import draw_seen, overlay, shown
from jiff.run.stage import Stamp, Verdict, read_stamp

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jiff.face.detect.detector import FaceDetector
    from jiff.perception.networks import PersonNetworks
    from jiff.photo.onnx_matting import MattingNetwork

_FORMAT = 5
_UNREAD_SUFFIXES = (
    ".heic",
    ".heif",
    ".avif",
    ".gif",
    ".cr2",
    ".cr3",
    ".nef",
    ".arw",
    ".dng",
    ".raw",
    ".psd",
    ".jxl",
    ".jp2",
    ".svg",
)


@dataclass(frozen=True)
class Photo:
    """A photo to reconstruct and where its framed copy goes.

    Attributes:
        source: the photo.
        folder: test folder to write to.
        person_number: which one from the left, where the photo shows several.
        choice: what a user writes before that number, for messages.
    """

    source: Path
    folder: Path
    person_number: int | None = None
    choice: str = "--person "

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


@dataclass
class FoundPhotos:
    """What a folder holds.

    Attributes:
        photos: sorted by name, masks left out.
        not_taken: name of a photo -> one sentence why it is not taken.
    """

    photos: list[Photo]
    not_taken: dict[str, str] = field(default_factory=dict)


def find_photos(source: Path, folder: Path, person: int | None = None) -> FoundPhotos:
    """Look for the photos of a folder (or take the one photo).

    Args:
        source: photo or folder.
        folder: test folder that they will be framed into.
        person: which one from the left, where a photo shows several.

    Raises:
        InputError: missing, or without a photo that can be taken.
    """
    if source.is_file():
        return FoundPhotos([Photo(source, folder, person)])
    if not source.is_dir():
        raise InputError(f"{source}: no such file or folder; give a photo or a folder of photos.")
    files = [path for path in sorted(source.iterdir()) if path.is_file() and not path.name.startswith(".")]
    readable = photo_suffixes()
    pictures = [path for path in files if path.suffix.lower() in readable]
    # "nurse_with_mask.jpg" is a photo unless there is a "nurse_with.jpg" that it could belong to.
    # Photos that cannot be read have masks, too.
    unread = [path for path in files if path.suffix.lower() in _UNREAD_SUFFIXES and path not in pictures]
    photos = [path for path in pictures if not any(is_mask_of(path, other) for other in [*pictures, *unread])]
    found: dict[str, Photo] = {}
    not_taken: dict[str, str] = {}
    for path in photos:
        same = [other for other in photos if other.stem == path.stem]
        if len(same) > 1:
            names = " and ".join(other.name for other in same)
            not_taken[path.stem] = f"{source}: {names} are two photos of one name; rename one of them."
        else:
            found[path.stem] = Photo(path, folder, person)
    for path in unread:
        kind = path.suffix[1:].upper()
        remedy = 'pip install "jiff[heic]", or save it' if kind in ("HEIC", "HEIF") else "save it"
        not_taken[path.name] = f"{path}: {kind} pictures cannot be read; {remedy} as JPEG, PNG, WebP or TIFF."
    if not found:
        why = next(iter(not_taken.values()), "")
        raise InputError(why or f"{source}: holds no photos; give JPEG, PNG, WebP or TIFF files.")
    return FoundPhotos(list(found.values()), not_taken)


@dataclass(frozen=True)
class FramingTools:
    """What finds people and masks.

    Attributes:
        detector: of faces.
        matting: network that finds masks, before all others.
        networks: see people, pose and face; without them GrabCut guesses below a face.
        partial: whether people of whom a part is outside the photo are taken.
    """

    detector: FaceDetector
    matting: MattingNetwork | None = None
    networks: PersonNetworks | None = None
    partial: bool = False

    def stamp(self, photo: Photo) -> Stamp:
        """Return what decides how a photo is framed and its face found."""
        mask = mask_file(photo.source)
        inputs = {"photo": photo.source, **({} if mask is None else {"mask": mask})}
        settings = {
            "person": photo.person_number,
            "matting": None if self.matting is None else self.matting.settings,
            "detector": self.detector.name,
            "networks": None if self.networks is None else VERSION,
            "hands": self.networks is not None and self.networks.sees_hands,
            "partial": self.partial,
        }
        return Stamp("framing", _FORMAT, settings, inputs)


def is_framed(photo: Photo, tools: FramingTools) -> Verdict:
    """Tell whether the framed copy is there and still belongs to the photo."""
    there = photo.record.is_file() and photo.person.image.is_file() and photo.person.mask.is_file()
    stored = read_stamp(photo.record)
    # Nobody else writes such records: one without a stamp is of an earlier version, or damaged.
    return tools.stamp(photo).judge(None if stored is None else dict(stored.get("stamp") or {}), there)


def frame_photo(photo: Photo, tools: FramingTools) -> dict[str, Any]:
    """Write the framed image, mask, picture and record of one photo; return the record.

    Raises:
        ImageError: unreadable, or refused (nobody, several people, cut off, too small); of a refused photo only the
            picture of a mask that was found is written.
    """
    stamp = tools.stamp(photo).taken(photo.record.parent)
    image = read_image(photo.source)
    rgb = np.ascontiguousarray(image[..., :3])
    name = str(photo.source)
    matte, seen = _matte(photo, image, rgb, tools)
    try:
        mask = matte.mask
        if matte.source not in ("GrabCut", SOURCE):
            mask = choose_person(matte.mask, photo.person_number, name, photo.choice)
        if seen is None and tools.networks is not None:
            seen = see_masked(tools.networks, rgb, mask)
        pose = None if seen is None else seen.pose
        framing = frame_person(mask, name, pose=pose, partial=tools.partial)
        if photo.person_number is None and matte.source != SOURCE and is_wide(mask):
            _refuse_joined(mask, rgb, tools, name, photo.choice)
    except ImageError as error:
        if not matte.found:
            raise
        save_image(photo.picture, overlay(*shown(rgb, matte.mask)))
        raise ImageError(f"{str(error)[:-1]} (see {photo.picture} for the mask that was found).") from error
    notes = []
    if matte.found and matte.source != SOURCE:
        notes.append(
            f"No mask was given; {matte.source} found one, see {photo.picture}; a {photo.name}{MASK_TAG}.png is better."
        )
    framed, framed_mask = framing.apply(rgb), framing.apply(mask)
    record = {
        "stamp": stamp,
        "photo": photo.source.name,
        "photo_size": [int(n) for n in rgb.shape[:2]],
        "mask": matte.source,
        **framing.to_dict(),
        "world_to_photo": world_to_photo(framing).tolist(),
        "notes": [*notes, *framing.notes],
    }
    photo.record.unlink(missing_ok=True)
    # A face of what was framed here before (another photo of that name, person or mask) must not become this one's.
    photo.person.forget_face()
    for old in (photo.person.seen, photo.person.head):
        old.unlink(missing_ok=True)
    save_image(photo.person.image, framed)
    save_image(photo.person.mask, framed_mask)
    picture = overlay(framed, framed_mask)
    if seen is not None:
        write_seen(photo.person.seen, seen)
        if seen.head_window is not None:
            save_image(photo.person.head, seen.head_window.take(rgb, HEAD_SIZE))
        picture = draw_seen(picture, seen, framing.photo_to_frame)
    save_image(photo.picture, picture)
    write_json(photo.record, record)
    return record


def _refuse_joined(
    mask: NDArray[np.uint8], rgb: NDArray[np.uint8], tools: FramingTools, name: str, choice: str
) -> None:
    """Refuse a mask that joins several people."""
    if tools.networks is None:
        refuse_joined_people(mask, find_faces(rgb, tools.detector), name, choice)
        return
    count = people_in_mask(tools.networks, rgb, mask)
    if count > 1:
        raise ImageError(
            f"{name}: the mask joins {count} people; paint one of them white, crop,"
            f" or insist with {choice}1 if this is one person."
        )


def _matte(
    photo: Photo, image: NDArray[np.uint8], rgb: NDArray[np.uint8], tools: FramingTools
) -> tuple[Matte, Seen | None]:
    """Return the mask that comes with a photo, else the one that is found, and what was seen on the way."""
    given = given_matte(photo.source, image)
    if given is not None:
        return given, None
    name = str(photo.source)
    if tools.matting is not None:
        return Matte(tools.matting.mask(rgb, name), tools.matting.path.name, found=True), None
    if tools.networks is not None:
        seen = see_person(tools.networks, rgb, name, photo.person_number, photo.choice)
        if seen.mask is None:
            raise ImageError(f"{name}: no mask was made; give {photo.name}{MASK_TAG}.png.")
        return Matte(seen.mask, SOURCE, found=True), seen
    return grabcut_matte(rgb, tools.detector, name, photo.person_number, choice=photo.choice), None


def world_to_photo(framing: Framing) -> NDArray[np.float64]:
    """Return the [2, 4] map from world points (x, y, z, 1) to continuous pixels of the photo."""
    half = framing.size / 2
    pixels = half * Camera(size=framing.size).calib[:2]
    pixels[:, 3] += half
    back = framing.frame_to_photo
    mapped = back[:, :2] @ pixels
    mapped[:, 3] += back[:, 2]
    return np.asarray(mapped)
