"""Views of people whose bodies are known, as the pose network sees them; what the body fit learns from and is measured on.

``python -m benchmarks.body_views --out FILE --seed N --people N --poses N`` draws poses; with ``--captured FILE`` every
person takes one captured pose instead. About three views a second on one core.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from benchmarks.captured_poses import fit_captured
from jiff.body.fit.observed import Observation
from jiff.body.phenotype import LABELS
from jiff.body.poses import sample_joint_pose
from jiff.body.skeleton import JointPose
from jiff.geometry.camera import Camera
from jiff.geometry.mesh import Mesh
from jiff.perception.files import find_networks
from jiff.perception.networks import PersonNetworks
from jiff.perception.people import person_in, see_face
from jiff.render.environments import generate_environments
from jiff.render.prt_io import Prt
from jiff.render.sh import clamped_cosine_sh
from jiff.render.shading import ShadedScan
from jiff.synthetic.sitter import Sitter, turned
from jiff.synthetic.snapshot import noise_background

VERTEX_STRIDE = 3
"""Every so many of the skin's vertices are kept."""


@dataclass(frozen=True, eq=False)
class Views:
    """N views, in the photo's frame (frontal canonical camera), world units.

    Attributes:
        points, depth, visibility, presence, metres: [N, 33, ...] as of ``Observation``.
        face: [N, 468, 3] face points, NaN where no face is seen.
        mask: [N, 256, 256] uint8.
        turns: [N, 21, 3] true rotation vectors; the root's holds the photo's turn.
        hands: [N, 2, 3].
        scale: [N] world units per metre of anny's body.
        offset: [N, 3] of the body's origin.
        vertices: [N, V, 3] every third vertex of the bare skin.
        bones: [N, 163, 3] heads of bones.
        phenotypes: [N, 11] in the order of ``phenotype.LABELS``.
        seed: [N] of the person.
    """

    points: NDArray[np.float64]
    depth: NDArray[np.float64]
    visibility: NDArray[np.float64]
    presence: NDArray[np.float64]
    metres: NDArray[np.float64]
    face: NDArray[np.float64]
    mask: NDArray[np.uint8]
    turns: NDArray[np.float64]
    hands: NDArray[np.float64]
    scale: NDArray[np.float64]
    offset: NDArray[np.float64]
    vertices: NDArray[np.float32]
    bones: NDArray[np.float64]
    phenotypes: NDArray[np.float64]
    seed: NDArray[np.int64]

    def observations(self) -> list[Observation]:
        """Return what is seen, view by view."""
        return [self.observation(k) for k in range(len(self.points))]

    def observation(self, k: int) -> Observation:
        """Return what is seen in view ``k``."""
        face = None if np.isnan(self.face[k, 0, 0]) else self.face[k]
        return Observation(
            self.points[k], self.depth[k], self.visibility[k], self.presence[k], self.metres[k], face,
            self.mask[k].astype(np.float32) / 255.0,
        )  # fmt: skip


def read_views(paths: list[Path]) -> Views:
    """Return the views of several files as one."""
    names = Views.__dataclass_fields__
    parts = []
    for path in paths:
        with np.load(path, allow_pickle=False) as stored:
            parts.append({name: stored[name] for name in names})
    return Views(**{name: np.concatenate([part[name] for part in parts]) for name in names})


def picture_of(mesh: Mesh, rng: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.uint8], Camera]:
    """Return a picture [S, S, 3] in a drawn light before a noise background, its true mask [S, S] and its camera."""
    import cv2

    shaded = ShadedScan(mesh, Prt(clamped_cosine_sh(mesh.vertex_normals()).astype(np.float32), mesh.faces))
    camera = Camera(size=int(rng.choice([512, 768])))
    light = generate_environments(1, int(rng.integers(2**31)))[0]
    frame = shaded.render(camera, light, samples=2)
    weight = frame.mask[..., None] / 255.0
    mixed = frame.image / 255.0 + noise_background(camera.size, rng) * (1 - weight)
    blurred = cv2.GaussianBlur(mixed, (0, 0), rng.uniform(0.4, 1.2))
    noisy = blurred + rng.normal(0, rng.uniform(0.0, 0.02), blurred.shape)
    return np.rint(np.clip(noisy, 0, 1) * 255).astype(np.uint8), frame.mask, camera


