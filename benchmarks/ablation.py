"""What each input of prior-held networks is worth, at equal budget, over seeds.

``python -m benchmarks.ablation photos --out FOLDER`` photographs people once and labels them four ways (with or without the
photo's face on the body, carried with the fitted body or not); ``train`` trains every row of the table from every seed;
``measure --held FOLDER`` reconstructs people of ``python -m benchmarks.held_people`` and prints the table. What is done with the same
settings is not done again.

Reconstruction asks the body where to look (bounds, seeds, the head's window) for every row; those that know the body are also bounded by
it in depth. The first row sees bodies without the photo's face, so that its outline is the mask's.
"""

from __future__ import annotations

import argparse
import copy
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from jiff.base.errors import AssetError, JiffError
from jiff.base.files import atomic_folder, make_folder, read_json, write_json, write_text
from jiff.base.progress import NullProgress
from jiff.data.person_view import write_view
from jiff.geometry.io.mesh_io import save_mesh
from jiff.inference.held import HeldOptions, reconstruct_held
from jiff.models.checkpoint import load_published
from jiff.models.person.network import PersonNetwork
from jiff.options.mesh_output import MeshOutput
from jiff.perception.files import ensure_networks
from jiff.photo.test_folder import list_people, read_person
from jiff.pipelines.photos import label_photo, person_name, photograph, view_path
from jiff.pipelines.rig import photo_body
from jiff.synthetic.sitter import Sitter


@dataclass(frozen=True)
class Row:
    """One network of the table.

    Attributes:
        name: in the table.
        face, carried: which labels it learns from; see ``label_photo``.
        options: of ``jiff train person``.
    """

    name: str
    face: bool
    carried: bool
    options: tuple[str, ...] = ()


ROWS = (
    Row("picture alone", False, False, ("--no-body", "--no-close-up")),
    Row("+ body", False, False, ("--no-close-up",)),
    Row("+ face on it", True, False, ("--no-close-up",)),
    Row("+ close-up", True, False),
    Row("+ carried points", True, True),
    Row("the last, without face", False, True),
)
LABELS = tuple(dict.fromkeys((row.face, row.carried) for row in ROWS))
_MEASURES = (
    ("body", "iou", "body IoU", 3),
    ("body", "chamfer_cm", "body Chamfer, cm", 2),
    ("face", "aligned_chamfer_cm", "face Chamfer, cm", 3),
    ("face", "aligned_normal_deg", "face normals, degrees", 1),
)
"""Region, measure, heading, digits; faces after their own rigid alignment."""
_FACE = ("face", "aligned_chamfer_cm")
"""Absent where no surface is near the face, or too little to align."""


def _folder(out: Path, face: bool, carried: bool) -> Path:
    return out / f"{'face' if face else 'bare'}_{'carried' if carried else 'whole'}"


def make_photos(out: Path, people: int, views: int, seed: int, console: Console) -> None:
    """Photograph people and write what networks learn from, once per kind of labels."""
    if ensure_networks(NullProgress()) is None:
        raise AssetError("The networks that see people are missing; run `jiff assets fetch perception`.")
    done = [make_folder(_folder(out, *kind)) for kind in LABELS]
    settings = {"views": views, "seed": seed}
    for number in range(people):
        name = person_name(number)
        if all(is_done(folder / name / "person.json", settings) for folder in done):
            continue
        sitter, made = Sitter(seed + number, 1024), 0
        for attempt in range(4 * views):
            rng = np.random.default_rng([seed + number, 31, attempt])
            found = photograph(sitter, rng)
            if found is None:
                continue
            for face, carried in LABELS:
                view = label_photo(found, copy.deepcopy(rng), face=face, carried=carried)
                write_view(view_path(make_folder(_folder(out, face, carried) / name), made), view)
            made += 1
            if made == views:
                break
        for folder in done:
            if made:
                write_json(folder / name / "person.json", settings)
        console.print(f"{name}: {made} photos")
    for folder in done:
        write_text(folder / "val.txt", "")


def is_done(path: Path, settings: dict[str, Any]) -> bool:
    """Tell whether a step's mark is there and was left by the same settings."""
    return path.is_file() and read_json(path) == settings


def run_jiff(arguments: Sequence[str]) -> None:
    """Run a command of jiff in a process of its own; people who fail are no reason to stop."""
    done = subprocess.run([sys.executable, "-m", "jiff_cli", *arguments, "--quiet"], check=False)
    # 1 tells that some of the people failed; who is missing is left out of every row.
    if done.returncode not in (0, 1):
        raise SystemExit(f"jiff {' '.join(arguments)}: exit status {done.returncode}")


def run_name(row: Row, seed: int) -> str:
    """Return the name of a row's run, meshes and measurements."""
    return f"row{ROWS.index(row)}_seed{seed}"


def train(out: Path, seeds: int, steps: int, preset: str, console: Console) -> None:
    """Train every row from every seed."""
    settings = {"steps": steps, "preset": preset}
    for seed in range(seeds):
        for row in ROWS:
            name = run_name(row, seed)
            mark = out / "runs" / name / "trained.json"
            if is_done(mark, settings):
                continue
            run_jiff(["train", "person", "-i", str(_folder(out, row.face, row.carried)), "--preset", preset, "--name", name,
                  "--checkpoints-path", str(out / "runs"), "--max-steps", str(steps), "--seed", str(seed), "--overwrite",
                  "--torch-threads", "1", "--no-num-eval", *row.options])  # fmt: skip
            write_json(mark, settings)
            console.print(f"trained {name}")


