"""Connected pieces of a mesh, choice of the body among them, and filling of holes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from jiff.base.errors import ReconstructionError
from jiff.geometry.mesh import Mesh

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jiff.geometry.camera import Camera

MIN_OVERLAP = 0.5
"""Share of a piece's vertices that must be seen in the silhouette for it to be the body."""

SECOND_BODY = 0.2
"""A further piece of this share of the body's volume is worth a warning."""


@dataclass(frozen=True)
class Component:
    """One connected piece.

    Attributes:
        faces: [F] indices of its faces.
        volume: signed, negative for the wall of a void.
        area: of its surface.
        overlap: share of its vertices seen in the silhouette, 1 without one.
    """

    faces: NDArray[np.int64]
    volume: float
    area: float
    overlap: float = 1.0


def face_labels(mesh: Mesh) -> NDArray[np.int64]:
    """[F] number of the connected piece (by shared vertices) that each face belongs to."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    count = len(mesh.vertices)
    start, end = mesh.faces[:, [0, 1]].ravel(), mesh.faces[:, [1, 2]].ravel()
    graph = coo_matrix((np.ones(len(start), dtype=np.int8), (start, end)), shape=(count, count))
    labels = connected_components(graph, directed=False)[1]
    # Unused vertices have labels of their own; renumber the used ones.
    return np.unique(labels[mesh.faces[:, 0]], return_inverse=True)[1].astype(np.int64)


def components(
    mesh: Mesh, silhouette: NDArray[np.bool_] | None = None, camera: Camera | None = None
) -> list[Component]:
    """Return the connected pieces, largest volume first (then largest area).

    Args:
        mesh: triangles facing outward.
        silhouette: [H, W] bool, the person as seen by ``camera``.
        camera: needed with ``silhouette``.
    """
    if len(mesh.faces) == 0:
        return []
    labels = face_labels(mesh)
    a, b, c = mesh.vertices[mesh.faces.T]
    cross = np.cross(b - a, c - a)
    volumes = np.bincount(labels, np.einsum("ij,ij->i", a, np.cross(b, c)) / 6.0)
    areas = np.bincount(labels, np.linalg.norm(cross, axis=1) / 2.0)
    overlaps = np.ones(len(areas))
    if silhouette is not None and camera is not None:
        height, width = silhouette.shape
        pixel = np.floor(camera.with_size(width).world_to_pixel((a + b + c) / 3)).astype(np.int64)
        within = (pixel >= 0).all(1) & (pixel[:, 0] < width) & (pixel[:, 1] < height)
        pixel[~within] = 0
        seen = within & silhouette[pixel[:, 1], pixel[:, 0]]
        overlaps = np.bincount(labels, seen) / np.bincount(labels)
    order = np.argsort(labels, kind="stable")
    groups = np.split(order, np.cumsum(np.bincount(labels))[:-1])
    found = [
        Component(faces, float(volume), float(area), float(overlap))
        for faces, volume, area, overlap in zip(groups, volumes, areas, overlaps)
    ]
    return sorted(found, key=lambda piece: (-piece.volume, -piece.area))


def submesh(mesh: Mesh, faces: NDArray[np.int64]) -> Mesh:
    """Return the mesh of some faces, with only the vertices (and texture coordinates) they use."""
    used, index = np.unique(mesh.faces[faces], return_inverse=True)
    part = replace(
        mesh,
        vertices=mesh.vertices[used],
        faces=index.reshape(-1, 3).astype(np.int64),
        normals=None if mesh.normals is None else mesh.normals[used],
        colors=None if mesh.colors is None else mesh.colors[used],
    )
    if mesh.uv is None or mesh.faces_uv is None:
        return part
    used_uv, index_uv = np.unique(mesh.faces_uv[faces], return_inverse=True)
    return replace(part, uv=mesh.uv[used_uv], faces_uv=index_uv.reshape(-1, 3).astype(np.int64))


@dataclass(frozen=True)
class Body:
    """The chosen piece.

    Attributes:
        mesh: the body alone.
        pieces: how many pieces there were.
        other_bodies: further pieces that are as large as a body part and seen in the silhouette.
    """

    mesh: Mesh
    pieces: int
    other_bodies: int


def keep_body(mesh: Mesh, silhouette: NDArray[np.bool_] | None = None, camera: Camera | None = None) -> Body:
    """Return the largest piece that the silhouette shows; floating pieces and walls of voids are dropped.

    Args:
        mesh: triangles facing outward, e.g. from ``extract_surface``.
        silhouette: [H, W] bool, the person as seen by ``camera``; None keeps the largest piece.
        camera: needed with ``silhouette``.

    Raises:
        ReconstructionError: no piece has a volume and lies in the silhouette.
    """
    pieces = components(mesh, silhouette, camera)
    bodies = [piece for piece in pieces if piece.volume > 0 and piece.overlap >= MIN_OVERLAP]
    if not bodies:
        best = max((piece.overlap for piece in pieces), default=0.0)
        raise ReconstructionError(
            f"None of the {len(pieces)} pieces of the surface lies in the silhouette (at best {best:.0%});"
            " check that the mask belongs to the image, or use --raw to see all pieces."
        )
    body = bodies[0]
    others = sum(piece.volume > SECOND_BODY * body.volume for piece in bodies[1:])
    return Body(submesh(mesh, body.faces), len(pieces), others)


def boundary_loops(mesh: Mesh) -> list[NDArray[np.int64]]:
    """Return the closed loops of edges that only one face uses, each in the direction of a face that would fill it.

    Vertices at which loops touch make a loop ambiguous; such loops are left out.
    """
    directed = mesh.faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
    count = len(mesh.vertices)
    keys, reverse = directed @ [count, 1], directed @ [1, count]
    open_edges = directed[~np.isin(keys, reverse)]
    starts, uses = np.unique(open_edges[:, 1], return_counts=True)
    following = {int(end): int(start) for start, end in open_edges}
    for vertex in starts[uses > 1]:
        following.pop(int(vertex))
    loops = []
    while following:
        first, vertex = following.popitem()
        loop = [first]
        while vertex != first and vertex in following:
            loop.append(vertex)
            vertex = following.pop(vertex)
        if vertex == first and len(loop) >= 3:
            loops.append(np.array(loop, dtype=np.int64))
    return loops


def fill_holes(mesh: Mesh, max_edges: int = 200) -> Mesh:
    """Return the mesh with holes of at most ``max_edges`` edges closed by a fan around their centre.

    Colours of the new vertices are the mean of the rim's. Texture coordinates are not made up: a textured mesh is
    returned as it is.
    """
    if mesh.uv is not None:
        return mesh
    loops = [loop for loop in boundary_loops(mesh) if len(loop) <= max_edges]
    if not loops:
        return mesh
    centers = np.stack([mesh.vertices[loop].mean(0) for loop in loops])
    fans = []
    for number, loop in enumerate(loops):
        apex = np.full(len(loop), len(mesh.vertices) + number)
        fans.append(np.stack([loop, np.roll(loop, -1), apex], axis=1))
    colors = mesh.colors
    if colors is not None:
        colors = np.concatenate([colors, np.stack([colors[loop].mean(0) for loop in loops])])
    return replace(
        mesh,
        vertices=np.concatenate([mesh.vertices, centers]),
        faces=np.concatenate([mesh.faces, *fans]),
        colors=colors,
        normals=None,
    )
