"""How a carried person's surfaces fared: stretched, cut into, or swallowed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from jiff.geometry.inside import inside_mesh
from jiff.geometry.normals import area_weighted_normals
from jiff.geometry.raycast import RayScene
from jiff.synthetic.person import Dressed, PersonMesh
from jiff.synthetic.template import Template

LONG = 2.5
"""An edge so many times as long as dressed is stretched."""
_SAMPLE = 400
_OUT_M = 0.003


@dataclass(frozen=True)
class Tears:
    """Measures of a carried person; 0 is perfect.

    Attributes:
        stretched: share of the edges of skin and clothes that are over ``LONG`` times as long as dressed.
        longest_m: what the worst edge in a thousand of skin and clothes grew by.
        shell_stretched: the same share of skirt, coat tails or hanging hair, whichever is worse.
        shell_longest_m: what the worst edge in a hundred of them grew by.
        shell_cut: share of the vertices of skirt, tails and hair that lie inside skin or clothes, roots left out.
        hands_hidden: share of the hands' skin inside clothes, hair, bag or body, the worse hand.
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


def _inside(scene: RayScene, vertices: np.ndarray, normals: np.ndarray, chosen: np.ndarray) -> float:
    """Return the share of vertices that lie inside, tested a little outside their own surface."""
    chosen = chosen[:: max(1, len(chosen) // _SAMPLE)]
    if len(chosen) == 0:
        return 0.0
    unit = normals[chosen] / np.maximum(np.linalg.norm(normals[chosen], axis=1, keepdims=True), 1e-12)
    return float(inside_mesh(scene, vertices[chosen] + _OUT_M * unit).mean())


def measure_tears(dressed: Dressed, carried: PersonMesh, template: Template) -> Tears:
    """Return how a person's surfaces fared from being dressed to being carried."""
    faces, before, after = carried.faces, dressed.mesh.vertices, carried.vertices
    layered = dressed.layered
    own = layered.faces[layered.face_kind == 0]
    ratio, growth = _growth(own, before, after)
    stretched, longest = float((ratio > LONG).mean()), float(np.quantile(growth, 0.999))
    shell_stretched = shell_longest = shell_cut = 0.0
    normals = area_weighted_normals(after, faces)
    body_scene = None
    for name, first, last in dressed.parts:
        if name.partition(".")[0] not in ("skirt", "coat", "hair"):
            continue
        part = faces[(faces >= first).all(axis=1) & (faces < last).all(axis=1)]
        ratio, growth = _growth(part, before, after)
        shell_stretched = max(shell_stretched, float((ratio > LONG).mean()))
        shell_longest = max(shell_longest, float(np.quantile(growth, 0.99)))
        body_scene = body_scene or RayScene(after[: len(layered.vertices)], layered.faces)
        # The first rings lie under the waistband or the cap of hair, as they should.
        hanging = np.arange(first + int(0.3 * (last - first)), last)
        # So does what a hat presses down.
        hanging = hanging[~dressed.under_hat(before[hanging])]
        shell_cut = max(shell_cut, _inside(body_scene, after, normals, hanging))
    scene = RayScene(after, faces)
    seen = np.unique(own)
    part, limb = template.part[layered.source[seen]], template.limb[layered.source[seen]]
    hands, arms = 0.0, 0.0
    for side in (2, 3):
        hands = max(hands, _inside(scene, after, normals, seen[(part == side) & (limb > 2.0)]))
        forearm = (part == side) & (limb > 1.3) & (limb < 2.0)
        arms = max(arms, _inside(scene, after, normals, seen[forearm]))
    return Tears(stretched, longest, shell_stretched, shell_longest, shell_cut, hands, arms)