def _bare_photos(held: Path) -> Path:
    """Return the held-out photos with bodies that do not carry the photo's face."""
    bare = held / "photos_bare"
    if not bare.is_dir():
        with atomic_folder(bare) as temporary:
            for path in (held / "photos").iterdir():
                if path.is_file() and "_body." not in path.name and not path.name.endswith("_fit.json"):
                    shutil.copy(path, temporary)
            run_jiff(["data", "body", "-i", str(temporary), "--no-face", "-j", "1"])
    return bare


def measure(out: Path, held: Path, seeds: int, resolution: int, console: Console) -> None:
    """Reconstruct the held-out people with every network, measure, and print mean and spread over seeds."""
    folders = {True: held / "photos", False: _bare_photos(held)}
    found: dict[str, list[dict[str, Any]]] = {row.name: [] for row in ROWS}
    for seed in range(seeds):
        for row in ROWS:
            name = run_name(row, seed)
            meshes, measured = out / "meshes" / name, out / "measured" / name
            settings = {
                "resolution": resolution,
                "held": str(held),
                **read_json(out / "runs" / name / "trained.json"),
            }
            if not is_done(measured / "done.json", settings):
                _reconstruct(out / "runs" / name, folders[row.face], make_folder(meshes), resolution)
                run_jiff(["eval", "metrics", str(meshes), str(held / "scans"), "-o", str(measured), "--align", "depth",
                      "--face-regions", str(held / "regions")])  # fmt: skip
                write_json(measured / "done.json", settings)
            found[row.name].append(read_json(measured / "metrics.json")["subjects"])
            console.print(f"measured {name}")
    write_json(out / "ablation.json", print_table(found, console))


def print_table(
    found: dict[str, list[dict[str, Any]]], console: Console
) -> dict[str, dict[str, list[float]]]:
    """Print mean and spread over seeds of every row, each measure over the people of whom every run of every row has it.

    Args:
        found: row -> per seed, what ``jiff eval metrics`` says of each person.
        console: to print to.

    Returns:
        Row -> heading -> value per seed.
    """
    every = [run for runs in found.values() for run in runs]
    everybody = sorted(set.intersection(*map(set, every)))
    shared = {
        (region, key): [name for name in everybody if all(_value(run, name, region, key) is not None for run in every)]
        for region, key, _, _ in _MEASURES
    }  # fmt: skip
    table = Table("network", *(title for _, _, title, _ in _MEASURES), "faces")
    results: dict[str, dict[str, list[float]]] = {}
    for row, runs in found.items():
        results[row], cells = {}, []
        for region, key, title, digits in _MEASURES:
            values = [_mean(run, shared[region, key], region, key) for run in runs]
            results[row][title] = values
            cells.append(f"{np.mean(values):.{digits}f} ± {np.std(values):.{digits}f}")
        faces = [sum(_value(run, name, *_FACE) is not None for name in everybody) for run in runs]
        results[row]["faces"] = [float(count) for count in faces]
        table.add_row(row, *cells, f"{np.mean(faces):.1f}")
    console.print(f"{len(everybody)} people are in every row; faces are those of {', '.join(shared[_FACE])}")
    console.print(table)
    return results


def _reconstruct(run: Path, photos: Path, meshes: Path, resolution: int) -> None:
    """Write a mesh of everybody; those whose body is refused, or who have no surface, are left out."""
    network = load_published(run / "person" / "latest.safetensors", "person")
    if not isinstance(network, PersonNetwork):
        raise SystemExit(f"{run}: holds no person network.")
    options = HeldOptions(resolution, output=MeshOutput(texture="vertex"))
    for files in list_people(photos):
        try:
            person = reconstruct_held(network, read_person(files), photo_body(files.body), options)
        except JiffError as error:
            Console(stderr=True).print(f"{files.name}: {error}")
            continue
        save_mesh(person.mesh, meshes / f"{files.name}.obj")


def _value(run: dict[str, Any], name: str, region: str, key: str) -> float | None:
    return (run[name].get(region) or {}).get(key)


def _mean(run: dict[str, Any], people: Sequence[str], region: str, key: str) -> float:
    return float(np.mean([_value(run, name, region, key) for name in people])) if people else float("nan")


def main() -> int:
    """Do one step."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("step", choices=["photos", "train", "measure"])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--held", type=Path)
    parser.add_argument("--people", type=int, default=100)
    parser.add_argument("--views", type=int, default=2)
    parser.add_argument("--seed", type=int, default=700_000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--preset", default="demo")
    parser.add_argument("--resolution", type=int, default=160)
    options = parser.parse_args()
    console = Console(width=140)
    # Beside other work two threads wait for one another.
    torch.set_num_threads(1)
    if options.step == "photos":
        make_photos(options.out, options.people, options.views, options.seed, console)
    elif options.step == "train":
        train(options.out, options.seeds, options.steps, options.preset, console)
    elif options.held is None:
        parser.error("measure needs --held")
    else:
        measure(options.out, options.held, options.seeds, options.resolution, console)
    return 0


if __name__ == "__main__":
    sys.exit(main())
