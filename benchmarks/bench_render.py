"""Rendering a 440 k-triangle scan with its radiance transfer: all outputs of 360 views written, on all cores.

The twin is the published renderer on software GL. With ``JIFF_PUBLISHED`` set to a checkout of its repository (and
PyOpenGL and an EGL driver installed) it is timed in the same run; else its figures are those measured earlier on two
cores: seconds per view and of loading a scan of this size.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.process import in_worker
from benchmarks.row import Row
from benchmarks.scans import NAME, write_scan
from jiff.base.progress import NullProgress
from jiff.geometry.io.mesh_io import load_mesh
from jiff.options.prt import PrtConfig
from jiff.options.render import RenderConfig
from jiff.pipelines.prt import prepare_prt
from jiff.pipelines.render import run_render
from jiff.run.plan import default_jobs

_PUBLISHED_VIEW, _PUBLISHED_LOAD = 0.23, 9.5


def _render(config: RenderConfig) -> int:
    report = run_render(config, NullProgress())
    if not report.ok:
        raise RuntimeError(str(report.failures))
    views: int = report.results[NAME]
    return views


def _published(scans: Path, views: int) -> tuple[float, str]:
    """Return the seconds of the published renderer for so many views, and where the figure is from."""
    checkout = os.environ.get("JIFF_PUBLISHED")
    if not checkout:
        return _PUBLISHED_LOAD + views * _PUBLISHED_VIEW, "recorded"
    drawn = min(views, 12)
    program = Path(__file__).with_name("published_renderer.py")
    command = [sys.executable, str(program), checkout, str(scans), NAME, str(360 // drawn)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=True)
    line = next(line for line in done.stdout.splitlines() if line.startswith("published:"))
    drawing, loading = (float(word) for word in line.split()[1:])
    return loading + views * drawing / drawn, f"measured on {drawn} views"


def run(quick: bool) -> list[Row]:
    """Render one scan; ``quick`` takes fewer views and triangles."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        path = write_scan(Path(folder), quick)
        prepare_prt(path, PrtConfig(path.parents[1]), default_jobs())
        triangles = len(load_mesh(path, texture=False).faces)
        cases: dict[str, dict[str, Any]] = {
            "RENDER MASK PARAM UV_*": {"high_size": 0},
            "4 samples per pixel": {"high_size": 0, "samples": 4},
            "1024-px images too": {"high_size": 1024},
        }
        for number, (name, options) in enumerate(cases.items()):
            config = RenderConfig(
                path.parents[1], Path(folder) / f"out{number}", yaw_step=30 if quick else 1, jobs=default_jobs(), **options
            )  # fmt: skip
            views, seconds, peak = in_worker(_render, config)
            twin, source = _published(path.parents[1], views) if number == 0 else (None, "")
            what = f"{views} views of {triangles} triangles, 512 px, {name}, {default_jobs()} threads"
            target = f"20 s for 360 views; 4 times software GL ({source})" if twin and not quick else ""
            rows.append(Row(what, seconds, "s", twin, None if twin is None else twin / seconds, target))
            rows.append(Row("memory of that worker", peak, "MiB", target="under 2 GB"))
    return rows
