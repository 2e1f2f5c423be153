"""Triangles split where a mesh shall be finer, without T-junctions."""

from __future__ import annotations

import numpy as np

from jiff.geometry.mesh import Mesh


def unique_edges(faces: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return (E, 2) sorted undirected edges and (F, K) the edge from each corner to the next."""
    following = np.roll(faces, -1, axis=1)
    low = np.minimum(faces, following).astype(np.int64)
    high = np.maximum(faces, following).astype(np.int64)
    keys, inverse = np.unique(low * count + high, return_inverse=True)
    return np.stack([keys // count, keys % count], axis=1), inverse.reshape(faces.shape)


def split_pattern(faces: np.ndarray, middle: np.ndarray) -> np.ndarray:
    """Return triangles of faces whose edge k (corner k to k+1) has a midpoint ``middle[:, k]`` or -1."""
    parts = []
    count = (middle >= 0).sum(axis=1)
    parts.append(faces[count == 0])
    for marked in (1, 2, 3):
        for k in range(3):
            f, m = np.roll(faces, -k, axis=1), np.roll(middle, -k, axis=1)
            if marked == 1:
                pick = (count == 1) & (m[:, 0] >= 0)
                f, m = f[pick], m[pick]
                parts += [np.stack([f[:, 0], m[:, 0], f[:, 2]], 1), np.stack([m[:, 0], f[:, 1], f[:, 2]], 1)]
            elif marked == 2:
                pick = (count == 2) & (m[:, 2] < 0)
                f, m = f[pick], m[pick]
                parts += [
                    np.stack([m[:, 0], f[:, 1], m[:, 1]], 1),
                    np.stack([f[:, 0], m[:, 0], m[:, 1]], 1),
                    np.stack([f[:, 0], m[:, 1], f[:, 2]], 1),
                ]
            elif k == 0:
                f, m = f[count == 3], m[count == 3]
                parts += [
                    np.stack([f[:, 0], m[:, 0], m[:, 2]], 1),
                    np.stack([m[:, 0], f[:, 1], m[:, 1]], 1),
                    np.stack([m[:, 2], m[:, 1], f[:, 2]], 1),
                    m,
                ]
    return np.concatenate(parts)


def refined_inside(mesh: Mesh, box: np.ndarray, longest: float) -> Mesh:
    """Return the mesh with every edge halved whose middle lies in a box and which is longer than ``longest``, once.

    A closed mesh stays closed. Positions only; colours and texture coordinates have to be made again.

    Args:
        mesh: any unit.
        box: [2, 3] low and high corner.
        longest: length that edges may have.
    """
    count = len(mesh.vertices)
    edges, face_edges = unique_edges(mesh.faces, count)
    ends = mesh.vertices[edges]
    middle = ends.mean(axis=1)
    marked = ((middle >= box[0]) & (middle <= box[1])).all(axis=1)
    marked &= np.linalg.norm(ends[:, 0] - ends[:, 1], axis=1) > longest
    if not marked.any():
        return mesh
    number = np.full(len(edges), -1, dtype=np.int64)
    number[marked] = count + np.arange(int(marked.sum()))
    faces = split_pattern(mesh.faces, number[face_edges])
    vertices = np.concatenate([mesh.vertices, middle[marked]])
    return Mesh(vertices, faces)
