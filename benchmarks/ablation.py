"""What each input of prior-held networks is worth, at equal budget, over seeds.

``python -m benchmarks.ablation photos --out FOLDER`` photographs people once and labels them four ways (with or without the
photo's face on the body, carried with the fitted body or not); ``train`` trains every row of the table from every seed;
``measure --held FOLDER`` reconstructs people of ``python -m benchmarks.held_people`` and prints the table. Steps that are done are not done again.
"""

from __future__ import annotations

import argparse
import copy
import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from jiff.base.files import make_folder, read_json, write_json, write_text
from jiff.data.person_view import write_view
from jiff.pipelines.photos import label_photo, photograph
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
    Row("picture alone", True, False, ("--no-body", "--no-close-up")),
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


def _folder(out: Path, face: bool, carried: bool) -> Path:
    return out / f"{'face' if face else 'bare'}_{'carried' if carried else 'whole'}"


def make_photos(out: Path, people: int, views: int, seed: int, console: Console) -> None:
    """Photograph people and write what networks learn from, once per kind of labels."""
    done = [make_folder(_folder(out, *kind)) for kind in LABELS]
    for number in range(people):
        name = f"person_{number:05d}"
        if all((folder / name / "person.json").is_file() for folder in done):
            continue
        sitter, made = Sitter(seed + number, 1024), 0
        for attempt in range(4 * views):
            rng = np.random.default_rng([seed + number, 31, attempt])
            found = photograph(sitter, rng)
            if found is None:
                continue
            for face, carried in LABELS:
                view = label_photo(found, copy.deepcopy(rng), face=face, carried=carried)
                write_view(make_folder(_folder(out, face, carried) / name) / f"view_{made}.npz", view)
            made += 1
            if made == views:
                break
        for folder in done:
            write_json(folder / name / "person.json", {"views": made})
        console.print(f"{name}: {made} photos")
    for folder in done:
        write_text(folder / "val.txt", "")


def _run(arguments: Sequence[str]) -> None:
    subprocess.run([sys.executable, "-m", "jiff_cli", *arguments, "--quiet"], check=True)


def _name(row: Row, seed: int) -> str:
    return f"row{ROWS.index(row)}_seed{seed}"


def train(out: Path, seeds: int, steps: int, preset: str, console: Console) -> None:
    """Train every row from every seed."""
    for seed in range(seeds):
        for row in ROWS:
            name = _name(row, seed)
            if (out / "runs" / name / "person" / "latest.safetensors").is_file():
                continue
            _run(["train", "person", "-i", str(_folder(out, row.face, row.carried)), "--preset", preset, "--name", name,
                  "--checkpoints-path", str(out / "runs"), "--max-steps", str(steps), "--seed", str(seed), "--overwrite",
                  "--torch-threads", "1", "--no-num-eval", *row.options])  # fmt: skip
            console.print(f"trained {name}")


def measure(out: Path, held: Path, seeds: int, resolution: int, console: Console) -> None:
    """Reconstruct the held-out people with every network, measure, and print mean and spread over seeds."""
    bare = held / "photos_bare"
    if not bare.is_dir():
        shutil.copytree(held / "photos", bare)
        for path in [*bare.glob("*_body.*"), *bare.glob("*_fit.json")]:
            path.unlink()
        _run(["data", "body", "-i", str(bare), "--no-face", "-j", "1"])
    results: dict[str, list[dict[str, float]]] = {row.name: [] for row in ROWS}
    for seed in range(seeds):
        for row in ROWS:
            name = _name(row, seed)
            meshes, found = out / "meshes" / name, out / "measured" / name
            if not (found / "done.json").is_file():
                photos = held / "photos" if row.face else bare
                _run(["eval", "jiff", "-i", str(photos), "-o", str(meshes), "--checkpoint", str(out / "runs" / name),
                      "--resolution", str(resolution), "--texture", "vertex", "--format", "obj"])  # fmt: skip
                _run(["eval", "metrics", str(meshes), str(held / "scans"), "-o", str(found), "--align", "depth",
                      "--face-regions", str(held / "regions")])  # fmt: skip
                write_json(found / "done.json", {})
            results[row.name].append(_means(found))
            console.print(f"measured {name}: {results[row.name][-1]}")
    write_text(out / "ablation.json", json.dumps(results, indent=1))
    table = Table("network", *(title for _, _, title, _ in _MEASURES))
    for row in ROWS:
        cells = []
        for region, key, _, digits in _MEASURES:
            values = np.array([found[f"{region} {key}"] for found in results[row.name]])
            cells.append(f"{values.mean():.{digits}f} ± {values.std():.{digits}f}")
        table.add_row(row.name, *cells)
    console.print(table)


def _means(folder: Path) -> dict[str, float]:
    mean = read_json(folder / "metrics.json")["mean"]
    return {f"{region} {key}": float(mean[region][key]) for region, key, _, _ in _MEASURES}


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
