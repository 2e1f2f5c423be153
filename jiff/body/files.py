"""``<name>_body.json|npz|obj``: a fitted body as files."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from jiff.base.errors import InputError
from jiff.base.files import atomic_path, read_json, write_json
from jiff.body.placed import PlacedBody
from jiff.body.skeleton import JOINTS, JointPose
from jiff.geometry.io.mesh_io import save_mesh
from jiff.geometry.mesh import Mesh

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from jiff.body.anny_body import AnnyBody

FORMAT = 1
BASE_VERTICES = 19158


def body_values(placed: PlacedBody) -> dict[str, Any]:
    """Return a body as plain values."""
    return {
        "phenotypes": {name: round(float(value), 5) for name, value in placed.phenotypes.items()},
        "local_changes": {name: round(float(value), 5) for name, value in placed.local_changes.items()},
        "facial_actions": {name: round(float(value), 5) for name, value in placed.facial_actions.items()},
        "scale": float(placed.scale),
        "offset": [float(value) for value in placed.offset_world],
        "joints": list(JOINTS),
        "turns": np.round(placed.pose.turns, 6).tolist(),
        "hands": np.round(placed.pose.hands, 6).tolist(),
        **_finger_values(placed.pose.fingers),
    }


def _finger_values(fingers: NDArray[np.float64]) -> dict[str, Any]:
    # Left out where no finger bends by itself: records of bodies whose hands nobody saw stay as they were.
    return {"fingers": np.round(fingers, 6).tolist()} if fingers.any() else {}


def body_of_values(content: Mapping[str, Any], name: str) -> PlacedBody:
    """Return a body of plain values.

    Args:
        content: as of ``body_values``.
        name: what is read, for messages.

    Raises:
        InputError: not a body.
    """
    try:
        if list(content.get("joints", JOINTS)) != list(JOINTS):
            raise ValueError("joints")
        pose = JointPose(
            np.array(content["turns"], dtype=np.float64).reshape(len(JOINTS), 3),
            np.array(content["hands"], dtype=np.float64).reshape(2, 3),
            # Files of earlier versions tell nothing of single fingers.
            np.array(content.get("fingers", np.zeros((2, 5, 3))), dtype=np.float64).reshape(2, 5, 3),
        )
        numbers = [{str(k): float(v) for k, v in dict(content.get(key, {})).items()}
                   for key in ("phenotypes", "local_changes", "facial_actions")]  # fmt: skip
        offset = np.array(content["offset"], dtype=np.float64).reshape(3)
        placed = PlacedBody(numbers[0], pose, float(content["scale"]), offset, numbers[1], numbers[2])
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{name}: does not hold a body ({type(error).__name__}); fit it again with `jiff data body`."
        ) from error
    if not (
        np.isfinite(pose.turns).all()
        and np.isfinite(pose.fingers).all()
        and np.isfinite(offset).all()
        and placed.scale > 0
    ):
        raise InputError(f"{name}: holds numbers that are no body; fit it again with `jiff data body`.")
    return placed


def read_body(path: Path) -> PlacedBody:
    """Return the body of ``<name>_body.json``; a face carried onto it lies in the arrays beside it.

    Raises:
        InputError: no such file, not a body, or the arrays of its face are missing.
    """
    content = read_json(path)
    if content.get("refused"):
        raise InputError(f"{path}: no body was fitted: {content['refused']}")
    placed = body_of_values(content.get("body", {}), str(path))
    if not content.get("carries_face"):
        return placed
    arrays = path.with_suffix(".npz")
    try:
        with np.load(arrays, allow_pickle=False) as stored:
            index = stored["extra_index"].astype(np.int64).reshape(-1)
            offsets = stored["extra_offsets"].astype(np.float64).reshape(len(index), 3)
    except (KeyError, OSError, ValueError, zipfile.BadZipFile) as error:
        raise InputError(
            f"{arrays}: does not hold the face of {path.name} ({type(error).__name__}); fit it again with `jiff data body`."
        ) from error
    if len(index) and not (index.min() >= 0 and index.max() < BASE_VERTICES and np.isfinite(offsets).all()):
        raise InputError(f"{arrays}: holds offsets of no body; fit it again with `jiff data body`.")
    return replace(placed, extra_index=index, extra_offsets=offsets)


def body_mesh(placed: PlacedBody, body: AnnyBody) -> Mesh:
    """Return skin, eyes and tongue in the world, without anny's helper geometry."""
    vertices = placed.vertices_world(body)
    used, faces = np.unique(body.triangles, return_inverse=True)
    return Mesh(vertices[used], faces.reshape(-1, 3).astype(np.int64))


def write_body(
    stem: Path,
    placed: PlacedBody,
    body: AnnyBody,
    joint_sigma: NDArray[np.float64],
    record: Mapping[str, Any],
) -> None:
    """Write ``<stem>_body.obj``, ``.npz`` and, last, ``.json``.

    Args:
        stem: folder and name of the person.
        placed: in the photo's world frame.
        body: anny.
        joint_sigma: [21, 3] standard deviations of the joints from the root, world units.
        record: what else the JSON tells.
    """
    joints = placed.joints_world(body)
    save_mesh(body_mesh(placed, body), stem.with_name(f"{stem.name}_body.obj"))
    with atomic_path(stem.with_name(f"{stem.name}_body.npz")) as temporary, open(temporary, "wb") as handle:
        arrays: dict[str, Any] = {
            "vertices_world": placed.vertices_world(body).astype(np.float32),
            "joints_world": joints,
            "joint_sigma_world": joint_sigma,
            "bones_world": placed.bones_world(body),
            "turns": placed.pose.turns,
            "hands": placed.pose.hands,
            "fingers": placed.pose.fingers,
            "extra_index": placed.extra_index,
            "extra_offsets": placed.extra_offsets,
        }
        np.savez(handle, **arrays)
    content = {
        "format": FORMAT,
        "body": body_values(placed),
        "carries_face": len(placed.extra_index) > 0,
        "joints_world": {name: np.round(place, 3).tolist() for name, place in zip(JOINTS, joints)},
        "joint_sigma_world": {name: np.round(sigma, 3).tolist() for name, sigma in zip(JOINTS, joint_sigma)},
        **record,
    }
    write_json(stem.with_name(f"{stem.name}_body.json"), content)
