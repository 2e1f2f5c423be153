"""The movements of a glTF's skinned meshes, sampled, so that they can be played.

Khronos, "glTF 2.0 Specification" (https://registry.khronos.org/glTF/specs/2.0/glTF-2.0.html), sections 3.7.3 and 3.11.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.spatial.transform import Rotation

from jiff.geometry.io.gltf_file import GltfFile
from jiff.geometry.io.gltf_scene import local_matrix, primitives, scene_roots

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

FRAME_S = 1 / 30
MOST_FRAMES = 300
"""Of one movement; longer ones are sampled more coarsely."""
MOST_CLIPS = 6
MOST_BONES = 680
"""What fits into a texture of 2048 x 2048 texels, the size that every player of WebGL 2 has."""

_PATHS = {"translation": 3, "rotation": 4, "scale": 3}


@dataclass(frozen=True, eq=False)
class MotionClip:
    """One movement.

    Attributes:
        name: of the movement.
        frame_s: seconds between two frames.
        matrices: [T, B, 3, 4] float32, from where the mesh is bound to where the bones take it.
    """

    name: str
    frame_s: float
    matrices: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Motion:
    """How the vertices of a file move.

    Attributes:
        shown: [N, 3] where the file's own pose has them, as ``load_mesh`` reads them.
        bound: [N, 3] where they are bound.
        bones: [N, 4] of each vertex.
        weights: [N, 4] of sum 1.
        clips: at least one.
    """

    shown: NDArray[np.float64]
    bound: NDArray[np.float64]
    bones: NDArray[np.int64]
    weights: NDArray[np.float64]
    clips: tuple[MotionClip, ...]


def read_motion(path: Path) -> Motion | None:
    """Return the movements of a glTF or GLB file, None where nothing in it moves by bones.

    Raises:
        MeshError: damaged, or compressed in a way that is not read.
    """
    gltf = GltfFile(path)
    animations = (gltf.tree.get("animations") or [])[:MOST_CLIPS]
    skins = gltf.tree.get("skins") or []
    joints = [joint for skin in skins for joint in skin.get("joints") or ()]
    if not animations or not joints or len(joints) > MOST_BONES:
        return None
    first = np.cumsum([0] + [len(skin.get("joints") or ()) for skin in skins])
    parts = []
    for shape in primitives(gltf):
        attributes = shape.attributes
        if shape.skin is None or "JOINTS_0" not in attributes or "WEIGHTS_0" not in attributes:
            # Something stands still beside what moves: rare, and shown as the file has it.
            return None
        bones = gltf.accessor(attributes["JOINTS_0"]).astype(np.int64) + int(first[shape.skin])
        weights = gltf.accessor(attributes["WEIGHTS_0"]).astype(np.float64)
        parts.append((shape.positions, gltf.accessor(attributes["POSITION"]), bones, weights))
    if not parts:
        return None
    shown, bound, bones, weights = (np.concatenate(rows) for rows in zip(*parts))
    weights = weights / np.maximum(weights.sum(axis=1, keepdims=True), 1e-9)
    clips = tuple(_clip(gltf, number, entry, joints) for number, entry in enumerate(animations))
    return Motion(shown, bound.astype(np.float64), bones, weights, clips)


def _clip(gltf: GltfFile, number: int, animation: dict[str, Any], joints: list[int]) -> MotionClip:
    tracks: dict[int, dict[str, tuple[NDArray[np.float64], NDArray[np.float64], bool]]] = {}
    end = 0.0
    samplers = animation.get("samplers") or []
    for channel in animation.get("channels") or ():
        target, which = channel.get("target") or {}, channel.get("sampler")
        path, node = target.get("path"), target.get("node")
        if path not in _PATHS or node is None:
            continue
        if not isinstance(which, int) or not 0 <= which < len(samplers):
            raise gltf.damaged("a movement refers to a sampler that does not exist")
        sampler = samplers[which]
        times = gltf.accessor(sampler.get("input")).ravel().astype(np.float64)
        values = gltf.accessor(sampler.get("output")).astype(np.float64)
        way = sampler.get("interpolation", "LINEAR")
        if way == "CUBICSPLINE":
            # Between tangents; at 30 frames a second the straight way between keys is near enough.
            values = values[1::3]
        if len(times) == 0 or len(values) != len(times) or values.shape[1] != _PATHS[path]:
            raise gltf.damaged("a movement's times and values differ in number")
        tracks.setdefault(int(node), {})[path] = (times, values, way == "STEP")
        end = max(end, float(times[-1]))
    frames = min(int(np.ceil(end / FRAME_S)) + 1, MOST_FRAMES)
    frame_s = end / max(frames - 1, 1) or FRAME_S
    world = _worlds(gltf, tracks, np.arange(frames, dtype=np.float64) * frame_s)
    still = np.tile(np.eye(4), (frames, 1, 1))
    matrices = np.stack([world.get(joint, still) for joint in joints], axis=1) @ _bind_matrices(gltf)
    name = str(animation.get("name") or f"movement {number + 1}")
    return MotionClip(name, frame_s, matrices[:, :, :3].astype(np.float32))


def _bind_matrices(gltf: GltfFile) -> NDArray[np.float64]:
    """Return [B, 4, 4] of all skins' joints one after the other."""
    rows = []
    for skin in gltf.tree.get("skins") or ():
        count = len(skin.get("joints") or ())
        if "inverseBindMatrices" in skin:
            found = gltf.accessor(skin["inverseBindMatrices"]).reshape(-1, 4, 4).transpose(0, 2, 1)
            if len(found) < count:
                raise gltf.damaged("a skin has fewer matrices than joints")
            rows.append(found[:count])
        else:
            rows.append(np.tile(np.eye(4), (count, 1, 1)))
    return np.concatenate(rows)


