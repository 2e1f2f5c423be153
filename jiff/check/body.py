"""Is there surface where a fitted body says that head and limbs are, and is the body where the person was seen?"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from jiff.base.errors import InputError
from jiff.base.files import read_json
from jiff.body.anny_body import load_anny_body
from jiff.body.files import read_body
from jiff.body.fit.marks import SKIN_VERTICES
from jiff.geometry.closest import MeshBvh
from jiff.geometry.inside import inside_mesh
from jiff.geometry.raycast import RayScene

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from jiff.body.placed import PlacedBody
    from jiff.geometry.mesh import Mesh

FAR = 8.0
"""World units that skin may stand out of the mesh; inside it may be as deep as a wide skirt makes it."""
MISSING = 0.5
"""Share of a part's skin without surface near it from which the part is named."""
MOST_LANDMARKS, MOST_OUTSIDE = 0.025, 0.15
"""Median distance of the landmarks as a share of the height, and share of skin outside of the mask, from which a body that was
not refused is worth a look."""
_STRIDE = 4
_TRUNK = "trunk"
_NAMES = {
    "head": ("head", "jaw", "oris", "orbicularis", "oculi", "levator", "risorius", "temporalis", "special", "eye"),
    "hand": ("wrist", "finger", "metacarpal"),
    "forearm": ("lowerarm",),
    "shin": ("lowerleg",),
    "foot": ("foot", "toe"),
    _TRUNK: ("spine", "root", "pelvis", "breast", "clavicle"),
}  # fmt: skip


@dataclass(frozen=True)
class MissingPart:
    """A part of the body that a mesh lacks.

    Attributes:
        part: its name, such as "left hand".
        share: of its skin, that has no surface near it.
        in_depth: the mesh has the part in the picture, but before or behind the body's.
    """

    part: str
    share: float
    in_depth: bool


@lru_cache(maxsize=1)
def _parts() -> dict[str, NDArray[np.int64]]:
    """Return part -> skin vertices."""
    body = load_anny_body()
    strongest = body.bone_index[np.arange(SKIN_VERTICES), body.bone_weight[:SKIN_VERTICES].argmax(axis=1)]
    labels = np.array(body.bone_labels)[strongest]
    found = {}
    for name, starts in _NAMES.items():
        of = np.array([label.startswith(starts) for label in labels])
        sides = {"left ": ".L", "right ": ".R"} if name not in ("head", _TRUNK) else {"": ""}
        for side, end in sides.items():
            found[side + name] = np.flatnonzero(of & np.char.endswith(labels, end))[::_STRIDE]
    return found


def missing_parts(mesh: Mesh, placed: PlacedBody) -> list[MissingPart]:
    """Return the parts of a body near which a mesh has no surface.

    How deep a body lies as a whole no photo tells, so that it is first moved to the mesh's trunk along z.

    Args:
        mesh: world units.
        placed: the body, in the same frame.
    """
    if len(mesh.faces) == 0:
        return [MissingPart(name, 1.0, False) for name in _parts() if name != _TRUNK]
    skin = placed.vertices_world(load_anny_body())
    whole = MeshBvh(mesh.vertices, mesh.faces)
    trunk = skin[_parts()[_TRUNK]]
    # First the middle of what the mesh has behind the trunk's pixels, then the surface itself.
    low, high = trunk[:, :2].min(axis=0), trunk[:, :2].max(axis=0)
    there = ((mesh.vertices[:, :2] > low) & (mesh.vertices[:, :2] < high)).all(axis=1)
    depth = 0.0
    if there.any():
        ends = [np.quantile(points[:, 2], (0.1, 0.9)).mean() for points in (mesh.vertices[there], trunk)]
        depth = float(ends[0] - ends[1])
    for _ in range(3):
        points = trunk + [0.0, 0.0, depth]
        depth += float(np.median((whole.closest(points).point - points)[:, 2]))
    skin = skin + [0.0, 0.0, depth]
    rays = RayScene(mesh.vertices, mesh.faces)
    flat = MeshBvh(mesh.vertices * [1.0, 1.0, 0.0], mesh.faces)
    found = []
    for name, index in _parts().items():
        if name == _TRUNK:
            continue
        far = whole.closest(skin[index]).distance > FAR
        far[far] = ~inside_mesh(rays, skin[index][far])
        if far.mean() > MISSING:
            beside = flat.closest(skin[index][far] * [1.0, 1.0, 0.0]).distance > FAR
            found.append(MissingPart(name, float(far.mean()), bool(beside.mean() < 0.5)))
    return found


def missing_sentence(parts: list[MissingPart]) -> str:
    """Return what is missing as one half sentence, such as "the left hand (in depth) and the head"; empty for none."""
    told = [f"the {part.part}{' (in depth)' if part.in_depth else ''}" for part in parts]
    return " and ".join([", ".join(told[:-1]), told[-1]] if len(told) > 1 else told)


def mesh_doubt(mesh: Mesh, body: Path) -> str:
    """Return in a sentence which parts of the body fitted to a photo its mesh lacks; empty for none, or without a body.

    Args:
        mesh: reconstructed, in the framed photo's world.
        body: ``<name>_body.json``.
    """
    try:
        placed = read_body(body) if body.is_file() else None
    except InputError:
        # Refused or damaged: `jiff data check` says so.
        placed = None
    parts = [] if placed is None else missing_parts(mesh, placed)
    if not parts:
        return ""
    return (
        f"The mesh has no surface near {missing_sentence(parts)} of the body fitted to the photo; "
        f"look at the mesh from the side, and at {body.parent / 'overlays' / body.stem}.png."
    )


def refused_body(path: Path) -> str | None:
    """Return why a ``BODY/<subject>/body.json`` holds no body; None where it does, or where there is no such file.

    Raises:
        InputError: the file cannot be read.
    """
    content: Any = read_json(path) if path.is_file() else {}
    refused = content.get("refused") if isinstance(content, dict) else None
    return None if refused is None else str(refused)


def doubtful_body(path: Path) -> tuple[str, str] | None:
    """Return a finding and half a sentence about a ``<name>_body.json`` that must not or should not be used.

    Raises:
        InputError: the file is not a record of `jiff data body`.
    """
    content: Any = read_json(path)
    try:
        if content.get("refused"):
            return "body refused", str(content["refused"])
        residuals = content["residuals"]
        off = float(residuals["landmarks_median_of_height"])
        outside = float(residuals["skin_outside_mask"])
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{path}: is not a record of `jiff data body` ({type(error).__name__}); fit the body again."
        ) from error
    if off > MOST_LANDMARKS:
        return "body off", f"it lies {off:.1%} of the height off the landmarks"
    if outside > MOST_OUTSIDE:
        return "body off", f"{outside:.0%} of it lie outside of the mask"
    return None
