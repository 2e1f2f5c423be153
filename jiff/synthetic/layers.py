"""Garments and hair as raised regions of one closed surface: hem lines cut clean, hems with thickness, no hidden skin."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

HEM_RINGS = 3


def snap_to_zero(field: np.ndarray, edges: np.ndarray) -> tuple[sparse.csr_matrix, np.ndarray]:
    """Slide vertices along edges onto the zero line of ``field``, so that the line follows mesh edges.

    Args:
        field: (V,) signed values, zero on the wanted line.
        edges: (E, 2).

    Returns:
        A (V, V) matrix that moves the vertices, and the field after the move (exactly 0 on the line).
    """
    count = len(field)
    field = np.where(np.abs(field) < 1e-9, 0.0, field)
    a, b = edges.T
    crossing = field[a] * field[b] < 0
    a, b = a[crossing], b[crossing]
    t = field[a] / (field[a] - field[b])
    source = np.concatenate([a, b])
    target = np.concatenate([b, a])
    amount = np.concatenate([t, 1 - t])
    order = np.lexsort((target, amount, source))
    source, target, amount = source[order], target[order], amount[order]
    vertex, first = np.unique(source, return_index=True)
    nearest, amount = target[first], amount[first]
    moved = amount <= 0.5
    vertex, nearest, amount = vertex[moved], nearest[moved], amount[moved]
    diagonal = np.ones(count)
    diagonal[vertex] = 1 - amount
    matrix = sparse.csr_matrix(
        (
            np.concatenate([diagonal, amount]),
            (np.concatenate([np.arange(count), vertex]), np.concatenate([np.arange(count), nearest])),
        ),
        shape=(count, count),
    )
    snapped = field.copy()
    snapped[vertex] = 0.0
    return matrix, snapped


def faces_inside(field: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Return (F,) bool: faces on the positive side of a snapped field."""
    return field[faces].sum(axis=1) > 0


@dataclass
class Layered:
    """A surface of several layers.

    Attributes:
        vertices: (N, 3).
        faces: (M, 3).
        source: (N,) template vertex of each vertex.
        sheet: (N,) layer of each vertex; numbers from the count of layers on are the hidden sides of hems.
        face_source: (M,) template face of each face.
        face_label: (M,) layer that a face shows.
        face_kind: (M,) 0 outside, 1 skin or cloth below a hem, 2 inner side and edge of a hem.
    """

    vertices: np.ndarray
    faces: np.ndarray
    source: np.ndarray
    sheet: np.ndarray
    face_source: np.ndarray
    face_label: np.ndarray
    face_kind: np.ndarray


def _ring_distance(start: np.ndarray, edges: np.ndarray, count: int, limit: int) -> np.ndarray:
    distance = np.full(count, limit + 1, dtype=np.int32)
    distance[start] = 0
    for ring in range(limit):
        near = distance[edges] == ring
        for side in (0, 1):
            other = edges[near[:, side], 1 - side]
            distance[other] = np.minimum(distance[other], ring + 1)
    return distance


