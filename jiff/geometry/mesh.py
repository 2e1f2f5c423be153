"""A triangle mesh with the attributes that scans and reconstructions carry."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from jiff.base.errors import MeshError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


_FARTHEST = 1e12
"""Squares of coordinates beyond this are no sound numbers for areas and volumes."""


@dataclass(frozen=True)
class Mesh:
    """Triangles, counter-clockwise seen from outside.

    Attributes:
        vertices: [V, 3] float64.
        faces: [F, 3] int64 indices of vertices.
        uv: [T, 2] float64 texture coordinates (u right, v up), or None.
        faces_uv: [F, 3] int64 indices of ``uv``, or None when there is no ``uv``.
        normals: [V, 3] unit normals, or None (see ``vertex_normals``).
        colors: [V, 3] float RGB in [0, 1], or None.
        texture: [H, W, 3] uint8 RGB, row 0 is v = 1, or None.
    """

    vertices: NDArray[np.float64]
    faces: NDArray[np.int64]
    uv: NDArray[np.float64] | None = None
    faces_uv: NDArray[np.int64] | None = None
    normals: NDArray[np.float64] | None = None
    colors: NDArray[np.float64] | None = None
    texture: NDArray[np.uint8] | None = None

    @property
    def bounds(self) -> NDArray[np.float64]:
        """[2, 3] smallest and largest coordinates.

        Raises:
            MeshError: there are no vertices.
        """
        if len(self.vertices) == 0:
            raise MeshError("The mesh has no vertices; it cannot be measured.")
        return np.stack([self.vertices.min(0), self.vertices.max(0)])

    @property
    def triangles(self) -> NDArray[np.float64]:
        """[F, 3, 3] corner positions."""
        return self.vertices[self.faces]

    def face_cross(self) -> NDArray[np.float64]:
        """[F, 3] outward normals of length twice the area."""
        a, b, c = self.vertices[self.faces.T]
        return np.cross(b - a, c - a)

    @property
    def volume(self) -> float:
        """Signed volume; positive when the triangles face outward (closed meshes)."""
        a, b, c = self.vertices[self.faces.T]
        return float(np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6.0)

    def vertex_normals(self) -> NDArray[np.float64]:
        """[V, 3] unit normals: the given ones, else means of the faces around a vertex weighted by their angle there.

        Angle weights do not depend on how a surface is cut into triangles (Thuermer and Wuethrich, "Computing Vertex
        Normals from Polygonal Facets", 1998). Vertices of no face have a zero normal.
        """
        if self.normals is not None:
            return self.normals
        corners = self.triangles
        edges = np.roll(corners, -1, axis=1) - corners
        edges /= np.maximum(np.linalg.norm(edges, axis=2, keepdims=True), 1e-30)
        cosine = -np.einsum("fki,fki->fk", edges, np.roll(edges, 1, axis=1))
        angle = np.arccos(np.clip(cosine, -1.0, 1.0))
        cross = np.cross(edges[:, 0], edges[:, 1])
        cross /= np.maximum(np.linalg.norm(cross, axis=1, keepdims=True), 1e-30)
        index = self.faces.ravel()
        total = np.stack(
            [
                np.bincount(index, (angle * cross[:, k, None]).ravel(), minlength=len(self.vertices))
                for k in range(3)
            ],
            axis=1,
        )
        length = np.linalg.norm(total, axis=1, keepdims=True)
        return np.asarray(total / np.where(length > 0, length, 1.0))

    def transformed(self, linear: ArrayLike, offset: ArrayLike = (0.0, 0.0, 0.0)) -> Mesh:
        """Return the mesh with vertices ``linear @ v + offset``; a reflection turns the faces over."""
        linear = np.asarray(linear, dtype=np.float64)
        vertices = self.vertices @ linear.T + np.asarray(offset, dtype=np.float64)
        normals = self.normals
        if normals is not None:
            normals = normals @ np.linalg.inv(linear)
            normals = normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
        mirrored = np.linalg.det(linear) < 0
        return replace(
            self,
            vertices=vertices,
            normals=normals,
            faces=self.faces[:, ::-1] if mirrored else self.faces,
            faces_uv=self.faces_uv[:, ::-1] if mirrored and self.faces_uv is not None else self.faces_uv,
        )

    def split_at_seams(self) -> tuple[Mesh, NDArray[np.int64]]:
        """Return a mesh with one uv per vertex, and [V'] the vertex each new one came from."""
        if self.uv is None or self.faces_uv is None:
            return self, np.arange(len(self.vertices))
        pairs = self.faces.ravel() * np.int64(len(self.uv)) + self.faces_uv.ravel()
        unique, inverse = np.unique(pairs, return_inverse=True)
        source, uv_index = np.divmod(unique, len(self.uv))
        faces = inverse.reshape(-1, 3).astype(np.int64)
        return (
            Mesh(
                vertices=self.vertices[source],
                faces=faces,
                uv=self.uv[uv_index],
                faces_uv=faces,
                normals=self.vertex_normals()[source],
                colors=None if self.colors is None else self.colors[source],
                texture=self.texture,
            ),
            source,
        )


def check_mesh(mesh: Mesh, name: str) -> Mesh:
    """Return ``mesh`` if its arrays fit each other.

    Raises:
        MeshError: no faces, coordinates that are not numbers, or indices out of range; the message starts with ``name``.
    """
    if len(mesh.vertices) == 0 or len(mesh.faces) == 0:
        raise MeshError(f"{name}: holds no triangles; export the scan again as a surface mesh.")
    if not np.isfinite(mesh.vertices).all():
        raise MeshError(f"{name}: has vertices that are not finite numbers; repair or export the scan again.")
    if np.abs(mesh.vertices).max() > _FARTHEST:
        raise MeshError(f"{name}: has vertices more than 1e12 units away; repair or export the scan again.")
    if mesh.faces.min() < 0 or mesh.faces.max() >= len(mesh.vertices):
        raise MeshError(
            f"{name}: a face refers to a vertex that does not exist; the file is damaged, export it again."
        )
    if mesh.faces_uv is not None and mesh.uv is not None:
        if mesh.faces_uv.min() < 0 or mesh.faces_uv.max() >= len(mesh.uv):
            raise MeshError(
                f"{name}: a face refers to a texture coordinate that does not exist; export it again."
            )
        if not np.isfinite(mesh.uv).all():
            raise MeshError(f"{name}: has texture coordinates that are not finite numbers; export it again.")
    return mesh
