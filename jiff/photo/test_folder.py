"""The test folder: one image and mask per person, to which the face steps add a box and a face mesh."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from jiff.base.errors import ImageError, InputError
from jiff.photo.images import photo_suffixes, read_image, resize_image
from jiff.photo.masks import MASK_TAG, read_mask

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class PersonFiles:
    """Files of one person of a test folder.

    Attributes:
        name: stem of the image.
        image: the photo, framed as in training (square, canonical camera).
    """

    name: str
    image: Path

    @property
    def mask(self) -> Path:
        """Person mask, white on black."""
        return self.image.with_name(f"{self.name}{MASK_TAG}.png")

    @property
    def region(self) -> Path:
        """Face box in 512-px pixels: top, bottom, left, right, zmin, zmax."""
        return self.image.with_name(f"{self.name}_region.txt")

    @property
    def face_mesh(self) -> Path:
        """Face model in the camera's world frame."""
        return self.image.with_name(f"{self.name}_mesh.obj")

    @property
    def fit(self) -> Path:
        """How the face model was fitted."""
        return self.image.with_name(f"{self.name}_fit.json")

    @property
    def framing(self) -> Path:
        """How the photo was framed, where ``jiff data frame`` or ``jiff reconstruct`` did it."""
        return self.image.with_name(f"{self.name}_framing.json")

    @property
    def seen(self) -> Path:
        """What the person networks see, in pixels of the photo, where they looked."""
        return self.image.with_name(f"{self.name}_person.json")

    @property
    def head(self) -> Path:
        """The head in the photo's own pixels, where a face is seen."""
        return self.image.parent / "heads" / f"{self.name}.png"

    @property
    def unaligned_face_mesh(self) -> Path:
        """Face model as it was before it was brought onto the coarse reconstruction."""
        return self.image.with_name(f"{self.name}_mesh_unaligned.obj")

    @property
    def landmarks(self) -> Path:
        """Landmarks that the user gives (optional)."""
        return self.image.with_name(f"{self.name}_landmarks.txt")

    @property
    def overlay(self) -> Path:
        """Picture of the fitted face in the photo."""
        # Not beside the photo: every image of a test folder counts as a person.
        return self.image.parent / "overlays" / f"{self.name}.png"

    @property
    def body(self) -> Path:
        """Fitted body: shape, pose, place, residuals; or why there is none."""
        return self.image.with_name(f"{self.name}_body.json")

    @property
    def body_arrays(self) -> Path:
        """Vertices and joints of the fitted body."""
        return self.image.with_name(f"{self.name}_body.npz")

    @property
    def body_mesh(self) -> Path:
        """Mesh of the fitted body in the camera's world frame."""
        return self.image.with_name(f"{self.name}_body.obj")

    @property
    def body_overlay(self) -> Path:
        """Picture of the fitted body in the photo and from the side."""
        return self.image.parent / "overlays" / f"{self.name}_body.png"

    @property
    def has_face(self) -> bool:
        """Whether the face steps have run for this person."""
        return self.region.is_file() and self.face_mesh.is_file()

    def forget_face(self) -> None:
        """Delete what the face steps wrote, so that they run again."""
        for path in (self.region, self.face_mesh, self.unaligned_face_mesh, self.fit):
            path.unlink(missing_ok=True)

    def forget_body(self) -> None:
        """Delete what the body step wrote, so that it runs again."""
        for path in (self.body, self.body_arrays, self.body_mesh, self.body_overlay):
            path.unlink(missing_ok=True)


@dataclass(frozen=True)
class PersonImage:
    """Pixels of one person.

    Attributes:
        rgb: [S, S, 3] uint8, as photographed.
        mask: [S, S] uint8, 0 outside, 255 inside.
    """

    rgb: NDArray[np.uint8]
    mask: NDArray[np.uint8]

    def network_input(self, size: int) -> NDArray[np.float32]:
        """Return [3, size, size] in [-1, 1], the background 0 (mid gray) as published in training and evaluation."""
        rgb, mask = resize_image(self.rgb, (size, size)), resize_image(self.mask, (size, size))
        scaled = rgb.astype(np.float32) / 127.5 - 1.0
        scaled *= mask.astype(np.float32)[..., None] / 255.0
        return np.ascontiguousarray(scaled.transpose(2, 0, 1))


def list_people(folder: Path | str, names: Collection[str] = ()) -> list[PersonFiles]:
    """Return the people of a test folder, sorted by name; those of ``names`` only where that is not empty.

    Raises:
        InputError: missing folder, no images, or two images of one name.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; give the folder with <name>.jpg and <name>_mask.png.")
    people: dict[str, PersonFiles] = {}
    for path in sorted(folder.iterdir()):
        usable = path.is_file() and path.suffix.lower() in photo_suffixes() and not path.name.startswith(".")
        if not usable or path.stem.endswith(MASK_TAG):
            continue
        if path.stem in people:
            raise InputError(
                f"{path}: another image named {people[path.stem].image.name} stands beside it; rename one of them."
            )
        people[path.stem] = PersonFiles(path.stem, path)
    if not people:
        raise InputError(f"{folder}: holds no images; put <name>.jpg or .png and <name>_mask.png there.")
    return [person for name, person in people.items() if not names or name in names]


def read_person(person: PersonFiles) -> PersonImage:
    """Read image and mask (the alpha channel serves where there is no mask file).

    Raises:
        ImageError: unreadable, not square, no mask, or a mask of another size or empty.
    """
    image = read_image(person.image)
    height, width = image.shape[:2]
    if height != width:
        raise ImageError(
            f"{person.image}: is {width} x {height} pixels; evaluation needs a square image framed as in training,"
            " so crop it or use `jiff reconstruct`, which frames photos itself."
        )
    if person.mask.is_file():
        mask = read_mask(person.mask, (height, width))
    elif image.shape[2] == 4 and image[..., 3].min() < 255:
        mask = np.ascontiguousarray(image[..., 3])
        if not (mask >= 128).any():
            raise ImageError(f"{person.image}: is fully transparent; save the person opaque.")
    else:
        raise ImageError(
            f"{person.mask}: the mask is missing; paint the person white on black, or use `jiff reconstruct`."
        )
    return PersonImage(np.ascontiguousarray(image[..., :3]), mask)
