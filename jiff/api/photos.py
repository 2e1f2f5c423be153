"""Photos as callers have them (paths or arrays) in a folder of their own, framed as the commands do it."""

from __future__ import annotations

import re
import shutil
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Union

import numpy as np

from jiff.base.errors import ImageError, InputError, JiffError, OutputError, os_cause
from jiff.base.progress import NullProgress
from jiff.geometry.io.mesh_io import save_image
from jiff.options.frame import PhotoOptions
from jiff.photo.images import read_image
from jiff.photo.masks import MASK_TAG, read_mask
from jiff.pipelines.frame import framing_tools
from jiff.pipelines.frame_photos import Photo, frame_photo

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from numpy.typing import NDArray

    from jiff.base.progress import Progress, Task
    from jiff.photo.test_folder import PersonFiles

PhotoLike = Union[str, Path, "NDArray[np.uint8]"]
"""A picture file of any kind that the commands read, or RGB(A) pixels [H, W, 3 or 4] uint8."""
MaskLike = Union[str, Path, "NDArray[np.uint8]", "NDArray[np.bool_]"]
"""A mask file, or [H, W] of the upright photo's size: True, 1 or 255 inside the person."""

ARRAY_NAME = "photo"
"""Name of a photo that was given as an array."""


class Recorder:
    """Passes progress on and keeps the warnings."""

    def __init__(self, inner: Progress | None = None) -> None:
        """Listen on the way to ``inner``."""
        self.inner: Progress = inner or NullProgress()
        self.warnings: list[str] = []

    def task(self, name: str, total: float | None = None) -> AbstractContextManager[Task]:
        """Open a bar of ``inner``."""
        return self.inner.task(name, total)

    def info(self, text: str) -> None:
        """Say one line."""
        self.inner.info(text)

    def warn(self, text: str) -> None:
        """Say and keep one line."""
        self.warnings.append(text)
        self.inner.warn(text)


@dataclass
class Workshop:
    """Where one call works.

    Attributes:
        folder: its own, deleted afterwards.
        source: file of the photo.
        shown: how messages name the photo.
        progress: of the call.
    """

    folder: Path
    source: Path
    shown: str
    progress: Recorder = field(default_factory=Recorder)

    def plain(self, text: str) -> str:
        """Return a sentence of a command without files that are about to be deleted, and with Python's spelling."""
        own, stem = re.escape(str(self.folder)), re.escape(self.source.stem)
        text = re.sub(rf"(, see | \(see ){own}[^;)]*\)?", "", text)
        text = re.sub(rf"{own}\S*?[/\\]{stem}{MASK_TAG}\.png", "mask", text)
        text = re.sub(rf"{own}\S*?[/\\]{stem}\.\w+", lambda _: self.shown, text)
        if self.source.is_relative_to(self.folder):
            text = text.replace(f"{self.source.stem}{MASK_TAG}.png", "mask=")
        text = re.sub(rf"{own}[/\\]?", "", text)
        return text.replace("--person ", "person=")

    def flags(self, *texts: str) -> tuple[str, ...]:
        """Return sentences, then the warnings of the call, each once."""
        begin = re.compile(rf"^{re.escape(self.source.stem)}: ")
        found: list[str] = []
        for text in (*texts, *self.progress.warnings):
            said = begin.sub("", self.plain(text))
            # The same is said by a step and by the record, the latter within a longer sentence.
            if said and not any(said in other for other in found):
                found.append(said)
        return tuple(found)


def check_pixels(photo: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the pixels of a photo.

    Raises:
        ImageError: not [H, W, 3 or 4] uint8.
    """
    shape = tuple(photo.shape)
    if photo.dtype != np.uint8 or photo.ndim != 3 or shape[2] not in (3, 4) or 0 in shape:
        raise ImageError(
            f"{ARRAY_NAME}: is an array of shape {shape} and type {photo.dtype}; give [H, W, 3] RGB or"
            " [H, W, 4] RGBA of type uint8."
        )
    return np.ascontiguousarray(photo)


def mask_pixels(mask: MaskLike) -> NDArray[np.uint8]:
    """Return a mask [H, W], 0 outside and 255 inside.

    Raises:
        ImageError: unreadable, or an array of another form.
    """
    if isinstance(mask, (str, Path)):
        return read_mask(mask)
    if mask.ndim != 2 or 0 in mask.shape or mask.dtype not in (np.dtype(bool), np.dtype(np.uint8)):
        raise ImageError(
            f"mask: is an array of shape {tuple(mask.shape)} and type {mask.dtype}; give [H, W]"
            " of type bool, or uint8 with the person 255."
        )
    whole = mask.dtype == np.dtype(bool) or mask.max() == 1
    return np.ascontiguousarray(mask.astype(np.uint8) * np.uint8(255 if whole else 1))


@contextmanager
def _temporary_folder() -> Iterator[Path]:
    try:
        folder = Path(tempfile.mkdtemp(prefix="jiff-")).resolve()
    except OSError as error:
        cause, remedy = os_cause(error)
        raise OutputError(f"{tempfile.gettempdir()}: cannot be written because {cause}; {remedy}.") from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def workshop(
    photo: PhotoLike, mask: MaskLike | None = None, progress: Progress | None = None
) -> Iterator[Workshop]:
    """Yield a folder in which a photo can be worked on; errors name nothing in it.

    Args:
        photo: file or pixels; a file is used where it lies unless it gets another mask.
        mask: instead of the one beside the file, in its alpha channel, or that would be found.
        progress: of the call.

    Raises:
        InputError: a folder is given instead of a photo.
        ImageError: pixels or mask are of another form.
    """
    with _temporary_folder() as folder:
        place = folder / "photo"
        if not isinstance(photo, (str, Path)):
            pixels = check_pixels(np.asarray(photo))
            source = place / f"{ARRAY_NAME}.png"
            save_image(source, pixels if mask is None else pixels[..., :3])
        else:
            source = Path(photo)
            if source.is_dir():
                raise InputError(
                    f"{source}: is a folder; give one photo, or run `jiff reconstruct` on folders."
                )
            if mask is not None:
                pixels = read_image(source)
                source = place / f"{source.stem}.png"
                save_image(source, pixels[..., :3])
        if mask is not None:
            save_image(source.with_name(f"{source.stem}{MASK_TAG}.png"), mask_pixels(mask))
        shown = str(photo) if isinstance(photo, (str, Path)) else ARRAY_NAME
        work = Workshop(folder, source, shown, Recorder(progress))
        try:
            yield work
        except JiffError as error:
            plain = work.plain(str(error))
            if plain == str(error):
                raise
            raise type(error)(plain) from error


@dataclass(frozen=True)
class Framed:
    """A framed photo.

    Attributes:
        person: its files.
        record: how it was framed.
    """

    person: PersonFiles
    record: dict[str, Any]

    @property
    def world_to_photo(self) -> NDArray[np.float64]:
        """[2, 4] world points (x, y, z, 1) to continuous pixels of the photo."""
        return np.array(self.record["world_to_photo"], dtype=np.float64)


def frame(work: Workshop, options: PhotoOptions) -> Framed:
    """Frame the photo into ``crops`` as ``jiff data frame`` does.

    Raises:
        ImageError: unreadable or refused: nobody, several people, cut off, too small.
        AssetError: a matting or detector file cannot be used.
    """
    options.check_matting()
    photo = Photo(work.source, work.folder / "crops", options.person)
    tools = framing_tools(options, work.progress)
    return Framed(photo.person, frame_photo(photo, tools))
