"""Where the parts of a glTF stand: nodes, skins, morph targets, and triangles of any mode."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from jiff.geometry.io.gltf_file import GltfFile

_DEEPEST = 200
_TRIANGLES, _STRIP, _FAN = 4, 5, 6


@dataclass(frozen=True)
class Primitive:
    """One primitive where its scene puts it.

    Attributes:
        positions: [V, 3].
        corners: [F, 3].
        attributes: name -> accessor index.
        material: index, or None.
        skin: index, or None.
    """

    positions: NDArray[np.float64]
    corners: NDArray[np.int64]
    attributes: dict[str, Any]
    material: Any
    skin: int | None = None


def local_matrix(node: dict[str, Any]) -> NDArray[np.float64]:
    """Return the [4, 4] transform of a node in the one above."""
    if "matrix" in node:
        return np.array(node["matrix"], np.float64).reshape(4, 4).T
    matrix = np.eye(4)
    x, y, z, w = np.array(node.get("rotation", (0, 0, 0, 1)), np.float64) / max(
        float(np.linalg.norm(node.get("rotation", (0, 0, 0, 1)))), 1e-12
    )
    matrix[:3, :3] = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    matrix[:3, :3] *= np.array(node.get("scale", (1, 1, 1)), np.float64)
    matrix[:3, 3] = node.get("translation", (0, 0, 0))
    return matrix


def scene_roots(gltf: GltfFile) -> list[int]:
    """Return the roots of the scene that is shown (all roots where none is named)."""
    nodes = gltf.tree.get("nodes") or []
    scenes = gltf.tree.get("scenes") or []
    if scenes:
        return list(gltf.item("scenes", gltf.tree.get("scene", 0)).get("nodes") or [])
    children = {child for node in nodes for child in node.get("children") or ()}
    return [k for k in range(len(nodes)) if k not in children]


def _world(gltf: GltfFile) -> dict[int, NDArray[np.float64]]:
    """Return the matrix of each node of the scene that is shown."""
    world: dict[int, NDArray[np.float64]] = {}
    stack = [(root, np.eye(4), 0) for root in scene_roots(gltf)]
    while stack:
        index, parent, depth = stack.pop()
        if depth > _DEEPEST or index in world:
            raise gltf.damaged("its nodes form a circle")
        node = gltf.item("nodes", index)
        world[index] = parent @ local_matrix(node)
        stack += [(child, world[index], depth + 1) for child in node.get("children") or ()]
    return world


def _triangles(gltf: GltfFile, primitive: dict[str, Any], count: int) -> NDArray[np.int64] | None:
    mode = primitive.get("mode", _TRIANGLES)
    if mode not in (_TRIANGLES, _STRIP, _FAN):
        return None
    if "indices" in primitive:
        index = gltf.accessor(primitive["indices"]).ravel().astype(np.int64)
    else:
        index = np.arange(count)
    if len(index) and (index.min() < 0 or index.max() >= count):
        raise gltf.damaged("a face refers to a vertex that does not exist")
    if mode == _TRIANGLES:
        return index[: len(index) // 3 * 3].reshape(-1, 3)
    if len(index) < 3:
        return np.zeros((0, 3), np.int64)
    first, middle, last = index[:-2].copy(), index[1:-1].copy(), index[2:]
    if mode == _FAN:
        first[:] = index[0]
    else:
        # Every second triangle of a strip runs the other way round.
        first[1::2], middle[1::2] = index[2:-1:2], index[1:-2:2]
    faces = np.stack([first, middle, last], axis=1)
    solid = (faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 2] != faces[:, 0])
    return faces[solid]


def _skinned(
    gltf: GltfFile,
    positions: NDArray[np.float64],
    attributes: dict[str, Any],
    skin: dict[str, Any],
    world: dict[int, NDArray[np.float64]],
) -> NDArray[np.float64]:
    """Return the posed positions; the transform of the mesh's own node plays no part (specification, 3.7.3.1)."""
    joints = skin.get("joints") or []
    matrices = np.stack([world.get(joint, np.eye(4)) for joint in joints])
    if "inverseBindMatrices" in skin:
        inverse = gltf.accessor(skin["inverseBindMatrices"]).reshape(-1, 4, 4).transpose(0, 2, 1)
        if len(inverse) < len(joints):
            raise gltf.damaged("a skin has fewer matrices than joints")
        matrices = matrices @ inverse[: len(joints)]
    blend = np.zeros((len(positions), 4, 4))
    total = np.zeros(len(positions))
    for number in range(4):
        if f"JOINTS_{number}" not in attributes or f"WEIGHTS_{number}" not in attributes:
            break
        index = gltf.accessor(attributes[f"JOINTS_{number}"]).astype(np.int64)
        weight = gltf.accessor(attributes[f"WEIGHTS_{number}"]).astype(np.float64)
        if len(index) != len(positions) or len(weight) != len(positions):
            raise gltf.damaged("joints and vertices differ in number")
        if len(index) and ((index.max() >= len(joints)) or index.min() < 0):
            raise gltf.damaged("a vertex belongs to a joint that does not exist")
        for k in range(4):
            blend += weight[:, k, None, None] * matrices[index[:, k]]
        total += weight.sum(axis=1)
    blend /= np.where(total > 1e-6, total, 1.0)[:, None, None]
    blend[total <= 1e-6] = np.eye(4)
    return np.einsum("nij,nj->ni", blend[:, :3, :3], positions) + blend[:, :3, 3]


def primitives(gltf: GltfFile) -> Iterator[Primitive]:
    """Yield every primitive of triangles of the scene in world coordinates.

    Raises:
        MeshError: damaged.
    """
    world = _world(gltf)
    for index in sorted(world):
        node = gltf.item("nodes", index)
        if "mesh" not in node:
            continue
        mesh = gltf.item("meshes", node["mesh"])
        weights = node.get("weights") or mesh.get("weights") or ()
        for primitive in mesh.get("primitives") or ():
            attributes = primitive.get("attributes") or {}
            if "POSITION" not in attributes:
                continue
            positions = gltf.accessor(attributes["POSITION"]).astype(np.float64)
            for weight, target in zip(weights, primitive.get("targets") or ()):
                if weight and "POSITION" in target:
                    positions = positions + float(weight) * gltf.accessor(target["POSITION"])
            corners = _triangles(gltf, primitive, len(positions))
            if corners is None or len(corners) == 0:
                continue
            skin = node["skin"] if "skin" in node and "JOINTS_0" in attributes else None
            if skin is not None:
                positions = _skinned(gltf, positions, attributes, gltf.item("skins", skin), world)
            else:
                matrix = world[index]
                positions = positions @ matrix[:3, :3].T + matrix[:3, 3]
                if np.linalg.det(matrix[:3, :3]) < 0:
                    corners = corners[:, ::-1]
            yield Primitive(
                positions, np.ascontiguousarray(corners), attributes, primitive.get("material"), skin
            )
