"""Texture coordinates for a mesh that has none: charts and their packing by xatlas."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from jiff.base.errors import MeshError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jiff.geometry.mesh import Mesh


@dataclass(frozen=True)
class Unwrapped:
    """A mesh with its charts.

    Attributes:
        mesh: the same vertices and triangles, in the same order, with ``uv`` and ``faces_uv``.
        chart: [F] chart of each triangle.
        fill: share of the atlas that the charts cover.
    """

    mesh: Mesh
    chart: NDArray[np.int64]
    fill: float


def unwrap(mesh: Mesh, size: int, padding: int = 4) -> Unwrapped:
    """Cut a surface into charts and pack them into one square texture.

    The time grows faster than the number of triangles: 2 s for 20,000, 5 s for 40,000, 14 s for 80,000 on one core.

    Args:
        mesh: any unit; connected through shared vertices.
        size: of the texture, pixels.
        padding: pixels between charts.

    Raises:
        MeshError: nothing of the mesh could be unwrapped.
    """
    import xatlas

    charts = xatlas.ChartOptions()
    # Charts of noisy surfaces grow larger, with less stretch and in half the time, when only flatness counts a little
    # (40,000 triangles of a body: 146 charts in 5 s; with the defaults about 600 in 10 s).
    charts.max_iterations = 1
    charts.normal_deviation_weight = 0.5
    charts.straightness_weight = charts.roundness_weight = charts.normal_seam_weight = 0.0
    packing = xatlas.PackOptions()
    packing.resolution = size
    packing.padding = padding
    packing.bilinear = True
    packing.blockAlign = True
    atlas = xatlas.Atlas()
    middle = mesh.bounds.mean(axis=0)
    atlas.add_mesh(
        np.ascontiguousarray(mesh.vertices - middle, dtype=np.float32),
        np.ascontiguousarray(mesh.faces, dtype=np.uint32),
    )
    atlas.generate(charts, packing)
    source, corners, uv = atlas.get_mesh(0)
    _, chart_of_vertex = atlas.get_mesh_vertex_assignment(0)
    if atlas.chart_count == 0 or len(corners) != len(mesh.faces):
        raise MeshError("The mesh could not be cut into charts; use --texture vertex.")
    corners = corners.astype(np.int64)
    if not np.array_equal(source.astype(np.int64)[corners], mesh.faces):
        raise MeshError("The charts do not fit the mesh; use --texture vertex.")
    textured = replace(mesh, uv=np.clip(uv.astype(np.float64), 0.0, 1.0), faces_uv=corners)
    chart = chart_of_vertex.astype(np.uint32).astype(np.int32).astype(np.int64)[corners[:, 0]]
    return Unwrapped(textured, chart, float(atlas.utilization))
