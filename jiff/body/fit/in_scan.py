"""How a body lies in a scan: where its skin stands out, and what of the scan it does not explain."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial import cKDTree

from jiff.body.anny_body import AnnyBody, load_anny_body
from jiff.body.fit.marks import SKIN_VERTICES
from jiff.geometry.closest import MeshBvh
from jiff.geometry.inside import inside_mesh
from jiff.geometry.raycast import RayScene

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jiff.body.placed import PlacedBody
    from jiff.geometry.mesh import Mesh

_STRIDE, _SCAN_POINTS = 7, 2500
_BARE = ("wrist", "finger", "metacarpal", "foot", "toe")
_FACE = ("jaw", "oris", "orbicularis", "oculi", "levator", "risorius", "temporalis")
NEAR, FAR = 1.5, 8.0
"""World units within which skin counts as on the surface, and beyond which not even clothes explain the scan."""
_MOST_OUTSIDE, _MOST_BARE, _MOST_UNEXPLAINED = 0.1, 3.0, 0.25
"""Of the attributes of ``InScan``, beyond which a body is refused: wide skirts explain less than a fifth of a scan."""


@dataclass(frozen=True, eq=False)
class InScan:
    """A body in a scan.

    Attributes:
        body: in the world.
        outside_share: share of the skin that stands out of the scan by more than ``NEAR``.
        bare_distance: median distance of face, hands and feet to the scan, world units.
        unexplained_share: share of the scan that has no skin within ``FAR``.
    """

    body: PlacedBody
    outside_share: float
    bare_distance: float
    unexplained_share: float

    @property
    def fault(self) -> float:
        """Share of skin and scan that do not go together, to be small."""
        return self.outside_share + self.unexplained_share

    @property
    def refusal(self) -> str | None:
        """Why the body must not be used, None where it may."""
        if self.outside_share > _MOST_OUTSIDE:
            return f"{self.outside_share:.0%} of the body lie outside of the scan"
        if self.unexplained_share > _MOST_UNEXPLAINED:
            return f"{self.unexplained_share:.0%} of the scan lie more than {FAR:.0f} units off the body"
        if self.bare_distance > _MOST_BARE:
            return f"face, hands and feet of the body lie {self.bare_distance:.1f} units off the scan"
        return None


@lru_cache(maxsize=1)
def skin_samples() -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return skin vertices and which of them clothes do not cover."""
    body = load_anny_body()
    strongest = body.bone_index[np.arange(SKIN_VERTICES), body.bone_weight[:SKIN_VERTICES].argmax(axis=1)]
    named = np.array([name.startswith(_BARE + _FACE) for name in body.bone_labels])
    chosen = np.arange(0, SKIN_VERTICES, _STRIDE)
    return chosen, named[strongest[chosen]]


class ScanSurface:
    """A scan, asked how far points stand out of it.

    Args:
        mesh: world units, triangles facing outward.
    """

    def __init__(self, mesh: Mesh) -> None:
        self._tree, self._scene = MeshBvh(mesh.vertices, mesh.faces), RayScene(mesh.vertices, mesh.faces)
        cross = mesh.face_cross()
        self._normals = cross / np.maximum(np.linalg.norm(cross, axis=1, keepdims=True), 1e-12)
        used = np.unique(mesh.faces)
        self.points = mesh.vertices[used[:: max(1, len(used) // _SCAN_POINTS)]]

    def heights(
        self, points: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Return, of points [N, 3], heights [N] above the scan (negative inside), nearest points and normals there [N, 3]."""
        near = self._tree.closest(points)
        height = np.where(inside_mesh(self._scene, points), -near.distance, near.distance)
        away = (points - near.point) / np.where(np.abs(height) > 0.3, height, np.inf)[:, None]
        # Near the surface the direction to it is noise.
        normal = np.where((np.abs(height) > 0.3)[:, None], away, self._normals[near.face])
        return height, near.point, normal


def skin_in_scan(placed: PlacedBody, body: AnnyBody, surface: ScanSurface) -> InScan:
    """Return how a body lies in a scan.

    Args:
        placed: in the scan's world.
        body: anny.
        surface: the scan.
    """
    chosen, bare = skin_samples()
    skin = placed.vertices_world(body)[chosen]
    height, gap = surface.heights(skin)[0], cKDTree(skin).query(surface.points)[0]
    return InScan(
        placed,
        float((height > NEAR).mean()),
        float(np.median(np.abs(height[bare]))),
        float((gap > FAR).mean()),
    )
