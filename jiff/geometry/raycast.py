"""Ray casting against a triangle mesh through Embree, without going through trimesh's slower wrapper."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class Hits:
    """First hits of N rays.

    Attributes:
        face: [N] index of the triangle, -1 where the ray misses.
        distance: [N] distance along the (given, not normalised) direction.
        barycentric: [N, 2] weights u, v of the triangle's second and third corner.
        front: [N] whether the outer side was hit.
    """

    face: NDArray[np.int32]
    distance: NDArray[np.float32]
    barycentric: NDArray[np.float32]
    front: NDArray[np.bool_]

    @property
    def hit(self) -> NDArray[np.bool_]:
        """[N] whether anything was hit."""
        return self.face >= 0


class RayScene:
    """A mesh prepared for ray queries. Thread-safe for queries; Embree releases the GIL."""

    def __init__(self, vertices: ArrayLike, faces: ArrayLike) -> None:
        """Build the tree.

        Args:
            vertices: [V, 3], any unit.
            faces: [F, 3] indices.
        """
        from embreex.mesh_construction import TriangleMesh
        from embreex.rtcore_scene import EmbreeScene

        self._vertices = np.ascontiguousarray(vertices, dtype=np.float32)
        self._faces = np.ascontiguousarray(faces, dtype=np.int32)
        self._scene = EmbreeScene()
        self._mesh = TriangleMesh(self._scene, self._vertices, self._faces)

    def _rays(
        self, origins: ArrayLike, directions: ArrayLike
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        origin = np.ascontiguousarray(origins, dtype=np.float32).reshape(-1, 3)
        direction = np.asarray(directions, dtype=np.float32)
        if direction.ndim == 1:
            direction = np.broadcast_to(direction, origin.shape)
        return origin, np.ascontiguousarray(direction.reshape(-1, 3))

    def intersect(self, origins: ArrayLike, directions: ArrayLike) -> Hits:
        """Return the first hit of rays from [N, 3] along [N, 3] (or one [3] for all)."""
        origin, direction = self._rays(origins, directions)
        if len(origin) == 0:
            none = np.zeros(0, np.float32)
            return Hits(np.zeros(0, np.int32), none, np.zeros((0, 2), np.float32), np.zeros(0, bool))
        result = self._scene.run(origin, direction, output=True)
        front = np.einsum("ij,ij->i", result["Ng"], direction) < 0
        return Hits(
            face=result["primID"],
            distance=result["tfar"],
            barycentric=np.stack([result["u"], result["v"]], axis=1),
            front=front & (result["primID"] >= 0),
        )

    def occluded(
        self, origins: ArrayLike, directions: ArrayLike, max_distance: float | None = None
    ) -> NDArray[np.bool_]:
        """Return [N] whether anything lies along the rays (within ``max_distance`` when given)."""
        origin, direction = self._rays(origins, directions)
        if len(origin) == 0:
            return np.zeros(0, bool)
        limit = None if max_distance is None else np.full(len(origin), max_distance, np.float32)
        return np.asarray(self._scene.run(origin, direction, limit, query="OCCLUDED")) >= 0
