"""Binary copies of a processed set's meshes: opening one costs milliseconds where parsing its OBJ costs seconds."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import numpy as np

from jiff.base.errors import DatasetError, OutputError
from jiff.base.files import atomic_folder, atomic_path
from jiff.data.cache_clean import drop_superseded
from jiff.data.mapped import MappedArray
from jiff.geometry.io.mesh_io import load_mesh
from jiff.geometry.mesh import Mesh

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    from jiff.data.layout import ProcessedSet

_VERSION = 1


def fingerprint(files: Iterable[Path], *values: object) -> str:
    """Return ``<options>_<sources>``, hex digits that change when one of ``values`` differs and when a file is replaced.

    Files count by name, size and modification time, so that a large set is checked without reading it. A file that
    is absent counts as such.
    """
    digest = hashlib.blake2b(digest_size=6)
    for path in files:
        try:
            stat = path.stat()
            digest.update(f"{path.name}:{stat.st_size}:{stat.st_mtime_ns};".encode())
        except FileNotFoundError:
            digest.update(f"{path.name}:absent;".encode())
    options = hashlib.blake2b(repr(values).encode(), digest_size=4).hexdigest()
    return f"{options}_{digest.hexdigest()}"


def cached_arrays(
    dataset: ProcessedSet, subject: str, kind: str, key: str, make: Callable[[], dict[str, NDArray[Any]]]
) -> dict[str, NDArray[Any]]:
    """Return the arrays of ``CACHE/<subject>/<kind>_<key>.npz``, made and stored when they are not there.

    A damaged copy is as good as none: it is only a copy.

    Args:
        dataset: the set.
        subject: whose arrays.
        kind: what the arrays are, e.g. "mesh".
        key: ``fingerprint`` of what they are made from.
        make: gives the arrays; its errors pass through.
    """
    path = dataset.cache(subject) / f"{kind}_{key}.npz"
    if path.is_file():
        try:
            # NumPy leaves a damaged file open that it was given by name.
            with open(path, "rb") as handle, np.load(handle, allow_pickle=False) as stored:
                return {name: stored[name] for name in stored.files}
        except (OSError, ValueError, KeyError, EOFError, BadZipFile):
            path.unlink(missing_ok=True)
    arrays = make()
    with atomic_path(path) as temporary:
        np.savez(temporary, **arrays)  # type: ignore[arg-type]
    drop_superseded(dataset, path)
    return arrays


def cached_maps(
    dataset: ProcessedSet,
    subject: str,
    kind: str,
    key: str,
    names: Sequence[str],
    make: Callable[[], dict[str, NDArray[Any]]],
) -> dict[str, MappedArray]:
    """Return the arrays of ``CACHE/<subject>/<kind>_<key>/<name>.npy``, made and stored when one of them is not there.

    As ``cached_arrays``, for what every training worker needs of every subject: mapped, and passed on by path.

    Args:
        dataset: the set.
        subject: whose arrays.
        kind: what the arrays are.
        key: ``fingerprint`` of what they are made from.
        names: of all arrays that ``make`` gives.
        make: its errors pass through.
    """
    stored = dataset.cache(subject) / f"{kind}_{key}"
    paths = {name: stored / f"{name}.npy" for name in names}
    if not _can_be_mapped(paths.values()):
        arrays = make()
        # Another training of the same set may have stored the same meanwhile, and be about to map it.
        if not _can_be_mapped(paths.values()):
            try:
                with atomic_folder(stored) as temporary:
                    for name, path in paths.items():
                        np.save(temporary / path.name, arrays[name], allow_pickle=False)
            except OutputError:
                if not _can_be_mapped(paths.values()):
                    raise
        drop_superseded(dataset, stored)
    return {name: MappedArray(path) for name, path in paths.items()}


def _can_be_mapped(paths: Iterable[Path]) -> bool:
    try:
        for path in paths:
            MappedArray(path).array  # noqa: B018
    except DatasetError:
        return False
    return True


def cached_mesh(dataset: ProcessedSet, subject: str) -> Mesh:
    """Return the geometry (no texture) of a subject's scan, world units, from its binary copy.

    The copy is made at the first call, and again when the OBJ changes.

    Raises:
        DatasetError: the scan is not in the set.
        MeshError: the OBJ is damaged.
    """
    source = dataset.geometry(subject)
    if not source.is_file():
        raise DatasetError(
            f"{source}: no such file; run `jiff data render` again to copy the scan into the set."
        )

    def read() -> dict[str, NDArray[Any]]:
        mesh = load_mesh(source, texture=False)
        return {"vertices": mesh.vertices, "faces": mesh.faces.astype(np.int32)}

    arrays = cached_arrays(dataset, subject, "mesh", fingerprint([source], _VERSION), read)
    return Mesh(vertices=arrays["vertices"], faces=arrays["faces"].astype(np.int64))
