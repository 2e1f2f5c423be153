"""Write a mesh that hangs on bones, and their movements, as binary glTF 2.0.

Khronos, "glTF 2.0 Specification" (https://registry.khronos.org/glTF/specs/2.0/glTF-2.0.html), sections 3.7.3 and 3.11.
The skinned mesh's node is a root of the scene, beside the bones: players ignore its transform.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.spatial.transform import Rotation

from jiff.geometry.io.glb_writer import Binary, container_bytes, mesh_tree

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jiff.geometry.mesh import Mesh


@dataclass(frozen=True, eq=False)
class Clip:
    """A movement.

    Attributes:
        name: shown by players.
        times_s: [T] seconds, rising from 0.
        axes: [T, B, 3, 3] each bone's axes in the world, as columns.
        root: [T, 3] where the first bone is, metres.
    """

    name: str
    times_s: NDArray[np.float64]
    axes: NDArray[np.float64]
    root: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Skeleton:
    """Bones, parents first, in the pose in which the mesh hangs on them.

    Attributes:
        names: of the bones.
        parents: index of the bone above, -1 for the first, the only root.
        heads: [B, 3] joints, metres.
        axes: [B, 3, 3] each bone's axes in the world, as columns.
        name: of the whole.
    """

    names: tuple[str, ...]
    parents: tuple[int, ...]
    heads: NDArray[np.float64]
    axes: NDArray[np.float64]
    name: str = "Armature"


@dataclass(frozen=True, eq=False)
class SkinnedMesh:
    """A mesh bound to a skeleton.

    Attributes:
        mesh: in the skeleton's own pose, metres, y up.
        bones: [V, 4] of each vertex.
        weights: [V, 4] float32 of sum 1.
        skeleton: the bones.
        clips: movements, in the order in which players list them.
        extensions: name -> what it holds, of the whole file; node numbers in them come from ``bone_node``.
    """

    mesh: Mesh
    bones: NDArray[np.integer]
    weights: NDArray[np.float32]
    skeleton: Skeleton
    clips: tuple[Clip, ...] = ()
    extensions: dict[str, Any] = field(default_factory=dict)


def bone_node(bone: int) -> int:
    """Return the number of a bone's node in the file; the mesh's node is 0."""
    return bone + 1


def _quaternions(matrices: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return [T, 4] (x, y, z, w) of [T, 3, 3] rotations, without jumps of sign."""
    turns = Rotation.from_matrix(matrices).as_quat()
    turns[0] *= -1.0 if turns[0, 3] < 0 else 1.0
    flip = np.einsum("ti,ti->t", turns[1:], turns[:-1]) < 0
    turns[1:] *= np.where(np.cumsum(flip) % 2 == 1, -1.0, 1.0)[:, None]
    return np.asarray(turns)


def _local(axes: NDArray[np.float64], parents: tuple[int, ...]) -> NDArray[np.float64]:
    """Return [..., B, 3, 3] rotations in the axes of the bone above."""
    local = axes.copy()
    for bone, parent in enumerate(parents):
        if parent >= 0:
            local[..., bone, :, :] = axes[..., parent, :, :].swapaxes(-1, -2) @ axes[..., bone, :, :]
    return local


def _nodes(skeleton: Skeleton) -> list[dict[str, Any]]:
    local = _local(skeleton.axes, skeleton.parents)
    nodes: list[dict[str, Any]] = []
    for bone, parent in enumerate(skeleton.parents):
        place = skeleton.heads[bone]
        if parent >= 0:
            place = skeleton.axes[parent].T @ (place - skeleton.heads[parent])
        node: dict[str, Any] = {
            "name": skeleton.names[bone],
            "translation": [round(float(x), 7) for x in place],
            "rotation": [float(x) for x in _quaternions(local[None, bone])[0].astype(np.float32)],
        }
        children = [bone_node(k) for k, above in enumerate(skeleton.parents) if above == bone]
        if children:
            node["children"] = children
        nodes.append(node)
    return nodes


def _bind_matrices(skeleton: Skeleton) -> NDArray[np.float64]:
    """Return [B, 16] column by column: from the mesh's frame to each bone's."""
    matrices = np.tile(np.eye(4), (len(skeleton.names), 1, 1))
    matrices[:, :3, :3] = skeleton.axes.transpose(0, 2, 1)
    matrices[:, :3, 3] = -np.einsum("bji,bj->bi", skeleton.axes, skeleton.heads)
    return np.asarray(matrices.transpose(0, 2, 1).reshape(-1, 16))


def _animation(clip: Clip, skeleton: Skeleton, binary: Binary) -> dict[str, Any]:
    times = binary.values(clip.times_s[:, None], "SCALAR", bounds=True)
    local = _local(clip.axes, skeleton.parents)
    outputs = [("translation", 0, binary.values(clip.root, "VEC3"))]
    for bone in range(len(skeleton.names)):
        # Ends turn nothing.
        if bone in skeleton.parents:
            outputs.append(("rotation", bone, binary.values(_quaternions(local[:, bone]), "VEC4")))
    return {
        "name": clip.name,
        "samplers": [
            {"input": times, "interpolation": "LINEAR", "output": output} for _, _, output in outputs
        ],
        "channels": [
            {"sampler": k, "target": {"node": bone_node(bone), "path": path}}
            for k, (path, bone, _) in enumerate(outputs)
        ],
    }


def skinned_glb_bytes(
    skinned: SkinnedMesh, *, name: str = "mesh", extras: dict[str, Any] | None = None, jpeg_quality: int = 95
) -> bytes:
    """Return the file's bytes; mesh and material as ``glb_bytes`` writes them.

    Args:
        skinned: mesh, bones and movements.
        name: of mesh and node.
        extras: plain values kept in ``asset.extras``.
        jpeg_quality: of the texture.

    Raises:
        ValueError: bones, weights and vertices differ in number, or there is more than one root.
    """
    skeleton, count = skinned.skeleton, len(skinned.mesh.vertices)
    if skinned.bones.shape != (count, 4) or skinned.weights.shape != (count, 4):
        raise ValueError(f"bones and weights must be [{count}, 4]; got {skinned.bones.shape}.")
    if [parent >= 0 for parent in skeleton.parents] != [bone > 0 for bone in range(len(skeleton.parents))]:
        raise ValueError("the first bone must be the only one without a parent.")
    binary = Binary()
    tree, source = mesh_tree(skinned.mesh, binary, name=name, extras=extras, jpeg_quality=jpeg_quality)
    attributes = tree["meshes"][0]["primitives"][0]["attributes"]
    attributes["JOINTS_0"] = binary.joints(skinned.bones[source], len(skeleton.names))
    attributes["WEIGHTS_0"] = binary.attribute(skinned.weights[source])
    tree["scenes"] = [{"nodes": [0, bone_node(0)]}]
    tree["nodes"] = [{"mesh": 0, "name": name, "skin": 0}, *_nodes(skeleton)]
    tree["skins"] = [
        {
            "name": skeleton.name,
            "skeleton": bone_node(0),
            "joints": [bone_node(bone) for bone in range(len(skeleton.names))],
            "inverseBindMatrices": binary.values(_bind_matrices(skeleton), "MAT4"),
        }
    ]
    if skinned.clips:
        tree["animations"] = [_animation(clip, skeleton, binary) for clip in skinned.clips]
    if skinned.extensions:
        tree["extensionsUsed"] = sorted(skinned.extensions)
        tree["extensions"] = skinned.extensions
    return container_bytes(tree, binary)
