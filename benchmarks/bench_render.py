"""Rendering: views per second of a 440 k-triangle scan, all outputs written, on one process with two threads."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.row import Row
from jiff.geometry.mesh import Mesh
from jiff.geometry.mesh_io import save_mesh
from jiff.pipelines.render import RenderConfig, run_render
from jiff.progress import NullProgress
from jiff.render.prt_io import write_prt
from jiff.render.sh import clamped_cosine_sh

_PUBLISHED_VIEW, _PUBLISHED_LOAD = 0.23, 9.5
"""Seconds of the published renderer on software GL with two cores: a view, and loading a scan of this size."""


def _body(rows: int, columns: int) -> Mesh:
    """A ribbed, waisted closed body of 2 * rows * columns triangles with a noisy texture, 180 high."""
    u, v = np.meshgrid(np.linspace(0, 1, columns + 1), np.linspace(0, 1, rows + 1))
    angle = 2 * np.pi * u
    radius = np.sin(np.pi * v) ** 0.5 * (24 + 6 * np.cos(4 * np.pi * v)) + 0.3 * np.sin(40 * angle) * np.sin(
        np.pi * v
    )
    vertices = np.stack([1.3 * radius * np.sin(angle), 180 * v, 0.8 * radius * np.cos(angle)], -1).reshape(
        -1, 3
    )
    grid = np.arange(len(vertices)).reshape(rows + 1, columns + 1)
    a, b, c, d = grid[:-1, :-1], grid[:-1, 1:], grid[1:, 1:], grid[1:, :-1]
    faces = np.stack([np.stack([a, b, c], -1), np.stack([a, c, d], -1)], 2).reshape(-1, 3)
    texture = np.random.default_rng(0).integers(40, 250, (4096, 4096, 3), dtype=np.uint8)
    uv = np.stack([u, v], -1).reshape(-1, 2)
    return Mesh(vertices, faces, uv=uv, faces_uv=faces, texture=texture)


def run(quick: bool) -> list[Row]:
    """Render one scan; ``quick`` takes fewer views and triangles."""
    mesh = _body(100, 110) if quick else _body(440, 500)
    step = 30 if quick else 1
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        scans = Path(folder) / "scans"
        save_mesh(mesh, scans / "body/body.obj")
        write_prt(scans / "body/bounce", clamped_cosine_sh(mesh.vertex_normals()), mesh.faces)
        for high, name in ((0, "RENDER MASK PARAM UV_*"), (1024, "with 1024-px images too")):
            start = time.perf_counter()
            config = RenderConfig(scans, Path(folder) / f"out{high}", high_size=high, yaw_step=step, jobs=2)
            report = run_render(config, NullProgress())
            seconds = time.perf_counter() - start
            if not report.ok:
                raise RuntimeError(str(report.failures))
            views = report.results["body"]
            twin = _PUBLISHED_LOAD + views * _PUBLISHED_VIEW if high == 0 else None
            rows.append(
                Row(
                    f"{views} views of {len(mesh.faces)} triangles, 512 px, {name}", seconds, "s", twin,
                    None if twin is None else twin / seconds, "20 s for 360 views; 4 times software GL" if twin else "",
                )
            )  # fmt: skip
    return rows
