"""``jiff reconstruct`` from photo to files with networks of the published size: one photo, its texture, a folder of them.

Every run is a process of its own, as the command would be; the first figure counts everything but Python's start.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.process import in_worker
from benchmarks.row import Row
from benchmarks.scan_networks import with_scan, write_networks, write_photos
from benchmarks.scans import write_scan
from jiff.base.files import read_json
from jiff.base.progress import NullProgress, Task
from jiff.geometry.io.mesh_io import load_mesh
from jiff.geometry.mesh import Mesh
from jiff.options.reconstruct import ReconstructConfig
from jiff.pipelines.reconstruct import run_reconstruct
from jiff_cli.allocator import keep_freed_memory


class Stopwatch(NullProgress):
    """Progress that keeps the seconds of each task."""

    def __init__(self) -> None:
        """Start with no tasks."""
        super().__init__()
        self.seconds: dict[str, float] = {}

    @contextmanager
    def task(self, name: str, total: float | None = None) -> Iterator[Task]:
        """Time a task."""
        begin = time.perf_counter()
        with super().task(name, total) as task:
            yield task
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - begin


def timed(folder: str, options: dict[str, Any]) -> dict[str, Any]:
    """Run ``reconstruct`` once; return its seconds, stages and failures."""
    from jiff.pipelines import evaluate

    keep_freed_memory()
    root = Path(folder)
    with np.load(root / "scan.npz") as stored:
        mesh = Mesh(stored["vertices"], stored["faces"])
    load = evaluate.load_networks
    # Runs see the real loading, then the scan is put behind the encoder.
    evaluate.load_networks = lambda *args, **kwargs: with_scan(load(*args, **kwargs), mesh)
    values = dict(options)
    source, out = root / values.pop("source"), root / values.pop("out")
    output = values.pop("output", {})
    watch = Stopwatch()
    begin = time.perf_counter()
    config = ReconstructConfig(
        input=source, out=out, checkpoint=root / "run", device="cpu", **output, **values
    )
    report = run_reconstruct(config, watch)
    seconds = time.perf_counter() - begin
    return {"seconds": seconds, "stages": watch.seconds, "failures": report.failures}


def in_process(folder: Path, **options: Any) -> dict[str, Any]:
    """Return what ``timed`` says, with the peak memory and the wall time of its process.

    Raises:
        RuntimeError: the process died, or a photo was not reconstructed with its face.
    """
    begin = time.perf_counter()
    found, _, peak = in_worker(timed, str(folder), options)
    wall = time.perf_counter() - begin
    if found["failures"]:
        raise RuntimeError(str(found["failures"]))
    return found | {"peak_gib": peak / 1024, "wall": wall}


def run(quick: bool) -> list[Row]:
    """Reconstruct one synthetic person at 512^3 (``quick``: 128^3), then a folder of 8 (2)."""
    resolution, count = (128, 2) if quick else (512, 8)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        # The quick scan: its texture and triangles are more than a 512-px photo shows.
        scan = load_mesh(write_scan(folder, quick=True))
        np.savez(folder / "scan.npz", vertices=scan.vertices, faces=scan.faces)
        write_networks(folder / "run")
        names = [f"p{k}" for k in range(count)]
        write_photos(scan, folder / "photos", names)
        rows = _one_photo(folder, resolution, quick)
        rows += _texture(folder, resolution, quick)
        rows += _folder(folder, names)
    return rows


def _numbers(folder: Path, out: str) -> dict[str, Any]:
    numbers: dict[str, Any] = read_json(folder / out / "p0.json")["numbers"]
    return numbers


def _one_photo(folder: Path, resolution: int, quick: bool) -> list[Row]:
    found = in_process(folder, source="photos/p0.png", out="one", resolution=resolution)
    rows = [
        Row(f"reconstruct, {resolution}^3, vertex colours", found["seconds"], "s", target="" if quick else "30 s"),
        Row("peak memory", found["peak_gib"], "GiB", target="" if quick else "6 GB"),
    ]  # fmt: skip
    rows += [Row(f"  {name}", seconds, "s") for name, seconds in found["stages"].items()]
    numbers = _numbers(folder, "one")
    rows += [
        Row(f"    {key.removesuffix('_seconds')}", value, "s")
        for key, value in numbers.items()
        if key.endswith("_seconds")
    ]
    rows.append(Row("triangles", numbers["faces"], ""))
    rows.append(Row("GLB, vertex colours", (folder / "one" / "p0.glb").stat().st_size / 1e6, "MB"))
    return rows


def _texture(folder: Path, resolution: int, quick: bool) -> list[Row]:
    size = 512 if quick else 2048
    output = {"texture": "uv", "texture_size": size, "project_photo": True}
    found = in_process(folder, source="photos/p0.png", out="uv", resolution=resolution, output=output)
    numbers = _numbers(folder, "uv")
    rows = [
        Row(f"reconstruct, {resolution}^3, {size}-px texture, photo projected", found["seconds"], "s"),
        Row("peak memory", found["peak_gib"], "GiB", target="" if quick else "6 GB"),
    ]
    for key, text in (
        ("decimate_seconds", "decimation"),
        ("unwrap_seconds", "unwrapping"),
        ("bake_seconds", "baking"),
        ("photo_seconds", "photo projection"),
    ):
        if key in numbers:
            rows.append(Row(f"  {text}", numbers[key], "s"))
    rows.append(Row("triangles", numbers["faces"], ""))
    rows.append(
        Row(
            "texels whose colour the network was asked",
            numbers["texels_asked"],
            "texels",
            numbers["texels"],
            numbers["texels"] / numbers["texels_asked"],
        )
    )
    rows.append(Row(f"GLB, {size}-px texture", (folder / "uv" / "p0.glb").stat().st_size / 1e6, "MB"))
    return rows


def _folder(folder: Path, names: list[str]) -> list[Row]:
    together = in_process(folder, source="photos", out="together", resolution=128)
    apart = sum(
        in_process(folder, source=f"photos/{name}.png", out=f"apart/{name}", resolution=128)["wall"]
        for name in names
    )
    what = f"folder of {len(names)} at 128^3, against as many runs"
    return [Row(what, together["wall"], "s", apart, apart / together["wall"])]
