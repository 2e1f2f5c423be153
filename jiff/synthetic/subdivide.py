"""Subdivision as sparse matrices, so that one topology serves every shape and pose."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from jiff.geometry.refine import split_pattern, unique_edges


@dataclass(frozen=True)
class Refined:
    """A refined mesh: ``matrix @ base_vertices`` are its vertices.

    Attributes:
        matrix: (V, base V) rows sum to 1.
        faces: (F, 3) or (F, 4) int.
        uv: (T, 2).
        uv_faces: like ``faces``, indices into ``uv``.
    """

    matrix: sparse.csr_matrix
    faces: np.ndarray
    uv: np.ndarray
    uv_faces: np.ndarray


def _csr(
    rows: np.ndarray, columns: np.ndarray, values: np.ndarray, shape: tuple[int, int]
) -> sparse.csr_matrix:
    matrix = sparse.csr_matrix((values, (rows, columns)), shape=shape)
    matrix.sum_duplicates()
    return matrix


def _linear_quads(values: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    edges, face_edges = unique_edges(faces, len(values))
    result = np.concatenate([values, values[edges].mean(axis=1), values[faces].mean(axis=1)])
    return result, _quad_children(faces, face_edges, len(values), len(edges))


def _quad_children(faces: np.ndarray, face_edges: np.ndarray, vertices: int, edges: int) -> np.ndarray:
    center = vertices + edges + np.arange(len(faces))
    children = [
        np.stack([faces[:, k], vertices + face_edges[:, k], center, vertices + face_edges[:, k - 1]], axis=1)
        for k in range(4)
    ]
    return np.stack(children, axis=1).reshape(-1, 4)


def catmull_clark(count: int, faces: np.ndarray, uv: np.ndarray, uv_faces: np.ndarray) -> Refined:
    """Return one Catmull-Clark step of a quad mesh with boundaries (Catmull and Clark 1978; boundary curves cubic).

    Args:
        count: number of vertices; those no face uses are kept where they are.
        faces: (F, 4).
        uv: (T, 2), subdivided linearly.
        uv_faces: (F, 4).
    """
    edges, face_edges = unique_edges(faces, count)
    edge_count, face_count = len(edges), len(faces)
    face_points = _csr(
        np.repeat(np.arange(face_count), 4), faces.ravel(), np.full(faces.size, 0.25), (face_count, count)
    )
    around = _csr(
        face_edges.ravel(), np.repeat(np.arange(face_count), 4), np.ones(faces.size), (edge_count, face_count)
    )
    shared = np.asarray(around.sum(axis=1)).ravel()
    inner = shared == 2
    midpoints = _csr(
        np.repeat(np.arange(edge_count), 2), edges.ravel(), np.full(2 * edge_count, 0.5), (edge_count, count)
    )
    edge_points = sparse.diags(np.where(inner, 0.5, 1.0)) @ midpoints
    edge_points = edge_points + sparse.diags(np.where(inner, 0.25, 0.0)) @ around @ face_points
    valence = np.bincount(edges.ravel(), minlength=count).astype(float)
    boundary = np.zeros(count, dtype=bool)
    boundary[edges[~inner].ravel()] = True
    unused = valence == 0
    n = np.where(unused, 1.0, valence)
    ones = np.ones(faces.size)
    of_faces = _csr(faces.ravel(), np.repeat(np.arange(face_count), 4), ones, (count, face_count))
    of_edges = _csr(
        edges.ravel(), np.repeat(np.arange(edge_count), 2), np.ones(2 * edge_count), (count, edge_count)
    )
    smooth = np.where(boundary | unused, 0.0, 1.0)
    vertex_points = (
        sparse.diags(smooth / n**2) @ of_faces @ face_points
        + sparse.diags(2 * smooth / n**2) @ of_edges @ midpoints
        + sparse.diags(smooth * (n - 3) / n)
    )
    rim = of_edges @ sparse.diags(np.where(inner, 0.0, 1.0)) @ midpoints
    vertex_points = vertex_points + sparse.diags(np.where(boundary, 0.25, 0.0)) @ rim
    vertex_points = vertex_points + sparse.diags(np.where(boundary, 0.5, 0.0) + unused)
    matrix = sparse.vstack([vertex_points, edge_points, face_points]).tocsr()
    new_uv, new_uv_faces = _linear_quads(uv, uv_faces)
    return Refined(matrix, _quad_children(faces, face_edges, count, edge_count), new_uv, new_uv_faces)


def triangulate(
    faces: np.ndarray, uv_faces: np.ndarray, positions: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Split quads along the shorter diagonal of ``positions``."""
    p = positions[faces]
    first = np.linalg.norm(p[:, 0] - p[:, 2], axis=1) <= np.linalg.norm(p[:, 1] - p[:, 3], axis=1)
    order = np.where(first[:, None], [[0, 1, 2, 0, 2, 3]], [[1, 2, 3, 1, 3, 0]])
    take = np.arange(len(faces))[:, None]
    return faces[take, order].reshape(-1, 3), uv_faces[take, order].reshape(-1, 3)


def split_longest_edges(mesh: Refined, positions: np.ndarray, target: int) -> Refined:
    """Halve the longest edges of a triangle mesh until it has about ``target`` triangles (no T-junctions).

    Args:
        mesh: triangles.
        positions: (V, 3) where lengths are measured.
        target: number of triangles wanted; nothing is removed when there are more already.
    """
    for _ in range(4):
        missing = target - len(mesh.faces)
        if missing < 0.03 * target:
            break
        edges, face_edges = unique_edges(mesh.faces, len(positions))
        length = np.linalg.norm(positions[edges[:, 0]] - positions[edges[:, 1]], axis=1)
        # Splitting an edge adds one triangle on each side of it.
        budget = min(missing // 2, max(1, int(0.6 * len(edges))))
        marked = np.zeros(len(edges), dtype=bool)
        marked[np.argsort(-length, kind="stable")[:budget]] = True
        number = np.full(len(edges), -1, dtype=np.int64)
        number[marked] = len(positions) + np.arange(int(marked.sum()))
        halves = edges[marked]
        rows = _csr(
            np.repeat(np.arange(len(halves)), 2),
            halves.ravel(),
            np.full(halves.size, 0.5),
            (len(halves), len(positions)),
        )
        middle = number[face_edges]
        uv_edges, uv_face_edges = unique_edges(mesh.uv_faces, len(mesh.uv))
        uv_marked = np.zeros(len(uv_edges), dtype=bool)
        uv_marked[uv_face_edges[middle >= 0]] = True
        uv_number = np.full(len(uv_edges), -1, dtype=np.int64)
        uv_number[uv_marked] = len(mesh.uv) + np.arange(int(uv_marked.sum()))
        mesh = Refined(
            sparse.vstack([mesh.matrix, rows @ mesh.matrix]).tocsr(),
            split_pattern(mesh.faces, middle),
            np.concatenate([mesh.uv, mesh.uv[uv_edges[uv_marked]].mean(axis=1)]),
            split_pattern(mesh.uv_faces, np.where(middle >= 0, uv_number[uv_face_edges], -1)),
        )
        positions = np.concatenate([positions, positions[halves].mean(axis=1)])
    return mesh
