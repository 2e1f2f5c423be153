"""A rigged surface as the skinned mesh that a GLB holds: metres, names, movements, VRM's map."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from jiff.body.gait import walk_turns
from jiff.body.rig_bones import MIXAMO_PREFIX, RIG_BONES, RIG_PARENTS
from jiff.geometry.io.skinned_glb import Clip, Skeleton, SkinnedMesh, bone_node

if TYPE_CHECKING:
    from jiff.body.rig import RiggedMesh

BoneNames = Literal["mixamo", "vrm"]

PHOTO_CLIP, WALK_CLIP = "photo", "walk"
_HELD_S = 1.0
"""The photo's pose is held: players do not agree about movements of no length."""


def bone_names(style: BoneNames) -> tuple[str, ...]:
    """Return the names of the bones; ends have no name in VRM and keep Mixamo's."""
    if style == "vrm":
        return tuple(bone.vrm or bone.name for bone in RIG_BONES)
    return tuple(MIXAMO_PREFIX + bone.name for bone in RIG_BONES)


def vrm_extension(name: str) -> dict[str, Any]:
    """Return the extension ``VRMC_vrm`` of VRM 1.0 with its map of the humanoid.

    Its ``meta`` must name authors and VRM's licence; of a photo nobody here knows them, so the terms are the narrowest that
    VRM knows, and who publishes the file sets them.
    """
    bones = {bone.vrm: {"node": bone_node(k)} for k, bone in enumerate(RIG_BONES) if bone.vrm}
    meta = {
        "name": name,
        "authors": ["unknown"],
        "licenseUrl": "https://vrm.dev/licenses/1.0/",
        "avatarPermission": "onlyAuthor",
        "commercialUsage": "personalNonProfit",
        "creditNotation": "required",
        "allowRedistribution": False,
        "modification": "prohibited",
    }
    return {"VRMC_vrm": {"specVersion": "1.0", "meta": meta, "humanoid": {"humanBones": bones}}}


def skinned_mesh(
    rigged: RiggedMesh, metres: float, *, name: str, names: BoneNames = "mixamo", walk: bool = False
) -> SkinnedMesh:
    """Return what a GLB of a rigged person holds.

    Args:
        rigged: surface and bones.
        metres: per unit of the rig.
        name: of the person.
        names: of the bones; with "vrm" the file gets VRM's map as well.
        walk: add a walk.
    """
    rig = rigged.rig
    skeleton = Skeleton(bone_names(names), RIG_PARENTS, rig.heads * metres, rig.axes, name=f"{name}_rig")
    held = np.stack([rig.photo_turns @ rig.axes] * 2)
    place = np.stack([rig.photo_heads[0]] * 2) * metres
    clips = [Clip(PHOTO_CLIP, np.array([0.0, _HELD_S]), held, place)]
    if walk:
        times, turns, hips = walk_turns(rig)
        clips.append(Clip(WALK_CLIP, times, turns @ rig.axes, hips * metres))
    return SkinnedMesh(
        replace(rigged.mesh, vertices=rigged.mesh.vertices * metres),
        rigged.binding.bones,
        rigged.binding.weights,
        skeleton,
        tuple(clips),
        vrm_extension(name) if names == "vrm" else {},
    )
