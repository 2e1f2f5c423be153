"""Predicted samples as a point cloud to look at: red inside, green outside; or the predicted colours."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from jiff.base.files import write_bytes

if TYPE_CHECKING:
    from numpy.typing import NDArray


def write_samples(path: Path, points: NDArray[np.floating], values: NDArray[np.floating]) -> None:
    """Write points [N, 3] with occupancies [N] or colours [N, 3] in [-1, 1] as a binary PLY, atomically."""
    if values.ndim == 1:
        inside = np.clip(values, 0.0, 1.0)
        colors = np.stack([inside, 1.0 - inside, np.zeros_like(inside)], axis=1)
    else:
        colors = np.clip(values * 0.5 + 0.5, 0.0, 1.0)
    record = np.zeros(
        len(points),
        dtype=[("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("red", "u1"), ("green", "u1"), ("blue", "u1")],
    )
    record["x"], record["y"], record["z"] = np.asarray(points, dtype=np.float32).T
    record["red"], record["green"], record["blue"] = np.rint(colors * 255).astype(np.uint8).T
    lines = ["ply", "format binary_little_endian 1.0", f"element vertex {len(points)}"]
    lines += [f"property float {axis}" for axis in "xyz"]
    lines += [f"property uchar {color}" for color in ("red", "green", "blue")]
    write_bytes(path, ("\n".join([*lines, "end_header"]) + "\n").encode() + record.tobytes())
