"""The face box: where the face is, in world units, and its text file in pixels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from jiff.base.errors import DatasetError
from jiff.base.files import read_text, write_text

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from jiff.geometry.camera import Camera


@dataclass(frozen=True)
class FaceBox:
    """An axis-aligned box in world units, in the camera's frame turned to yaw 0.

    Points count as face points by x and y alone; z is kept for display and for metrics.
    """

    xmin: float
    xmax: float
    ymin: float
    ymax: float
    zmin: float
    zmax: float

    @classmethod
    def around(cls, points_world: ArrayLike, margin: float = 0.08) -> FaceBox:
        """Return the box of points [N, 3], enlarged by ``margin`` times its height on every side."""
        points = np.asarray(points_world, dtype=np.float64).reshape(-1, 3)
        low, high = points.min(0), points.max(0)
        grow = margin * (high[1] - low[1])
        low, high = low - grow, high + grow
        return cls(*(float(v) for pair in zip(low, high) for v in pair))

    @classmethod
    def from_region_file(cls, path: Path | str, camera: Camera) -> FaceBox:
        """Read "top, bottom, left, right, zmin, zmax" (pixels of the 512-px image; z in world units).

        Args:
            path: text file; published files have commas or line breaks between the numbers and may lack z.
            camera: of the image that the box was measured in, of any size; it must look straight ahead.

        Raises:
            DatasetError: the file does not hold numbers in that order.
            InputError: the file is missing.
        """
        fields = read_text(path).replace(",", " ").split()
        try:
            numbers = [float(field) for field in fields[:6]]
        except ValueError as error:
            raise DatasetError(
                f"{path}: holds something that is not a number ({error}); run `jiff data face` again."
            ) from error
        if len(numbers) < 4 or not np.isfinite(numbers).all():
            raise DatasetError(
                f"{path}: needs the numbers top, bottom, left, right, zmin, zmax; run `jiff data face` again."
            )
        top, bottom, left, right = numbers[:4]
        if top >= bottom or left >= right:
            raise DatasetError(
                f"{path}: its top is not above its bottom or its left not left of its right; run `jiff data face` again."
            )
        zmin, zmax = (numbers[4], numbers[5]) if len(numbers) == 6 else (-100.0, 100.0)
        corners = camera.with_size(512).pixel_to_world([[left, bottom], [right, top]])
        low, high = corners.min(0), corners.max(0)
        return cls(float(low[0]), float(high[0]), float(low[1]), float(high[1]), zmin, zmax)

    def to_region_file(self, path: Path | str, camera: Camera) -> None:
        """Write the box as ``from_region_file`` reads it, atomically."""
        left, bottom = camera.with_size(512).world_to_pixel([self.xmin, self.ymin, 0.0])
        right, top = camera.with_size(512).world_to_pixel([self.xmax, self.ymax, 0.0])
        numbers = (top, bottom, left, right, self.zmin, self.zmax)
        write_text(path, ", ".join(f"{value:.4f}" for value in numbers) + "\n")

    @property
    def corners(self) -> NDArray[np.float64]:
        """[2, 3] lower and upper corner."""
        return np.array([[self.xmin, self.ymin, self.zmin], [self.xmax, self.ymax, self.zmax]])

    def contains(self, points_world: ArrayLike) -> NDArray[np.bool_]:
        """Return [N] which points [N, 3] lie in the box by x and y (z is free)."""
        points = np.asarray(points_world, dtype=np.float64)
        x, y = points[..., 0], points[..., 1]
        inside: NDArray[np.bool_] = (x >= self.xmin) & (x <= self.xmax) & (y >= self.ymin) & (y <= self.ymax)
        return inside
