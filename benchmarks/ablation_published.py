"""The published network beside the prior-held ones of ``python -m benchmarks.ablation``: same people, as many pictures.

``python -m benchmarks.ablation_published scans --out FOLDER`` writes the people of ``ablation photos`` as scans, upright, in the poses
drawn for their first photos, and prepares them with ``jiff data prt``, ``render``, ``face`` and ``icp``; ``train`` trains the
published network from every seed; ``measure --ablation FOLDER --held FOLDER`` reconstructs the held-out people in the four published steps and
prints its rows below those that ``ablation measure`` measured. What is done with the same settings is not done again.

People whose face is not found in the photo have the coarse mesh in both rows, as the protocol of docs/evaluation.md says.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from benchmarks.ablation import ROWS, is_done, print_table, run_jiff, run_name
from jiff.base.files import atomic_folder, make_folder, read_json, write_json
from jiff.geometry.io.mesh_io import save_mesh
from jiff.photo.test_folder import list_people
from jiff.pipelines.photos import person_name
from jiff.synthetic.posed import clear_draw
from jiff.synthetic.scan_files import template_triangles
from jiff.synthetic.sitter import TRIANGLES, Sitter

PIFU, JIFF = "published: body branch", "published: JIFF"


def make_scans(out: Path, people: int, views: int, seed: int, console: Console) -> None:
    """Write the people whom ``ablation photos`` photographs, once per pose, before they were turned to the camera."""
    settings = {"seed": seed}
    for number in range(people):
        names = [f"{person_name(number)}_{view}" for view in range(views)]
        if all(is_done(out / name / "made.json", settings) for name in names):
            continue
        sitter = Sitter(seed + number, 1024)
        for view, name in enumerate(names):
            # Of the photo's own generator, so that the pose is the photo's.
            rng = np.random.default_rng([seed + number, 31, view])
            drawn = clear_draw(sitter.spec, sitter.dressed, rng, template_triangles(TRIANGLES)).clear.drawn
            # In world units: they need no `jiff data rescale`.
            mesh = replace(sitter.posed(drawn.pose).mesh, normals=None)
            with atomic_folder(out / name) as folder:
                save_mesh(mesh, folder / f"{name}.obj", texture_name="material0.jpeg", jpeg_quality=92)
                write_json(folder / "made.json", settings)
        console.print(f"{person_name(number)}: {views} scans")


def prepare(scans: Path, data: Path, yaw_step: int) -> None:
    """Make a processed set of scans; those whose face is refused are left out of training."""
    run_jiff(["data", "prt", "-i", str(scans), "-j", "1"])
    run_jiff(["data", "render", "-i", str(scans), "-o", str(data), "--yaw-step", str(yaw_step), "--high-size", "0",
          "--no-uv-render", "--val-fraction", "0", "-j", "1"])  # fmt: skip
    for stage in ("face", "icp"):
        run_jiff(["data", stage, "-i", str(data), "-j", "1"])


def train(out: Path, seeds: int, steps: int, preset: str, console: Console) -> None:
    """Train the published network from every seed."""
    settings = {"steps": steps, "preset": preset}
    for seed in range(seeds):
        mark = out / "runs" / f"seed{seed}" / "trained.json"
        if is_done(mark, settings):
            continue
        run_jiff(["train", "shape", "-i", str(out / "data"), "--preset", preset, "--name", f"seed{seed}",
              "--checkpoints-path", str(out / "runs"), "--results-path", str(out / "results"), "--max-steps", str(steps),
              "--seed", str(seed), "--overwrite", "--torch-threads", "1", "-j", "1", "--no-num-eval"])  # fmt: skip
        write_json(mark, settings)
        console.print(f"trained seed {seed}")


def _reconstruct(out: Path, held: Path, seed: int, resolution: int) -> dict[str, Path]:
    """Go the four published steps (faces were fitted with the photos); return row -> folder of meshes."""
    test, coarse, fine, both = (
        out / part / f"seed{seed}" for part in ("test", "coarse", "fine", "with_coarse")
    )
    with atomic_folder(test) as folder:
        for person in list_people(held / "photos"):
            # Copies, because alignment moves faces in place.
            for path in (person.image, person.mask, person.region, person.face_mesh, person.fit):
                if path.is_file():
                    shutil.copy(path, folder)
    shared = [
        "--checkpoint",
        str(out / "runs" / f"seed{seed}"),
        "--resolution",
        str(resolution),
        "--format",
        "obj",
    ]
    run_jiff(["eval", "pifu", "-i", str(test), "-o", str(coarse), *shared])
    run_jiff(["eval", "align", "--pifu", str(coarse), "--test", str(test), "--jobs", "1", "--no-overlays"])
    for person in list_people(test):
        if not person.unaligned_face_mesh.is_file():
            # Without a face, or with one that does not lie on the coarse mesh.
            person.image.unlink()
            person.mask.unlink()
    run_jiff(["eval", "jiff", "-i", str(test), "-o", str(fine), *shared])
    with atomic_folder(both) as folder:
        for source in (*_meshes(coarse), *_meshes(fine)):
            shutil.copy(source, folder)
    return {PIFU: coarse, JIFF: both}


def _meshes(folder: Path) -> list[Path]:
    """Return the meshes of the last run of ``jiff eval`` into a folder."""
    people = read_json(folder / "summary.json")["people"]
    return [folder / f"{name}.obj" for name, record in people.items() if record["status"] != "failed"]


def measure(out: Path, ablation: Path, held: Path, seeds: int, resolution: int, console: Console) -> None:
    """Measure both rows, and print them below those of the prior-held networks."""
    everybody = {person.name for person in list_people(held / "photos")}
    found: dict[str, list[dict[str, Any]]] = {
        row.name: [_measured(ablation / "measured" / run_name(row, seed)) for seed in range(seeds)]
        for row in ROWS
    }
    for seed in range(seeds):
        trained = read_json(out / "runs" / f"seed{seed}" / "trained.json")
        settings = {"resolution": resolution, "held": str(held), **trained}
        folders = {
            row: out / "measured" / f"{kind}_seed{seed}" for row, kind in ((PIFU, "pifu"), (JIFF, "jiff"))
        }
        if not all(is_done(folder / "done.json", settings) for folder in folders.values()):
            for row, meshes in _reconstruct(out, held, seed, resolution).items():
                run_jiff(["eval", "metrics", str(meshes), str(held / "scans"), "-o", str(folders[row]), "--align", "depth",
                      "--face-regions", str(held / "regions"), "-j", "1"])  # fmt: skip
                write_json(folders[row] / "done.json", settings)
        console.print(f"seed {seed}: {len(_meshes(out / 'fine' / f'seed{seed}'))} people with their face")
        for row, folder in folders.items():
            found.setdefault(row, []).append(_measured(folder))
    for row, runs in found.items():
        absent = [
            f"{name} (seed {seed})" for seed, run in enumerate(runs) for name in sorted(everybody - set(run))
        ]
        if absent:
            console.print(f"{row}: no surface of {', '.join(absent)}")
    write_json(out / "published.json", print_table(found, console))


def _measured(folder: Path) -> dict[str, Any]:
    return dict(read_json(folder / "metrics.json")["subjects"])


def main() -> int:
    """Do one step."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("step", choices=["scans", "train", "measure"])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--ablation", type=Path)
    parser.add_argument("--held", type=Path)
    parser.add_argument("--people", type=int, default=76)
    parser.add_argument("--views", type=int, default=2)
    parser.add_argument("--seed", type=int, default=700_000)
    parser.add_argument("--yaw-step", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--preset", default="demo")
    parser.add_argument("--resolution", type=int, default=128)
    options = parser.parse_args()
    console = Console(width=140)
    if options.step == "scans":
        make_scans(make_folder(options.out / "scans"), options.people, options.views, options.seed, console)
        prepare(options.out / "scans", options.out / "data", options.yaw_step)
    elif options.step == "train":
        train(options.out, options.seeds, options.steps, options.preset, console)
    elif options.ablation is None or options.held is None:
        parser.error("measure needs --ablation and --held")
    else:
        measure(options.out, options.ablation, options.held, options.seeds, options.resolution, console)
    return 0


if __name__ == "__main__":
    sys.exit(main())
