"""The metrics: what each is called, which way is better, how it is written down, and how it is computed.

A new one is one entry: measurement, tables, protocol and the report of the demo go through this list.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jiff.geometry.mesh import Mesh
    from jiff.render.normal_maps import NormalMapError


@dataclass(frozen=True)
class Directed:
    """Samples of one surface against the other.

    Attributes:
        distance: [N] exact distance to the other surface, centimetres.
        angle_deg: [N] angle between the triangles' normals at the sample and at its closest point.
        closest: [N, 3] that point.
    """

    distance: NDArray[np.float64]
    angle_deg: NDArray[np.float64]
    closest: NDArray[np.float64]

    def where(self, chosen: NDArray[np.bool_]) -> Directed:
        """Return the chosen samples."""
        return Directed(self.distance[chosen], self.angle_deg[chosen], self.closest[chosen])


@dataclass(frozen=True)
class AlignedFace:
    """The reconstructed face after it alone was moved rigidly onto the true one, see ``jiff.metrics.aligned_face``.

    Attributes:
        forward, backward: from the moved reconstruction to the scan, and back.
        depth_cm: how far the face stands in front (negative: behind) of where it should, seen from the rest of the
            body; nan when there is no surface below it.
    """

    forward: Directed
    backward: Directed
    depth_cm: float


@dataclass(frozen=True)
class Region:
    """What metrics of one region, the body or the face, are computed from.

    Attributes:
        pred, truth: reconstruction and scan, centimetres.
        box: [2, 3] the region's box, None for the whole body.
        forward, backward: from the reconstruction to the scan, and back.
        iou: volume of the intersection over that of the union.
        maps: errors of rendered normals, see ``jiff.render.normal_maps``.
        aligned: the face after alignment of the face alone; None for the body and where there is no face.
    """

    pred: Mesh
    truth: Mesh
    box: NDArray[np.float64] | None
    forward: Directed
    backward: Directed
    iou: float
    maps: NormalMapError
    aligned: AlignedFace | None = None

    @property
    def name(self) -> str:
        """Return "body" or "face"."""
        return "body" if self.box is None else "face"


@dataclass(frozen=True)
class Metric:
    """One number of a region.

    Attributes:
        key: in files.
        label: in tables and reports, with its unit.
        better: whether a smaller or a larger number is the better one.
        text: clause of the written protocol that says what it is.
        compute: gives the number, nan where there is none.
        headline: whether the report of the demo compares methods by it.
        regions: those that have it.
    """

    key: str
    label: str
    better: Literal["lower", "higher"]
    text: str
    compute: Callable[[Region], float]
    headline: bool = True
    regions: tuple[str, ...] = ("body", "face")


def _p2s(region: Region) -> float:
    found = region.forward.distance
    return float(found.mean()) if len(found) and len(region.backward.distance) else float("nan")


def _both_ways(forward: NDArray[np.float64], backward: NDArray[np.float64]) -> float:
    """Return the mean of two directed means; nan when one has no samples."""
    if not len(forward) or not len(backward):
        return float("nan")
    return (float(forward.mean()) + float(backward.mean())) / 2


def _chamfer(region: Region | AlignedFace) -> float:
    return _both_ways(region.forward.distance, region.backward.distance)


def _normals(region: Region | AlignedFace) -> float:
    return _both_ways(region.forward.angle_deg, region.backward.angle_deg)


def _of_aligned(compute: Callable[[AlignedFace], float]) -> Callable[[Region], float]:
    return lambda region: float("nan") if region.aligned is None else compute(region.aligned)


METRICS: tuple[Metric, ...] = (
    Metric(
        "chamfer_cm",
        "Chamfer (cm)",
        "lower",
        "Chamfer is the mean of the two directed mean distances",
        _chamfer,
    ),
    Metric(
        "p2s_cm", "P2S (cm)", "lower", "P2S is the mean distance from the reconstruction to the scan", _p2s
    ),
    Metric(
        "normal_deg",
        "Normals (deg)",
        "lower",
        "the normal error is the mean angle between triangle normals at a sample and at its closest point, over both directions",
        _normals,
    ),
    Metric("iou", "IoU", "higher", "IoU is that of the enclosed volumes", lambda region: region.iou),
    Metric(
        "normal_map_deg",
        "Normal maps (deg)",
        "lower",
        "the angle of normal maps is the mean over pixels where both meshes are seen",
        lambda region: region.maps.angle_deg,
        headline=False,
    ),
    Metric(
        "normal_map_l2",
        "Normal maps (L2)",
        "lower",
        "L2 of normal maps is the squared distance of normals coded n/2 + 1/2 on black, averaged over each view's pixels and "
        "summed over the four views",
        lambda region: region.maps.l2,
        headline=False,
    ),
    Metric(
        "aligned_chamfer_cm",
        "Aligned Chamfer (cm)",
        "lower",
        "aligned Chamfer and normals are taken after the reconstructed face alone was shifted and turned, not scaled, onto the "
        "scan's (trimmed closest points of both directions)",
        _of_aligned(_chamfer),
        regions=("face",),
    ),
    Metric(
        "aligned_normal_deg",
        "Aligned normals (deg)",
        "lower",
        "the normals of the aligned face are compared as those of the body",
        _of_aligned(_normals),
        regions=("face",),
    ),
    Metric(
        "depth_error_cm",
        "Depth error (cm)",
        "lower",
        "the depth error of the face is the size of its depth",
        _of_aligned(lambda face: abs(face.depth_cm)),
        regions=("face",),
    ),
    Metric(
        "depth_cm",
        "Depth (cm)",
        "lower",
        "depth is how far the face stands in front of (negative: behind) the place that the body below the face box gives it: "
        "along z, the shift without a turn that brings that body onto the scan's, less the one that brings the face there",
        _of_aligned(lambda face: face.depth_cm),
        headline=False,
        regions=("face",),
    ),
)


def compute_all(region: Region) -> dict[str, float]:
    """Return the metrics of a region by key; nan where there is no number."""
    return {metric.key: metric.compute(region) for metric in METRICS if region.name in metric.regions}
