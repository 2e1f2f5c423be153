"""``jiff reconstruct`` from photo to textured files with the installed network, in a process of its own as the command would be."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.process import in_worker
from benchmarks.row import Row
from jiff.base.files import read_json
from jiff.base.progress import NullProgress
from jiff.geometry.io.mesh_io import save_image
from jiff.options.reconstruct import ReconstructConfig
from jiff.pipelines.reconstruct import run_reconstruct
from jiff.synthetic.sitter import Sitter
from jiff.synthetic.snapshot import take_snapshot
from jiff_cli.allocator import keep_freed_memory

SEED = 960_000
_SAMPLE = 65_536


def write_photo(folder: Path, number: int = 0) -> Path:
    """Write a photo of a synthetic person and return its file."""
    sitter = Sitter(SEED + number, 1024)
    rng = np.random.default_rng([SEED, number])
    photo = take_snapshot(sitter.posed(sitter.draw_pose(rng)).mesh, rng, (1024,))
    path = folder / f"photo_{number}.png"
    save_image(path, photo.rgb)
    save_image(folder / f"photo_{number}_mask.png", photo.mask)
    return path


def timed(source: str, out: str) -> dict[str, Any]:
    """Reconstruct a photo as the command does without options; return seconds and the record's numbers."""
    keep_freed_memory()
    begin = time.perf_counter()
    report = run_reconstruct(
        ReconstructConfig(input=Path(source), out=Path(out), device="cpu"), NullProgress()
    )
    seconds = time.perf_counter() - begin
    if report.failures:
        raise RuntimeError(next(iter(report.failures.values())))
    return {"seconds": seconds, "numbers": read_json(Path(out) / f"{Path(source).stem}.json")["numbers"]}


def dense(source: str, out: str) -> dict[str, Any]:
    """Return the seconds that asking every node of 256^3 would take, from a sample of them."""
    import torch

    from jiff.inference.held_field import HeldField
    from jiff.inference.networks import default_network
    from jiff.inference.person import canonical_bounds
    from jiff.models.checkpoint import load_published
    from jiff.photo.test_folder import PersonFiles, read_person
    from jiff.photo.view_inputs import view_inputs
    from jiff.pipelines.rig import photo_body

    name = Path(source).stem
    files = PersonFiles(name, Path(out) / "crops" / f"{name}.png")
    pixels = read_person(files)
    network: Any = load_published(default_network(), "person")
    field = HeldField(
        network, view_inputs(pixels.rgb, pixels.mask, photo_body(files.body)), None, torch.device("cpu")
    )
    low, high = canonical_bounds()
    points = torch.from_numpy(np.random.default_rng(0).uniform(low, high, (_SAMPLE, 3)).astype(np.float32))
    field(points[:4096])
    begin = time.perf_counter()
    field(points)
    return {"seconds": (time.perf_counter() - begin) * 256**3 / _SAMPLE}


def run(quick: bool) -> list[Row]:
    """Reconstruct one photo."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = str(write_photo(folder))
        found, _, peak = in_worker(timed, source, str(folder / "out"))
        every, _, _ = in_worker(dense, source, str(folder / "out"))
    numbers = found["numbers"]
    surface = float(numbers["surface_seconds"])
    return [
        Row(
            "photo to textured OBJ and GLB, 256 cells, all steps",
            found["seconds"],
            "s",
            target="at most 30 s",
        ),
        Row("peak memory of that process", peak / 1024, "GiB", target="at most 3 GiB"),
        Row("its surface (every node of 256^3 asked, from a sample)", surface, "s", every["seconds"]),
        Row("its texture", float(numbers["color_seconds"]), "s"),
    ]