def view_of(
    networks: PersonNetworks, person: Sitter, pose: JointPose, rng: np.random.Generator
) -> tuple[dict[str, object], NDArray[np.uint8]] | None:
    """Return the values of one view of ``Views`` and its picture; None where the networks see nobody."""
    import cv2

    pose = turned(pose, rng)
    sitting = person.posed(pose)
    mesh, placed = sitting.mesh, sitting.body
    picture, mask, camera = picture_of(mesh, rng)
    seen = person_in(networks, picture, mask)
    if seen is None:
        return None
    found = seen.pose
    unit = 2 * camera.half_width_world / camera.size
    points = np.full((468, 3), np.nan)
    face = see_face(networks, picture, found)
    if face is not None:
        points = np.column_stack([camera.pixel_to_world(face.points_px)[:, :2], -unit * face.points_px[:, 2]])
    body = person.body
    return {
        "points": camera.pixel_to_world(found.points_px)[:, :2],
        "depth": -unit * found.depth_px,
        "visibility": found.visibility,
        "presence": found.presence,
        "metres": found.points_m * [1.0, -1.0, -1.0],
        "face": points.astype(np.float32),
        "mask": cv2.resize(mask, (256, 256), interpolation=cv2.INTER_AREA),
        "turns": pose.turns,
        "hands": pose.hands,
        "scale": placed.scale,
        "offset": placed.offset_world,
        "vertices": placed.vertices_world(body)[:13380:VERTEX_STRIDE].astype(np.float32),
        "bones": placed.bones_world(body),
        "phenotypes": np.array([placed.phenotypes.get(name, 0.5) for name in LABELS]),
    }, picture


def make_views(
    networks: PersonNetworks,
    seed: int,
    people: int,
    poses: int,
    captured: list[JointPose] | None = None,
    *,
    accessories: bool = True,
) -> Iterator[tuple[dict[str, object], NDArray[np.uint8]]]:
    """Yield views of people from ``seed`` on, in drawn poses or, one each, in captured ones."""
    for number in range(people):
        person = Sitter(seed + number, accessories=accessories)
        rng = np.random.default_rng([seed + number, 77])
        for _ in range(1 if captured else poses):
            pose = captured[number * len(captured) // people] if captured else sample_joint_pose(rng).pose
            made = view_of(networks, person, pose, rng)
            if made is not None:
                made[0]["seed"] = seed + number
                yield made


def main() -> int:
    """Make views and store them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=10_000)
    parser.add_argument("--people", type=int, default=500)
    parser.add_argument("--poses", type=int, default=6)
    parser.add_argument("--captured", type=Path)
    parser.add_argument(
        "--captured-from", type=int, default=0, help="the first captured pose; others follow evenly"
    )
    parser.add_argument(
        "--plain", action="store_true", help="people without glasses, hats, bags, coats and the like"
    )
    options = parser.parse_args()
    console = Console()
    networks = find_networks()
    if networks is None:
        parser.error("the networks are missing; run `jiff assets fetch perception`")
    captured = None
    if options.captured is not None:
        chosen = (np.arange(options.people) * 391 // options.people + options.captured_from) % 391
        captured = fit_captured(options.captured, chosen)[0]
    rows: list[dict[str, object]] = []
    made = make_views(
        networks, options.seed, options.people, options.poses, captured, accessories=not options.plain
    )
    for row, _ in made:
        rows.append(row)
        if len(rows) % 100 == 0:
            console.print(f"{len(rows)} views")
    with open(options.out, "wb") as handle:
        arrays: dict[str, Any] = {name: np.stack([np.asarray(row[name]) for row in rows]) for name in rows[0]}
        np.savez(handle, **arrays)
    console.print(f"{len(rows)} views of {options.people} people")
    return 0


if __name__ == "__main__":
    sys.exit(main())
