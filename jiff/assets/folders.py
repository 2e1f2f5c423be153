"""Where jiff keeps caches and looks for optional files."""

from __future__ import annotations

import os
from pathlib import Path

CACHE_VARIABLE = "JIFF_CACHE"
ASSETS_VARIABLE = "JIFF_ASSETS"


def cache_dir() -> Path:
    """Return the folder of rebuildable caches: ``$JIFF_CACHE``, else ``$XDG_CACHE_HOME/jiff``, else ``~/.cache/jiff``."""
    given = os.environ.get(CACHE_VARIABLE)
    if given:
        return Path(given)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "jiff"


def assets_dir() -> Path:
    """Return the folder of the user's optional files: ``$JIFF_ASSETS``, else ``assets`` in the cache folder."""
    given = os.environ.get(ASSETS_VARIABLE)
    return Path(given) if given else cache_dir() / "assets"
