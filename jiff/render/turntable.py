"""A mesh turning once round: WebM (VP8, which browsers play), GIF, or a strip of pictures as PNG."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from jiff.base.errors import OutputError, UsageError
from jiff.base.files import atomic_path
from jiff.geometry.io.mesh_io import save_image
from jiff.geometry.raycast import RayScene
from jiff.render.preview import fit_camera, render_preview
from jiff.render.texture import texture_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from jiff.geometry.mesh import Mesh

SUFFIXES = (".webm", ".gif", ".png")


def turntable_frames(
    mesh: Mesh,
    count: int = 48,
    *,
    size: int = 512,
    pitch_deg: float = 0.0,
    box_world: ArrayLike | None = None,
    background: ArrayLike = (1.0, 1.0, 1.0),
    samples: int = 4,
    shading: bool = True,
) -> Iterator[NDArray[np.uint8]]:
    """Yield ``count`` pictures [size, size, 3] of one whole turn, which begins in front.

    Args:
        mesh: any unit.
        count: pictures per turn.
        size: pixels; even, as video needs it.
        pitch_deg: tilt of the subject towards the viewer.
        box_world: [2, 3] region to keep in view; the whole mesh without it.
        background: RGB in [0, 1].
        samples: rays per pixel.
        shading: False shows the plain colours.
    """
    scene = RayScene(mesh.vertices, mesh.faces)
    texture = texture_of(mesh)
    target = mesh.bounds if box_world is None else box_world
    for index in range(count):
        camera = fit_camera(target, 360.0 * index / count, pitch_deg, size=size)
        yield render_preview(
            mesh,
            camera,
            background=background,
            shading=shading,
            samples=samples,
            scene=scene,
            texture=texture,
        )


@contextmanager
def _silent_stderr() -> Iterator[None]:
    """Keep what a C library writes to standard error from the terminal."""
    kept = os.dup(2)
    with open(os.devnull, "w", encoding="ascii") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _write_video(frames: Iterator[NDArray[np.uint8]], path: Path, size: int, rate: float) -> None:
    import cv2

    with _silent_stderr():
        # FFmpeg grumbles about the tag, which WebM does not have.
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"VP80"), rate, (size, size))
    if not writer.isOpened():
        raise OutputError(
            f"{path.name}: this OpenCV cannot write WebM video; choose a name that ends in .gif or .png."
        )
    try:
        for frame in frames:
            writer.write(np.ascontiguousarray(frame[..., ::-1]))
    finally:
        writer.release()


def _write_gif(frames: Iterator[NDArray[np.uint8]], path: Path, rate: float) -> None:
    from PIL import Image

    # One palette per frame: skin and cloth turn in and out of view.
    images = [Image.fromarray(frame).quantize(255, dither=Image.Dither.NONE) for frame in frames]
    images[0].save(path, save_all=True, append_images=images[1:], duration=round(1000 / rate), loop=0)


def write_frames(
    frames: Sequence[NDArray[np.uint8]] | Iterator[NDArray[np.uint8]], path: Path | str, rate: float = 24.0
) -> None:
    """Write pictures of one even size as .webm, .gif, or one .png with all of them side by side, atomically.

    Args:
        frames: [H, H, 3] uint8 RGB each.
        path: the suffix decides.
        rate: pictures per second.

    Raises:
        UsageError: another suffix, or no frames.
        OutputError: the file cannot be written, or OpenCV was built without video.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise UsageError(
            f"{path}: a turntable is written as {', '.join(SUFFIXES)}; choose one of these suffixes."
        )
    rest = iter(frames)
    first = next(rest, None)
    if first is None:
        raise UsageError(f"{path}: there are no frames to write; ask for one or more.")

    def all_frames() -> Iterator[NDArray[np.uint8]]:
        yield first
        yield from rest

    if suffix == ".png":
        save_image(path, np.concatenate(list(all_frames()), axis=1))
        return
    with atomic_path(path) as temporary:
        if suffix == ".webm":
            _write_video(all_frames(), temporary, first.shape[0], rate)
        else:
            _write_gif(all_frames(), temporary, rate)


def write_turntable(
    mesh: Mesh,
    path: Path | str,
    *,
    seconds: float = 4.0,
    rate: float = 12.0,
    size: int = 384,
    samples: int = 4,
) -> None:
    """Write one turn of ``mesh`` (a .png strip has eight pictures)."""
    count = 8 if Path(path).suffix.lower() == ".png" else max(1, round(seconds * rate))
    write_frames(turntable_frames(mesh, count, size=size - size % 2, samples=samples), path, rate)
