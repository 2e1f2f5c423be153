"""A body's rig for export: bones of Mixamo's names, bound in the T-pose, and the pose of the photo."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial import cKDTree

from jiff.body.binding import Binding, near_skin, reposed_normals, smooth_binding, unposed
from jiff.body.mend import mended
from jiff.body.rig_bones import RIG_BONES, RIG_INDEX, RIG_PARENTS, rig_of_bones
from jiff.body.tpose import carried_heads, t_pose, with_bends
from jiff.body.turns import between, frame, mean_rotation, unit
from jiff.body.webs import cut_and_close, find_webs, limbs_apart, sided

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jiff.body.anny_body import AnnyBody
    from jiff.body.placed import PlacedBody
    from jiff.geometry.mesh import Mesh

_ONLY_FLESH = ("breast", "pelvis", "spine05")
"""They give skin to their bone, but do not turn it: the legs hang on anny's root, not on the lowest vertebra."""

_GAP_POINTS = 5000
_GROUND_PERCENT = 0.02
"""This share of the surface may lie below the ground: crumbs under the soles do not lift a person."""


@dataclass(frozen=True, eq=False)
class Rig:
    """Bones of ``RIG_BONES``, in the unit of the body's world.

    Attributes:
        heads: [B, 3] joints in the T-pose; feet on y = 0, hips above the origin.
        axes: [B, 3, 3] each bone's axes in the T-pose as columns, y along the bone, rolled as Mixamo's.
        photo_turns: [B, 3, 3] from the T-pose to the photo's, in world axes.
        photo_heads: [B, 3] joints in the photo's pose, where the photo's body is.
    """

    heads: NDArray[np.float64]
    axes: NDArray[np.float64]
    photo_turns: NDArray[np.float64]
    photo_heads: NDArray[np.float64]

    def photo_transforms(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return [B, 3, 3] and [B, 3]: from the T-pose to the photo's."""
        return self.photo_turns, self.photo_heads - np.einsum("bij,bj->bi", self.photo_turns, self.heads)


@dataclass(frozen=True, eq=False)
class RiggedMesh:
    """A surface bound to a rig.

    Attributes:
        mesh: in the T-pose, unit of the world.
        binding: of its vertices to the rig's bones.
        rig: the bones.
    """

    mesh: Mesh
    binding: Binding
    rig: Rig


def rig_binding_weights(body: AnnyBody) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return [V, K] bones of the rig, a bone perhaps several times, and [V, K] weights of the body's vertices."""
    return rig_of_bones(body)[body.bone_index], body.bone_weight


def skin_triangles(body: AnnyBody) -> NDArray[np.int32]:
    """Return [T, 3] triangles of the skin alone, no eyes and no tongue."""
    return np.asarray(body.triangles[np.tile(body.quad_group == 0, 2)])


def _rest_heads(body: AnnyBody, rest: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return [B, 3] joints at rest, metres."""
    places = dict(zip(body.bone_labels, body.bone_heads(rest)))
    heads = np.zeros((len(RIG_BONES), 3))
    for k, bone in enumerate(RIG_BONES):
        if bone.sources:
            heads[k] = places[bone.sources[0]]
    # anny's root lies at the back, Mixamo's hips between the joints of the legs.
    heads[RIG_INDEX["Hips"]] = (places["upperleg01.L"] + places["upperleg01.R"]) / 2
    skin = np.unique(skin_triangles(body))
    strongest = rig_of_bones(body)[body.bone_index[skin, np.argmax(body.bone_weight[skin], axis=1)]]
    for k, bone in enumerate(RIG_BONES):
        if not bone.sources:
            above = RIG_PARENTS[k]
            start = heads[above]
            way = {"HeadTop_End": (0.0, 1.0, 0.0), "Toe_End": (0.0, 0.0, 1.0)}
            ahead = [np.array(v) for name, v in way.items() if bone.name.endswith(name)]
            direction = ahead[0] if ahead else unit(start - heads[RIG_PARENTS[above]])
            reach = (rest[skin[strongest == above]] - start) @ direction
            heads[k] = start + direction * max(float(reach.max()), 1e-3)
    return heads


def _axes(heads: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return [B, 3, 3] axes as Mixamo's: x is left on the trunk and right on the legs, arms have x near -+z."""
    axes = np.zeros((len(RIG_BONES), 3, 3))
    for k, bone in enumerate(RIG_BONES):
        if not bone.sources:
            axes[k] = axes[RIG_PARENTS[k]]
            continue
        way = heads[RIG_INDEX[bone.toward]] - heads[k]
        if bone.name == "Hips":
            way = np.array([0.0, 1.0, 0.0])
        if bone.group.startswith("arm"):
            z = np.cross(way, [0.0, 0.0, 1.0]) * (1.0 if bone.group == "arm.L" else -1.0)
            axes[k] = frame(way, np.cross(way, z))
        else:
            axes[k] = frame(way, np.array([-1.0 if bone.group == "leg" else 1.0, 0.0, 0.0]))
    return axes


def build_rig(body: AnnyBody, placed: PlacedBody) -> Rig:
    """Return the rig of a body; its lengths are those of the placed body, its unit that of the world."""
    rest = placed.rest(body)
    rest_m = _rest_heads(body, rest)
    linear, offset = body.bone_transforms(body.bone_heads(rest), placed.rotations())
    label = {name: k for k, name in enumerate(body.bone_labels)}
    photo = np.zeros((len(RIG_BONES), 3, 3))
    joints = np.zeros((len(RIG_BONES), 3))
    for k, bone in enumerate(RIG_BONES):
        if bone.sources:
            first = label[bone.sources[0]]
            joints[k] = (linear[first] @ rest_m[k] + offset[first]) * placed.scale + placed.offset_world
            turning = [name for name in bone.sources if not name.startswith(_ONLY_FLESH)]
            photo[k] = mean_rotation(linear[[label[name] for name in turning]])
    heads = rest_m * placed.scale
    # One bone stands for several that bend: it leads where they lead.
    found = np.zeros_like(heads)
    for k, (bone, parent) in enumerate(zip(RIG_BONES, RIG_PARENTS)):
        found[k] = joints[k] if parent < 0 else found[parent] + photo[parent] @ (heads[k] - heads[parent])
        if not bone.sources:
            photo[k] = photo[parent]
        elif parent >= 0 and RIG_BONES[RIG_INDEX[bone.toward]].sources:
            child = RIG_INDEX[bone.toward]
            photo[k] = between(photo[k] @ (heads[child] - heads[k]), joints[child] - found[k]) @ photo[k]
    turns = with_bends(t_pose(heads), photo)
    bound = carried_heads(heads, turns, np.zeros(3))
    return Rig(bound, _axes(bound), photo @ turns.transpose(0, 2, 1), found)


def gap_cm(mesh: Mesh, placed: PlacedBody, body: AnnyBody, *, cm: float = 1.0) -> float:
    """Return how far a surface lies from the body that it should hold, the median over the surface, cm."""
    skin = placed.vertices_world(body)[np.unique(skin_triangles(body))]
    some = mesh.vertices[:: max(1, len(mesh.vertices) // _GAP_POINTS)]
    return float(np.median(cKDTree(skin).query(some)[0])) / cm


def rig_mesh(mesh: Mesh, placed: PlacedBody, body: AnnyBody, *, cm: float = 1.0) -> RiggedMesh:
    """Bind a surface to the body that stands in it, cut limbs off that it runs together with, and take it to the T-pose.

    Args:
        mesh: in the world, in the photo's pose.
        placed: the body, in the same world.
        body: anny.
        cm: world units per centimetre.
    """
    rig = build_rig(body, placed)
    linear, offset = rig.photo_transforms()
    near = near_skin(
        mesh.vertices, mesh.faces, placed.vertices_world(body), skin_triangles(body), *rig_binding_weights(body), cm=cm
    )  # fmt: skip
    mesh = replace(mesh, normals=mesh.vertex_normals())
    web, part = find_webs(mesh.vertices / cm, mesh.faces, near, limbs_apart(body, placed.rest(body)))
    if web.any():
        near = sided(near, mesh.faces, web, part)
    binding = smooth_binding(near, mesh.vertices, mesh.faces[~web], cm=cm)
    vertices = unposed(mesh.vertices, binding, linear, offset)
    if web.any():
        mesh, used = cut_and_close(mesh, web, part, vertices)
        binding, vertices = binding.taken(used), vertices[used]
    normals = reposed_normals(mesh.vertex_normals(), binding, linear, offset, back=True)
    bound = replace(mesh, vertices=vertices, normals=normals)
    vertices = mended(mesh, bound)
    lift = np.array([0.0, -float(np.percentile(vertices[:, 1], _GROUND_PERCENT)), 0.0])
    return RiggedMesh(replace(bound, vertices=vertices + lift), binding, replace(rig, heads=rig.heads + lift))
