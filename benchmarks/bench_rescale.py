"""Rescaling a 440 k-triangle scan against reading and writing it alone, and against trimesh's load and export."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from benchmarks.process import in_worker
from benchmarks.row import Row, best_seconds
from benchmarks.scans import NAME, write_raw_scan
from jiff.base.files import write_text
from jiff.geometry.io.obj_io import obj_text
from jiff.geometry.io.obj_text import parse_obj
from jiff.pipelines.rescale import RescaleTask, rescale_scan


def _read_and_write(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    write_text(target, obj_text(parse_obj(source), library="material0.mtl"))
    for companion in ("material0.mtl", "material0.jpeg"):
        shutil.copyfile(source.with_name(companion), target.with_name(companion))


def _trimesh(source: Path, target: Path) -> None:
    import trimesh

    target.parent.mkdir(parents=True, exist_ok=True)
    mesh = trimesh.load(source, process=False, maintain_order=True, force="mesh")
    mesh.apply_scale(100.0)
    mesh.export(target)


def run(quick: bool) -> list[Row]:
    """Time the three ways on one scan; ``quick`` takes a small one."""
    repeats = 1 if quick else 3
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        source = write_raw_scan(root, quick)
        task = RescaleTask(NAME, source, root / "ours" / NAME / f"{NAME}.obj", 0.0, False)
        _, _, peak = in_worker(rescale_scan, task)
        seconds = best_seconds(lambda: rescale_scan(task), repeats)
        bound = best_seconds(lambda: _read_and_write(source, root / "bound" / f"{NAME}.obj"), repeats)
        plain = best_seconds(lambda: _trimesh(source, root / "plain" / f"{NAME}.obj"), repeats)
        megabytes = source.stat().st_size / 1e6
    what = f"rescale an OBJ of {megabytes:.0f} MB"
    return [
        Row(f"{what}, against reading and writing", seconds, "s", bound, bound / seconds, "0.7 or more: bounded by them"),
        Row(f"{what}, against trimesh", seconds, "s", plain, plain / seconds),
        Row("memory of the worker", peak, "MiB", target="under 2 GB"),
    ]  # fmt: skip
