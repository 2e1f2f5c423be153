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
class Region:
    """What metrics of one region, the body or the face, are computed from.

    Attributes:
        pred, truth: reconstruction and scan, centimetres.
        box: [2, 3] the region's box, None for the whole body.
        forward, backward: from the reconstruction to the scan, and back.
        iou: volume of the intersection over that of the union.
        maps: errors of rendered normals, see ``jiff.render.normal_maps``.
    """

    pred: Mesh
    truth: Mesh
    box: NDArray[np.float64] | None
    forward: Directed
    backward: Directed
    iou: float
    maps: NormalMapError


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
    """

    key: str
    label: str
    better: Literal["lower", "higher"]
    text: str
    compute: Callable[[Region], float]
    headline: bool = True


def _p2s(region: Region) -> float:
    found = region.forward.distance
    return float(found.mean()) if len(found) and len(region.backward.distance) else float("nan")


def _chamfer(region: Region) -> float:
    if not len(region.forward.distance) or not len(region.backward.distance):
        return float("nan")
    return (float(region.forward.distance.mean()) + float(region.backward.distance.mean())) / 2


def _normals(region: Region) -> float:
    if not len(region.forward.distance) or not len(region.backward.distance):
        return float("nan")
    return (float(region.forward.angle_deg.mean()) + float(region.backward.angle_deg.mean())) / 2


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
)


def compute_all(region: Region) -> dict[str, float]:
    """Return all metrics of a region by key; nan where there is no number."""
    return {metric.key: metric.compute(region) for metric in METRICS}