class _Nodes:
    """Numbers (template vertex, sheet) pairs and collects their positions."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.keys: list[np.ndarray] = []
        self.positions: list[np.ndarray] = []

    def add(self, sheet: int, vertices: np.ndarray, positions: np.ndarray) -> None:
        self.keys.append(sheet * np.int64(self.count) + vertices)
        self.positions.append(positions)

    def finish(self, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        keys, first = np.unique(np.concatenate(self.keys), return_index=True)
        position = np.concatenate(self.positions)[first]
        used, index = np.unique(faces, return_inverse=True)
        where = np.searchsorted(keys, used)
        return position[where], used, index.reshape(faces.shape)


def _patches(faces: np.ndarray, rim: np.ndarray) -> np.ndarray:
    """Return (N, 3) triangles that close the holes left where the hems of two layers cross.

    Args:
        faces: (M, 3) of the surface.
        rim: (R, 2) its open edges, as its faces run along them, that are no such holes.
    """
    count = int(faces.max()) + 1
    ends = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    key, reverse = ends @ [count, 1], ends @ [1, count]
    open_ends = ends[~np.isin(key, reverse) & ~np.isin(key, rim @ [count, 1])]
    following: dict[int, list[int]] = {}
    for a, b in open_ends:
        following.setdefault(int(b), []).append(int(a))
    found = []
    while following:
        loop = [next(iter(following))]
        while loop[-1] in following:
            after = following[loop[-1]].pop()
            if not following[loop[-1]]:
                del following[loop[-1]]
            if after == loop[0]:
                break
            loop.append(after)
        found += [[loop[0], loop[k], loop[k + 1]] for k in range(1, len(loop) - 1)]
    return np.array(found, dtype=np.int64).reshape(-1, 3)


def build_layers(
    faces: np.ndarray,
    edges: np.ndarray,
    label: np.ndarray,
    surfaces: list[np.ndarray],
    thickness: list[float],
    *,
    crossing: int = 0,
) -> Layered:
    """Weld layers into one closed surface.

    Where layer g ends above a lower layer u, g's edge gets a thickness, its cloth turns in, runs back ``HEM_RINGS`` rings
    under itself and meets u, whose surface reaches as far in: an open sleeve, with nothing hidden beyond it.

    Args:
        faces: (F, 3) template triangles.
        edges: (E, 2) their edges.
        label: (F,) index into ``surfaces`` of the layer each face shows; higher lies above lower.
        surfaces: per layer (V, 3) positions of all template vertices (only those near the layer's faces matter).
        thickness: per layer, metres of cloth at the hem.
        crossing: the layer whose hems may cross those of lower ones, as an open jacket's do; 0 where there is none.
    """
    count = len(surfaces[0])
    layers = len(surfaces)
    nodes = _Nodes(count)
    corner_sheet = np.repeat(label[:, None], 3, axis=1).astype(np.int64)
    all_faces = [corner_sheet * count + faces]
    all_source, all_label, all_kind = [np.arange(len(faces))], [label], [np.zeros(len(faces), np.int8)]
    for g in range(layers):
        vertices = np.unique(faces[label == g])
        nodes.add(g, vertices, surfaces[g][vertices])
    following = np.roll(faces, -1, axis=1)
    key = faces.astype(np.int64) * count + following
    reverse = following.astype(np.int64) * count + faces
    order = np.argsort(key.ravel())
    sorted_keys = key.ravel()[order]
    position = np.minimum(np.searchsorted(sorted_keys, reverse.ravel()), len(order) - 1)
    has_mate = sorted_keys[position] == reverse.ravel()
    mate_label = np.where(has_mate, np.repeat(label, 3)[order[position]], -1).reshape(faces.shape)
    for g in range(1, layers):
        own = label == g
        hem = own[:, None] & (mate_label >= 0) & (mate_label < g)
        if not hem.any():
            continue
        a, b, below = faces[hem], following[hem], mate_label[hem]
        inside = np.unique(faces[own])
        start = np.unique(np.concatenate([a, b]))
        own_edges = edges[np.isin(edges, inside).all(axis=1)]
        ring = _ring_distance(start, own_edges, count, HEM_RINGS)
        band = np.flatnonzero(own & (ring[faces].min(axis=1) < HEM_RINGS))
        band_faces = faces[band]
        band_vertices = np.unique(band_faces)
        # Which lower layer lies under a band vertex: that of the nearest hem, spread inwards ring by ring.
        under_layer = np.full(count, -1)
        under_layer[a], under_layer[b] = below, below
        for step in range(HEM_RINGS):
            for side in (0, 1):
                e = own_edges[(ring[own_edges[:, side]] == step) & (ring[own_edges[:, 1 - side]] == step + 1)]
                unset = under_layer[e[:, 1 - side]] < 0
                under_layer[e[unset, 1 - side]] = under_layer[e[unset, side]]
        band_key = np.isin(key[band], reverse[band])
        # Deep edge: band edges whose mate is no band face and which are no hem.
        deep = ~band_key & ~hem[band]
        welded = np.zeros(count, dtype=bool)
        welded[band_faces[deep]] = True
        welded[following[band][deep]] = True
        welded[start] = False
        under_sheet, inner_sheet = layers + 2 * g, layers + 2 * g + 1
        depth = np.clip(ring / HEM_RINGS, 0, 1)
        outer = surfaces[g]
        under = np.zeros_like(outer)
        for u in np.unique(under_layer[band_vertices]):
            rows = band_vertices[under_layer[band_vertices] == u]
            under[rows] = surfaces[max(int(u), 0)][rows]
        gap = outer[band_vertices] - under[band_vertices]
        length = np.maximum(np.linalg.norm(gap, axis=1, keepdims=True), 1e-9)
        share = np.clip(1 - thickness[g] / length, 0.35, 0.9)
        share = share * (1 - depth[band_vertices, None] ** 2)
        inner = under[band_vertices] + gap * share
        free = ~welded[band_vertices]
        nodes.add(inner_sheet, band_vertices[free], inner[free])
        below_hem = ~np.isin(band_vertices, start)
        nodes.add(under_sheet, band_vertices[below_hem], under[band_vertices[below_hem]])

        def under_node(
            v: np.ndarray, u: np.ndarray, sheet: int = under_sheet, hems: np.ndarray = start
        ) -> np.ndarray:
            return np.where(np.isin(v, hems), u, sheet) * np.int64(count) + v

        def inner_node(
            v: np.ndarray, w: np.ndarray = welded, s: tuple[int, int] = (under_sheet, inner_sheet)
        ) -> np.ndarray:
            return np.where(w[v], s[0], s[1]) * np.int64(count) + v

        all_faces.append(under_node(band_faces, np.maximum(under_layer, 0)[band_faces]))
        all_faces.append(inner_node(band_faces)[:, ::-1])
        outer_a, outer_b = g * np.int64(count) + a, g * np.int64(count) + b
        all_faces.append(np.stack([outer_b, outer_a, inner_node(a)], axis=1))
        all_faces.append(np.stack([outer_b, inner_node(a), inner_node(b)], axis=1))
        hem_face = np.nonzero(hem)[0]
        all_source += [band, band, hem_face, hem_face]
        all_label += [
            np.maximum(under_layer, 0)[band_faces].min(axis=1),
            label[band],
            label[hem_face],
            label[hem_face],
        ]
        all_kind += [np.full(len(band), 1, np.int8)]
        all_kind += [np.full(n, 2, np.int8) for n in (len(band), len(hem_face), len(hem_face))]
    stacked = np.concatenate(all_faces)
    if crossing > 0:
        # Where the template itself is open: eyes, mouth, feet.
        lone = ~has_mate.reshape(faces.shape)
        level = np.repeat(label[:, None], 3, axis=1)[lone].astype(np.int64) * count
        used, index = np.unique(stacked, return_inverse=True)
        rim = np.searchsorted(used, np.stack([level + faces[lone], level + following[lone]], axis=1))
        patches = used[_patches(index.reshape(stacked.shape), rim)]
        stacked = np.concatenate([stacked, patches])
        all_source.append(np.zeros(len(patches), dtype=np.int64))
        all_label.append(np.full(len(patches), crossing))
        all_kind.append(np.full(len(patches), 2, np.int8))
    vertices, used, index = nodes.finish(stacked)
    return Layered(
        vertices,
        index,
        used % count,
        used // count,
        np.concatenate(all_source),
        np.concatenate(all_label),
        np.concatenate(all_kind),
    )
