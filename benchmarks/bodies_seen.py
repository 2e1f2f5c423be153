"""How well bodies are fitted to people whose bodies are known: ``python -m benchmarks.bodies_seen --views FILE...``.

The views come from ``python -m benchmarks.body_views --captured POSES.npz``: synthetic people in captured poses, seen through
the person networks. Joints and skin are compared after the root joints are laid onto each other; centimetres are the
person's own.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from scipy.spatial.transform import Rotation

from benchmarks.body_views import VERTEX_STRIDE, Views, read_views
from jiff.body.anny_body import AnnyBody, load_anny_body
from jiff.body.fit.fitting import BodyFit, BodyFitter
from jiff.body.fit.marks import SKIN_VERTICES
from jiff.body.skeleton import JOINT_HEADS, JOINTS
from jiff.face.landmarks import similarity
from jiff.face.models.anny_on_body import face_places

_INTERVAL = 1.2816
"""Half of an interval that holds 80 % of a normal distribution, deviations."""


def measure(fit: BodyFit, views: Views, k: int, body: AnnyBody) -> dict[str, float | NDArray[np.float64]]:
    """Return the errors of one fit, centimetres and degrees."""
    unit = 100.0 / float(views.scale[k])
    heads = [body.bone_labels.index(name) for name in JOINT_HEADS]
    true, found = views.bones[k][heads], fit.body.joints_world(body)
    gap = ((found - found[0]) - (true - true[0])) * unit
    scale, turn, offset = similarity(found, true)
    aligned = scale * found @ turn.T + offset
    skin = fit.body.vertices_world(body)[:SKIN_VERTICES:VERTEX_STRIDE]
    skin_gap = ((skin - found[0]) - (views.vertices[k] - true[0])) * unit

    def lean(joints: NDArray[np.float64]) -> float:
        up = joints[JOINTS.index("neck")] - joints[0]
        return float(np.degrees(np.arctan2(up[2], up[1])))

    roots = [Rotation.from_rotvec(turn) for turn in (fit.body.pose.turns[0], views.turns[k, 0])]
    return {
        "joints": float(np.linalg.norm(gap, axis=1).mean()),
        "aligned": float(np.linalg.norm(aligned - true, axis=1).mean() * unit),
        "skin": float(np.linalg.norm(skin_gap, axis=1).mean()),
        "lean": lean(found) - lean(true),
        "root": float(np.degrees((roots[0].inv() * roots[1]).magnitude())),
        "landmarks": 100 * float(fit.landmark_error.mean()),
        "folded": 100 * fit.folded_share,
        "gap": gap,
        "sigma": fit.joint_sigma * unit,
    }


def main() -> int:
    """Fit all views and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--views", type=Path, nargs="+", required=True)
    options = parser.parse_args()
    console = Console(width=160)
    torch.set_num_threads(1)
    body, views = load_anny_body(), read_views(options.views)
    fitter = BodyFitter(body, face=face_places())
    rows, refused, seconds = [], 0, []
    for k in range(len(views.points)):
        start = time.perf_counter()
        fit = fitter.fit(views.observation(k))
        seconds.append(time.perf_counter() - start)
        refused += fit.refusal is not None
        rows.append(measure(fit, views, k, body))

    def column(name: str) -> NDArray[np.float64]:
        return np.array([row[name] for row in rows], dtype=np.float64)

    console.print(f"{len(rows)} views, {refused} refused; {np.median(seconds):.2f} s a view in the median")
    for name in ("joints", "aligned", "skin", "root", "landmarks", "folded"):
        value = column(name)
        console.print(
            f"{name}: mean {value.mean():.2f}, median {np.median(value):.2f}, 90 % {np.percentile(value, 90):.2f}"
        )
    lean = column("lean")
    console.print(
        f"lean of the trunk: median {np.median(np.abs(lean)):.1f} degrees off, {np.mean(lean):+.1f} on average"
    )
    facing = np.array([np.linalg.norm(turn[0]) for turn in views.turns])
    for low, high in ((0, 40), (40, 90), (90, 181)):
        part = (np.degrees(facing) >= low) & (np.degrees(facing) < high)
        if part.any():
            console.print(
                f"turned by {low} to {high} degrees: {part.sum()} views, joints {column('joints')[part].mean():.2f} cm"
            )
    console.print(f"left for right or back for front: {(column('root') > 90).sum()}")
    gap, sigma = (
        np.stack([row["gap"] for row in rows])[:, 1:],
        np.stack([row["sigma"] for row in rows])[:, 1:],
    )
    inside = (np.abs(gap) < _INTERVAL * sigma).mean(axis=(0, 1))
    wanted = np.quantile(np.abs(gap / sigma), 0.8, axis=(0, 1)) / _INTERVAL
    console.print(
        f"80 % intervals hold x, y, z: {inside.round(2).tolist()}; factors that would make it so: {wanted.round(2).tolist()}"
    )
    console.print(
        {
            name: round(float(e), 1)
            for name, e in zip(
                JOINTS, np.linalg.norm(np.stack([row["gap"] for row in rows]), axis=2).mean(axis=0)
            )
        }
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
