"""Download an optional file: resumed where it broke off, verified before it takes its name."""

from __future__ import annotations

import http.client
import os
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

from jiff.assets.registry import Asset, verify, verify_published
from jiff.assets.wheel import take_from_wheel
from jiff.base.errors import AssetError, OutputError
from jiff.base.files import make_folder

if TYPE_CHECKING:
    from jiff.base.progress import Progress

_BLOCK = 2**16
_TIMEOUT_S = 30


def fetch_asset(asset: Asset, progress: Progress, *, overwrite: bool = False) -> tuple[Path, bool]:
    """Download ``asset`` into the assets folder unless it is there.

    What arrived before a connection broke stays beside the target as ``.part`` and is continued next time.

    Returns:
        ``(path, fetched)``; ``fetched`` is False when the file was there and is in order.

    Raises:
        AssetError: the licence does not allow it, the server cannot be reached, or another file arrived.
        OutputError: the assets folder cannot be written.
    """
    if asset.wheel is not None:
        found = asset.find()
        if found is not None and asset.wheel.complete(found) and not overwrite:
            verify(asset, found)
            return found, False
        take_from_wheel(asset.wheel, asset.target, progress)
        return asset.target, True
    target = asset.target
    if asset.url is None:
        raise AssetError(
            f"{asset.name}: may not be fetched for you; get it from {asset.source} and put it at {target}."
        )
    if target.is_file() and not overwrite:
        verify(asset, target)
        return target, False
    make_folder(target.parent)
    part = target.with_name(target.name + ".part")
    try:
        _download(asset, part, progress)
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
        reason = getattr(error, "reason", None) or error
        raise AssetError(
            f"{asset.url}: cannot be fetched ({reason}); check the network, or download it elsewhere and put it at {target}."
        ) from error
    except OSError as error:
        raise OutputError(
            f"{part}: cannot be written ({error.strerror or error}); free some space."
        ) from error
    try:
        verify_published(asset, part)
    except AssetError:
        part.unlink()
        raise
    part.replace(target)
    return target, True


def _download(asset: Asset, part: Path, progress: Progress) -> None:
    begin = part.stat().st_size if part.is_file() else 0
    if asset.size is not None and begin >= asset.size:
        part.unlink()
        begin = 0
    request = urllib.request.Request(str(asset.url), headers={"Range": f"bytes={begin}-"} if begin else {})
    with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:
        resumed = begin > 0 and answer.status == 206
        length = answer.headers.get("Content-Length")
        total = None if length is None else int(length) + (begin if resumed else 0)
        with (
            progress.task(f"Fetching {asset.name}", total=total) as bar,
            open(part, "ab" if resumed else "wb") as out,
        ):
            bar.advance(begin if resumed else 0)
            received = 0
            while block := answer.read(_BLOCK):
                out.write(block)
                received += len(block)
                bar.advance(len(block))
            out.flush()
            os.fsync(out.fileno())
        if length is not None and received < int(length):
            raise ConnectionError("the connection broke off; run the same command again to go on")
