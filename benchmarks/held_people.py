"""Held-out synthetic people whose scans are known, as a test folder: what reconstructions from photos are measured on.

``python -m benchmarks.held_people --out FOLDER --people 24 --seed 940000`` writes ``FOLDER/photos`` (framed photos, masks,
fitted faces and bodies: a test folder), ``FOLDER/scans/<name>.obj`` and ``FOLDER/regions/<name>_region.txt``. With
``--captured FILE`` every person takes one captured pose. Then ``jiff eval jiff -i FOLDER/photos -o OUT`` and
``jiff eval metrics OUT FOLDER/scans --align depth --face-regions FOLDER/regions``.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.console import Console

from benchmarks.captured_poses import fit_captured
from jiff.base.files import make_folder
from jiff.base.progress import NullProgress
from jiff.body.skeleton import JointPose
from jiff.face.box import FaceBox
from jiff.geometry.camera import Camera
from jiff.geometry.io.mesh_io import save_image, save_mesh
from jiff.options.body import BodyConfig
from jiff.options.face import FaceConfig
from jiff.pipelines.body import run_body
from jiff.pipelines.face import run_face
from jiff.synthetic.sitter import Sitter, turned
from jiff.synthetic.snapshot import take_snapshot

_FACE_MARGIN_M = 0.01


def main() -> int:
    """Make the people."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=940_000)
    parser.add_argument("--people", type=int, default=24)
    parser.add_argument("--captured", type=Path)
    options = parser.parse_args()
    console, photos = Console(), make_folder(options.out / "photos")
    scans, regions = make_folder(options.out / "scans"), make_folder(options.out / "regions")
    captured: list[JointPose] = []
    if options.captured is not None:
        captured = fit_captured(options.captured, np.arange(options.people) * 391 // options.people)[0]
    for number in range(options.people):
        sitter = Sitter(options.seed + number, 1024)
        rng = np.random.default_rng([options.seed + number, 91])
        if captured:
            pose = turned(captured[number], rng)
        else:
            pose = sitter.draw_pose(rng)
        sitting = sitter.posed(pose)
        photo = take_snapshot(sitting.mesh, rng, (768,))
        name = f"held_{number:03d}"
        save_image(photos / f"{name}.png", photo.rgb)
        save_image(photos / f"{name}_mask.png", photo.mask)
        save_mesh(replace(sitting.mesh, normals=None), scans / f"{name}.obj")
        face = sitting.body.vertices_world(sitter.body)[sitter.body.region_vertices("head")]
        low, high = face.min(axis=0), face.max(axis=0)
        # The front half of the bare head, ears left out.
        middle, half = (low + high) / 2, (high - low) / 2
        FaceBox(
            float(middle[0] - 0.7 * half[0]), float(middle[0] + 0.7 * half[0]), float(middle[1] - 0.75 * half[1]),
            float(middle[1] + 0.5 * half[1]), float(middle[2] - 0.1 * half[2]), float(high[2] + 2.0),
        ).to_region_file(regions / f"{name}_region.txt", Camera())  # fmt: skip
    run_face(FaceConfig(input=photos, jobs=1), NullProgress())
    report = run_body(BodyConfig(input=photos, jobs=1), NullProgress())
    console.print(f"{options.people} people, {len(report.failures)} without body")
    return 0


if __name__ == "__main__":
    sys.exit(main())
