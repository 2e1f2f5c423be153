"""How a carried person's surfaces fared: stretched, cut into, or swallowed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from jiff.geometry.inside import inside_mesh
from jiff.geometry.normals import area_weighted_normals
from jiff.geometry.raycast import RayScene
from jiff.synthetic.person import Dressed, PersonMesh
from jiff.synthetic.template import Template


@dataclass(frozen=True)
class Tears:
    """Measures of a carried person; 0 is perfect.

    Attributes:
        stretched: share of the edges of skin and clothes that are over 2.5 times as long as dressed.
        longest_m: what the worst edge in a thousand of skin and clothes grew by.
        shell_stretched: the same share of skirt or hanging hair, whichever is worse.
        shell_longest_m: what the worst edge in a hundred of them grew by.
        shell_cut: share of the vertices of skirt and hair that lie inside skin or clothes, above the share as dressed.
        hands_hidden: share of the hands' skin inside clothes, hair or body, the worse hand.
        arms_hidden: the same of forearms, skin or sleeve.
    """

    stretched: float
    longest_m: float
    shell_stretched: float
    shell_longest_m: float
    shell_cut: float
    hands_hidden: float
    arms_hidden: float


def _growth(faces: np.ndarray, before: np.ndarray, after: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    ends = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    a, b = (np.linalg.norm(v[ends[:, 0]] - v[ends[:, 1]], axis=1) for v in (before, after))
    return b / np.maximum(a, 1e-3), b - a


def _inside(scene: RayScene, mesh: np.ndarray, faces: np.ndarray, chosen: np.ndarray, out_m: float) -> float:
    if len(chosen) == 0:
        return 0.0
    normals = area_weighted_normals(mesh, faces)[chosen]
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    return float(inside_mesh(scene, mesh[chosen] + out_m * normals).mean())


def measure_tears(dressed: Dressed, carried: PersonMesh, template: Template) -> Tears:
    """Return how a person's surfaces fared from being dressed to being carried."""
    faces, before, after = carried.faces, dressed.mesh.vertices, carried.vertices
    layered = dressed.layered
    count = len(layered.vertices)
    own = layered.faces[layered.face_kind == 0]
    ratio, growth = _growth(own, before, after)
    stretched, longest = float((ratio > 2.5).mean()), float(np.quantile(growth, 0.999))
    shell_stretched = shell_longest = shell_cut = 0.0
    body_scene = RayScene(after[:count], layered.faces)
    for name, first, last in dressed.parts:
        if name not in ("skirt", "hair"):
            continue
        part = faces[(faces >= first).all(axis=1) & (faces < last).all(axis=1)]
        ratio, growth = _growth(part, before, after)
        shell_stretched = max(shell_stretched, float((ratio > 2.5).mean()))
        shell_longest = max(shell_longest, float(np.quantile(growth, 0.99)))
        old = RayScene(before[:count], layered.faces)
        now = inside_mesh(body_scene, after[first:last]).mean() - inside_mesh(old, before[first:last]).mean()
        shell_cut = max(shell_cut, float(now))
    scene = RayScene(after, faces)
    hands, arms = 0.0, 0.0
    seen = np.unique(own)
    part, limb = template.part[layered.source[seen]], template.limb[layered.source[seen]]
    for side in (2, 3):
        hands = max(hands, _inside(scene, after, faces, seen[(part == side) & (limb > 2.0)][::2], 0.003))
        arms = max(
            arms, _inside(scene, after, faces, seen[(part == side) & (limb > 1.3) & (limb < 2.0)][::2], 0.003)
        )
    return Tears(stretched, longest, shell_stretched, shell_longest, shell_cut, hands, arms)
