"""Where jiff keeps caches and looks for optional files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jiff.base.errors import AssetError, OutputError
from jiff.base.files import atomic_path

CACHE_VARIABLE = "JIFF_CACHE"
ASSETS_VARIABLE = "JIFF_ASSETS"


def _readable(folder: Path, variable: str, what: str) -> Path:
    """Return a folder, there or not, in which files may be looked for.

    Raises:
        AssetError: it may not be read.
    """
    try:
        there = folder.stat() is not None
    except (FileNotFoundError, NotADirectoryError):
        # A file in the way is told by whoever writes.
        return folder
    except OSError as error:
        cause = (error.strerror or "unknown cause").lower()
        raise AssetError(
            f"{folder}: the {what} folder cannot be read ({cause}); set {variable} to a folder of yours."
        ) from error
    if there and folder.is_dir() and not os.access(folder, os.R_OK | os.X_OK):
        raise AssetError(
            f"{folder}: the {what} folder cannot be read (permission denied); set {variable} to a folder of yours."
        )
    return folder


def cache_dir() -> Path:
    """Return the folder of rebuildable caches: ``$JIFF_CACHE``, else ``$XDG_CACHE_HOME/jiff``, else ``~/.cache/jiff``.

    Raises:
        AssetError: it may not be read, or there is no home folder.
    """
    given = os.environ.get(CACHE_VARIABLE)
    if given:
        return _readable(Path(given), CACHE_VARIABLE, "cache")
    base = os.environ.get("XDG_CACHE_HOME")
    try:
        found = (Path(base) if base else Path.home() / ".cache") / "jiff"
    except RuntimeError as error:
        raise AssetError(
            f"There is no home folder to keep caches in; set {CACHE_VARIABLE} to a folder of yours."
        ) from error
    return _readable(found, CACHE_VARIABLE, "cache")


def assets_dir() -> Path:
    """Return the folder of the user's optional files: ``$JIFF_ASSETS``, else ``assets`` in the cache folder.

    Raises:
        AssetError: it may not be read, or there is no home folder.
    """
    given = os.environ.get(ASSETS_VARIABLE)
    if given:
        return _readable(Path(given), ASSETS_VARIABLE, "assets")
    return _readable(cache_dir() / "assets", ASSETS_VARIABLE, "assets")


@contextmanager
def cached_path(path: Path) -> Iterator[Path]:
    """Yield a temporary sibling of a file of the cache folder, as ``atomic_path`` does.

    Raises:
        OutputError: the folder cannot be written; the sentence says how to choose another one.
    """
    try:
        with atomic_path(path) as temporary:
            yield temporary
    except OutputError as error:
        before = str(error).partition("; ")[0]
        raise OutputError(
            f"{before}; set {CACHE_VARIABLE} to a folder you may write to, or make room in this one."
        ) from error