def _worlds(
    gltf: GltfFile,
    tracks: dict[int, dict[str, tuple[NDArray[np.float64], NDArray[np.float64], bool]]],
    times: NDArray[np.float64],
) -> dict[int, NDArray[np.float64]]:
    """Return [T, 4, 4] of each node of the scene."""
    world: dict[int, NDArray[np.float64]] = {}
    stack: list[tuple[int, NDArray[np.float64]]] = [(root, np.eye(4)) for root in scene_roots(gltf)]
    while stack:
        index, parent = stack.pop()
        if index in world:
            raise gltf.damaged("its nodes form a circle")
        node = gltf.item("nodes", index)
        local = _moved(node, tracks[index], times) if index in tracks else local_matrix(node)
        world[index] = np.broadcast_to(parent @ local, (len(times), 4, 4))
        stack += [(child, world[index]) for child in node.get("children") or ()]
    return world


def _moved(
    node: dict[str, Any],
    track: dict[str, tuple[NDArray[np.float64], NDArray[np.float64], bool]],
    times: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return [T, 4, 4] of a node whose parts move."""
    parts = {}
    for path, default in (("translation", (0, 0, 0)), ("rotation", (0, 0, 0, 1)), ("scale", (1, 1, 1))):
        if path in track:
            parts[path] = _sampled(*track[path], times, turn=path == "rotation")
        else:
            parts[path] = np.tile(np.array(node.get(path, default), np.float64), (len(times), 1))
    matrices = np.tile(np.eye(4), (len(times), 1, 1))
    turns = Rotation.from_quat(parts["rotation"]).as_matrix()
    matrices[:, :3, :3] = turns * parts["scale"][:, None]
    matrices[:, :3, 3] = parts["translation"]
    return matrices


def _sampled(
    keys: NDArray[np.float64],
    values: NDArray[np.float64],
    held: bool,
    times: NDArray[np.float64],
    *,
    turn: bool,
) -> NDArray[np.float64]:
    high = np.clip(np.searchsorted(keys, times, side="right"), 1, max(len(keys) - 1, 1))
    low, high = high - 1, np.minimum(high, len(keys) - 1)
    span = np.maximum(keys[high] - keys[low], 1e-9)
    share = np.clip((times - keys[low]) / span, 0.0, 1.0)[:, None]
    if held:
        share = np.floor(share)
    first, second = values[low], values[high]
    if turn:
        second = second * np.where(np.einsum("ti,ti->t", first, second) < 0, -1.0, 1.0)[:, None]
    mixed = first * (1 - share) + second * share
    if turn:
        # At the keys of a film the chord is as good as the arc; a zero quaternion turns nothing.
        length = np.linalg.norm(mixed, axis=1, keepdims=True)
        mixed = np.where(length > 1e-9, mixed / np.maximum(length, 1e-9), (0.0, 0.0, 0.0, 1.0))
    return np.asarray(mixed)
