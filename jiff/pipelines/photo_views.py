"""Further photos of one person for networks that were trained with several views: ``--view YAW:FILE[:PERSON]``."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from jiff.base.errors import InputError, UsageError
from jiff.pipelines.frame_photos import Photo

if TYPE_CHECKING:
    from jiff.inference.networks import NetworkFiles, Networks


@dataclass(frozen=True)
class PhotoView:
    """One further view.

    Attributes:
        yaw_deg: turn of the subject about the vertical against the main photo, in (0, 360); at 90 the right side is seen.
        photo: the photo, framed into a folder of its own, and which of its people is meant.
    """

    yaw_deg: float
    photo: Photo


def _file_and_person(text: str, path: str) -> tuple[Path, int | None]:
    """Return the file of ``FILE`` or ``FILE:PERSON``; a file that is really called so is taken whole."""
    file = Path(path).expanduser()
    found = re.fullmatch(r"(.+):(\d{1,4})", path)
    if file.is_file() or found is None:
        return file, None
    if int(found[2]) < 1:
        raise UsageError(f"--view {text}: people are counted from 1, from the left; correct the number.")
    return Path(found[1]).expanduser(), int(found[2])


def parse_views(texts: tuple[str, ...], main: Photo) -> list[PhotoView]:
    """Return the views of ``YAW:FILE`` or ``YAW:FILE:PERSON`` texts, sorted by yaw, so that their order means nothing.

    Args:
        texts: as given on the command line.
        main: the photo at yaw 0.

    Raises:
        UsageError: not of that form, yaw 0, one yaw twice, or a person 0.
        InputError: no such file.
    """
    views: dict[float, PhotoView] = {}
    for text in texts:
        yaw_text, colon, path = text.partition(":")
        try:
            yaw = float(yaw_text)
        except ValueError:
            yaw = math.nan
        if not (colon and path and math.isfinite(yaw)):
            raise UsageError(f"--view {text}: is not of the form YAW:FILE; write for example 180:back.jpg.")
        yaw %= 360.0
        if yaw == 0:
            raise UsageError(
                f"--view {text}: yaw 0 is the photo itself; give the others by their turn, 90 or 180."
            )
        if yaw in views:
            raise UsageError(f"--view {text}: another view has this yaw; leave one of them out.")
        file, person = _file_and_person(text, path)
        if not file.is_file():
            raise InputError(f"{file}: no such file; correct --view {text}.")
        folder = main.folder / "views" / main.name / f"{yaw:g}"
        views[yaw] = PhotoView(yaw, Photo(file, folder, person, f"--view {yaw_text}:{file}:"))
    return [views[yaw] for yaw in sorted(views)]


def check_views(networks: Networks, files: NetworkFiles, count: int) -> list[str]:
    """Return notes about the number of views.

    Args:
        networks: loaded.
        files: where they come from.
        count: of views, the main photo included.

    Raises:
        UsageError: several views for a network that was trained with one.
    """
    trained = networks.shape.config.num_views
    if count > 1 and trained == 1:
        raise UsageError(
            f"--view: {files.shape} was trained with single views; leave --view out or give a checkpoint that was"
            " trained with --num-views 2 or more."
        )
    notes = []
    if count != trained:
        notes.append(f"The shape network was trained with {trained} views and is given {count}; expect less.")
    colors = [network for network in (networks.color_coarse, networks.color_fine) if network is not None]
    if count > 1 and any(network.config.num_views == 1 for network in colors):
        notes.append("A colour network was trained with one view; colours come from the main photo alone.")
    return notes
