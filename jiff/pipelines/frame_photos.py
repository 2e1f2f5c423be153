"""Photos of any kind to a test folder: upright, masked, framed as in training."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from jiff.base.errors import ImageError, InputError
from jiff.base.files import read_json, write_json
from jiff.geometry.camera import Camera
from jiff.geometry.io.mesh_io import save_image
from jiff.geometry.raycast import RayScene
from jiff.photo.framing import Framing, choose_person, frame_person
from jiff.photo.images import photo_suffixes, read_image, resize_image
from jiff.photo.masks import MASK_TAG, is_mask_of, mask_file
from jiff.photo.matting import Matte, find_faces, given_matte, grabcut_matte, is_wide, refuse_joined_people
from jiff.photo.test_folder import PersonFiles
from jiff.render.gbuffer import render_gbuffer
from jiff.render.preview import render_preview
from jiff.run.stage import Stamp, Verdict, read_stamp

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jiff.face.detect.detector import FaceDetector
    from jiff.geometry.mesh import Mesh
    from jiff.photo.onnx_matting import MattingNetwork

_FORMAT = 1
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
_PICTURE_SIDE = 1024
_DRAWN_SIDE = 640


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
        matting: network that finds masks; GrabCut does without it.
    """

    detector: FaceDetector
    matting: MattingNetwork | None = None

    def stamp(self, photo: Photo) -> Stamp:
        """Return what decides how a photo is framed and its face found."""
        mask = mask_file(photo.source)
        inputs = {"photo": photo.source, **({} if mask is None else {"mask": mask})}
        settings = {
            "person": photo.person_number,
            "matting": None if self.matting is None else self.matting.settings,
            "detector": self.detector.name,
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
    matte = _matte(photo, image, rgb, tools)
    name = str(photo.source)
    try:
        mask = (
            matte.mask
            if matte.source == "GrabCut"
            else choose_person(matte.mask, photo.person_number, name, photo.choice)
        )
        framing = frame_person(mask, name)
        if photo.person_number is None and is_wide(mask):
            refuse_joined_people(mask, find_faces(rgb, tools.detector), name, photo.choice)
    except ImageError as error:
        if not matte.found:
            raise
        save_image(photo.picture, _overlay(*_shown(rgb, matte.mask)))
        raise ImageError(f"{str(error)[:-1]} (see {photo.picture} for the mask that was found).") from error
    notes = []
    if matte.found:
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
    save_image(photo.person.image, framed)
    save_image(photo.person.mask, framed_mask)
    save_image(photo.picture, _overlay(framed, framed_mask))
    write_json(photo.record, record)
    return record


def _matte(photo: Photo, image: NDArray[np.uint8], rgb: NDArray[np.uint8], tools: FramingTools) -> Matte:
    """Return the mask that comes with a photo, else the one that is found."""
    given = given_matte(photo.source, image)
    if given is not None:
        return given
    if tools.matting is not None:
        return Matte(tools.matting.mask(rgb, str(photo.source)), tools.matting.path.name, found=True)
    return grabcut_matte(rgb, tools.detector, str(photo.source), photo.person_number, choice=photo.choice)


def world_to_photo(framing: Framing) -> NDArray[np.float64]:
    """Return the [2, 4] map from world points (x, y, z, 1) to continuous pixels of the photo."""
    half = framing.size / 2
    pixels = half * Camera(size=framing.size).calib[:2]
    pixels[:, 3] += half
    back = framing.frame_to_photo
    mapped = back[:, :2] @ pixels
    mapped[:, 3] += back[:, 2]
    return np.asarray(mapped)


def _shown(rgb: NDArray[np.uint8], mask: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return photo and mask at the size of a picture."""
    factor = min(1.0, _PICTURE_SIDE / max(mask.shape))
    size = (max(1, round(mask.shape[0] * factor)), max(1, round(mask.shape[1] * factor)))
    return resize_image(rgb, size), resize_image(mask, size)


def _overlay(rgb: NDArray[np.uint8], mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the picture with everything outside the mask tinted."""
    weight = mask[..., None] / 255.0
    tint = 0.35 * rgb + 0.65 * np.array([255.0, 0.0, 160.0])
    return np.rint(rgb * weight + tint * (1 - weight)).astype(np.uint8)


def mesh_in_photo(photo: Photo, mesh: Mesh) -> NDArray[np.uint8]:
    """Return the photo with the mesh's outline, and beside it the photo with the mesh drawn in, [H, 2 W, 3].

    Args:
        photo: a framed photo.
        mesh: in the canonical camera's world frame.

    Raises:
        ImageError: the photo cannot be read any more.
        InputError: its record is missing or damaged.
    """
    record = read_json(photo.record)
    rgb = np.ascontiguousarray(read_image(photo.source)[..., :3])
    factor = min(1.0, _PICTURE_SIDE / max(rgb.shape[:2]))
    height, width = (max(1, round(n * factor)) for n in rgb.shape[:2])
    base = resize_image(rgb, (height, width))
    camera = Camera(size=min(int(record["size"]), _DRAWN_SIDE))
    scene = RayScene(mesh.vertices, mesh.faces)
    drawn = render_preview(mesh, camera, background=(0, 0, 0), samples=2, scene=scene)
    covered = np.rint(render_gbuffer(mesh, camera, 2, scene=scene).coverage() * 255).astype(np.uint8)
    matrix = np.array(record["frame_to_photo"]) * factor
    matrix[:, :2] *= record["size"] / camera.size
    # OpenCV counts pixels from their centres, continuous pixels from the corner.
    matrix[:, 2] += 0.5 * matrix[:, :2].sum(axis=1) - 0.5
    seen, weight = (
        np.asarray(cv2.warpAffine(part, matrix, (width, height), flags=cv2.INTER_LINEAR), dtype=np.uint8)
        for part in (drawn, covered)
    )
    share = weight[..., None] / 255.0
    inside = np.rint(base * (1 - share) + seen).clip(0, 255).astype(np.uint8)
    lines, _ = cv2.findContours((weight >= 128).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    outlined = cv2.drawContours(
        base.copy(), lines, -1, (255, 0, 160), max(2, round(max(height, width) / 400))
    )
    return np.concatenate([np.asarray(outlined, dtype=np.uint8), inside], axis=1)
