"""The files of the person networks: found among the optional files, fetched once where a command needs them."""

from __future__ import annotations

import contextlib
import os
import time
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from jiff.assets.fetch import fetch_asset
from jiff.assets.folders import cache_dir
from jiff.assets.registry import get_asset
from jiff.base.errors import AssetError, JiffError
from jiff.base.files import read_json, write_json
from jiff.perception.networks import PersonNetworks

if TYPE_CHECKING:
    from jiff.base.progress import Progress

SWITCH = "JIFF_PERCEPTION"
"""Environment variable; "off" leaves the networks out, as on a machine that has no way to get them."""
VERSION = "mediapipe 0.10.21"
_TRIED: set[Path] = set()
"""Folders for which the network of hands could not be fetched, or was."""
_WARNED: set[Path] = set()
"""Folders of whose network of hands was told that it cannot be used."""
_TRIED_FILE = "perception-tried.json"
_AGAIN_AFTER_S = 24 * 3600
"""Offline, a try can take half a minute: commands do not wait for it more than once a day."""


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
    """Fetch the network of hands that a folder of an earlier version lacks; a try that failed is not repeated for a day."""
    if folder in _TRIED or _failed_lately(folder):
        return
    _TRIED.add(folder)
    progress.info("Fetching the network that sees hands (36 MB, once; Apache-2.0).")
    try:
        fetch_asset(get_asset("perception"), progress)
    except JiffError as error:
        _note_failure(folder)
        progress.warn(f"{str(error).rstrip('.')}; until then hands are not looked for in photos.")


def _failures() -> dict[str, float]:
    """Return when the network of hands could not be fetched last, by folder, seconds since 1970; empty where that is not known."""
    try:
        noted = read_json(cache_dir() / _TRIED_FILE)
    except (JiffError, ValueError, RecursionError):
        return {}
    if not isinstance(noted, dict):
        return {}
    return {folder: when for folder, when in noted.items() if isinstance(when, float)}


def _failed_lately(folder: Path) -> bool:
    when = _failures().get(str(folder))
    return when is not None and 0 <= time.time() - when < _AGAIN_AFTER_S


def _note_failure(folder: Path) -> None:
    with contextlib.suppress(JiffError):
        write_json(cache_dir() / _TRIED_FILE, {**_failures(), str(folder): time.time()})


def ensure_networks(progress: Progress) -> PersonNetworks | None:
    """Return the networks, fetched where they are missing; where that fails, say what is used instead and return None.

    Where only the network of hands is missing and cannot be fetched, or cannot be used, the others go on without it.
    """
    found = find_networks()
    if _switched_off():
        return found
    if found is not None:
        if not get_asset("perception").complete(found.folder):
            _fetch_hands(found.folder, progress)
        return _with_hands_or_told(find_networks(), progress)
    progress.info("Fetching the networks that see people (36 MB, once; Apache-2.0).")
    try:
        fetch_asset(get_asset("perception"), progress)
    except JiffError as error:
        progress.warn(f"{str(error).rstrip('.')}; until then GrabCut and OpenCV's cascades look for people.")
        return None
    found = find_networks()
    if found is None:
        raise AssetError("perception: was fetched and is not there; run `jiff assets fetch perception`.")
    return _with_hands_or_told(found, progress)


def _with_hands_or_told(networks: PersonNetworks | None, progress: Progress) -> PersonNetworks | None:
    """Return networks, having told once of a network of hands that is there and cannot be used."""
    if networks is not None and not networks.sees_hands and networks.hand_problem is not None:
        if networks.folder not in _WARNED:
            _WARNED.add(networks.folder)
            problem = networks.hand_problem.rstrip(".")
            progress.warn(f"{problem}; until then hands are not looked for in photos.")
    return networks
