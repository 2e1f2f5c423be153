"""The files of the person networks: found among the optional files, fetched once where a command needs them."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from jiff.assets.fetch import fetch_asset
from jiff.assets.registry import get_asset
from jiff.base.errors import AssetError, JiffError
from jiff.perception.networks import PersonNetworks

if TYPE_CHECKING:
    from jiff.base.progress import Progress

SWITCH = "JIFF_PERCEPTION"
"""Environment variable; "off" leaves the networks out, as on a machine that has no way to get them."""
VERSION = "mediapipe 0.10.21"
_TRIED: set[Path] = set()
"""Folders for which the network of hands could not be fetched, or was."""


def _switched_off() -> bool:
    return os.environ.get(SWITCH, "").lower() in ("off", "0", "no")


@lru_cache(maxsize=2)
def _loaded(folder: Path) -> PersonNetworks:
    return PersonNetworks(folder)


def find_networks() -> PersonNetworks | None:
    """Return the networks if their files are there, loaded once per process; None if not, or switched off."""
    if _switched_off():
        return None
    folder = get_asset("perception").find()
    return None if folder is None else _loaded(folder)


def _fetch_hands(folder: Path, progress: Progress) -> None:
    """Fetch the network of hands that a folder of an earlier version lacks; tried once per process."""
    if folder in _TRIED:
        return
    _TRIED.add(folder)
    progress.info("Fetching the network that sees hands (36 MB, once; Apache-2.0).")
    try:
        fetch_asset(get_asset("perception"), progress)
    except JiffError as error:
        progress.warn(f"{str(error).rstrip('.')}; until then hands are not looked for in photos.")


def ensure_networks(progress: Progress) -> PersonNetworks | None:
    """Return the networks, fetched where they are missing; where that fails, say what is used instead and return None.

    Where only the network of hands is missing, and cannot be fetched, the others go on without it.
    """
    found = find_networks()
    if _switched_off():
        return found
    if found is not None:
        if not get_asset("perception").complete(found.folder):
            _fetch_hands(found.folder, progress)
        return find_networks()
    progress.info("Fetching the networks that see people (36 MB, once; Apache-2.0).")
    try:
        fetch_asset(get_asset("perception"), progress)
    except JiffError as error:
        progress.warn(f"{str(error).rstrip('.')}; until then GrabCut and OpenCV's cascades look for people.")
        return None
    found = find_networks()
    if found is None:
        raise AssetError("perception: was fetched and is not there; run `jiff assets fetch perception`.")
    return found
