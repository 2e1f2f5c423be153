"""Learn what the face network makes of faces: ``python -m benchmarks.learn_face_habits --people DIR --out FILE``.

Synthetic people are photographed from many sides in many lights. In the frame that lays the mean face onto the network's points, a
ridge regression leads from what the network says to where the points of the known skin are. Held-out people say with
how many directions (``--held-out`` of the people, printed) before all are used.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from benchmarks.learn_face_points import true_fit
from benchmarks.seen_people import photograph, seen_scan
from jiff.face.fit.fitting import FaceFitter
from jiff.face.fit.points_fit import points_in_camera
from jiff.face.habits import Habits, in_face_frame
from jiff.face.models.anny_face import load_anny_face
from jiff.face.points import ModelPoints, anny_points, learnt_points
from jiff.geometry.camera import Camera
from jiff.perception.files import find_networks
from jiff.perception.networks import PersonNetworks
from jiff.perception.people import find_people, see_face

VIEWS, DIRECTIONS, RIDGE = 5, 20, 0.17
"""Per person; kept; of one direction's sum of squares per sample, in units of the spread."""


def samples_of(
    networks: PersonNetworks, folder: Path, seed: int, index: int, fitter: FaceFitter, points: ModelPoints
) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Return what the network says and what is true, [N, 3] each, in the face's frame, of the views of one person."""
    scan = seen_scan(folder, seed, index)
    skin = points.on(true_fit(fitter, scan.face, scan.five_world).vertices(fitter.model))
    rng = np.random.default_rng([seed, index, 468])
    found = []
    for view in range(VIEWS):
        yaw, pitch = rng.uniform(-55, 55), rng.uniform(-20, 20)
        size = int(rng.choice([768, 1024]))
        rgb, _, camera = photograph(scan, 1000 * index + view, yaw, pitch, size)
        people = find_people(networks, rgb)
        face = see_face(networks, rgb, people[0].pose) if people else None
        if face is not None:
            found.append(sample(points, camera, face.points_px, skin))
    return found


def sample(
    points: ModelPoints, camera: Camera, mesh_px: NDArray[np.float64], skin_world: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return what the network says and what is true, [N, 3] each, in the face's frame."""
    _, places, spread = learnt_points()
    target = points_in_camera(points, camera, mesh_px)
    scale, rotation, offset, said = in_face_frame(places, spread, target)
    true = skin_world @ np.asarray(camera.rotation).T
    true[:, 2] += np.mean(target[:, 2] - true[:, 2])
    return said, (true - offset) @ rotation / scale - places


def learn(said: NDArray[np.float64], true: NDArray[np.float64], count: int = DIRECTIONS) -> Habits:
    """Return the map from samples [M, N, 3] of what is said to those of what is true."""
    _, places, spread = learnt_points()
    weight = 1.0 / spread[:, None]
    mean_said, mean_true = said.mean(0), true.mean(0)
    away = ((said - mean_said) * weight).reshape(len(said), -1)
    _, _, axes = np.linalg.svd(away, full_matrices=False)
    count = min(count, len(axes))
    strength = away @ axes[:count].T
    gram = strength.T @ strength + RIDGE * len(said) * np.eye(count)
    answers = np.linalg.solve(gram, strength.T @ (true - mean_true).reshape(len(true), -1))
    directions = axes[:count].reshape(count, -1, 3) * weight
    answers = answers.reshape(count, -1, 3)
    rest = true - mean_true - np.tensordot(strength, answers, axes=1)
    left = np.sqrt((rest**2).mean((0, 2)))
    return Habits(places, spread, mean_said, mean_true, directions, answers, left)


def main() -> int:
    """Learn, print what held-out people say, and write the map."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--count", type=int, default=120)
    parser.add_argument("--seed", type=int, default=1000)
    parser.add_argument("--held-out", type=int, default=30)
    options = parser.parse_args()
    console = Console()
    networks = find_networks()
    if networks is None:
        parser.error("the networks are missing; run `jiff assets fetch perception`")
    fitter = FaceFitter(load_anny_face())
    points = anny_points(fitter.model, habits=False)
    people = [
        samples_of(networks, options.people, options.seed, index, fitter, points)
        for index in range(options.count)
    ]
    tell(people, options.held_out, console)
    said, true = (np.stack([pair[k] for views in people for pair in views]) for k in (0, 1))
    write(learn(said, true), options.out)
    return 0


def tell(
    people: list[list[tuple[NDArray[np.float64], NDArray[np.float64]]]], held_out: int, console: Console
) -> None:
    """Print the error of the points of the last ``held_out`` people by the number of directions."""
    said, true = (np.stack([pair[k] for views in people[:-held_out] for pair in views]) for k in (0, 1))
    new_said, new_true = (
        np.stack([pair[k] for views in people[-held_out:] for pair in views]) for k in (0, 1)
    )
    console.print(f"said: {np.sqrt(((new_said - new_true) ** 2).mean((0, 1))).round(3)} cm in x, y, z")
    for count in (1, 5, 10, 20, 40, 80):
        h = learn(said, true, count)
        strength = np.tensordot(new_said - h.said, h.directions, axes=([1, 2], [1, 2]))
        gap = new_true - h.true - np.tensordot(strength, h.answers, axes=1)
        console.print(f"{count} directions: {np.sqrt((gap**2).mean((0, 1))).round(3)} cm")


def write(habits: Habits, path: Path) -> None:
    """Write a map; half precision is a thousandth of a displacement."""
    arrays = {name: np.asarray(value).astype(np.float16) for name, value in asdict(habits).items()}
    arrays |= {"places": habits.places.astype(np.float32), "spread": habits.spread.astype(np.float32)}
    with path.open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]


if __name__ == "__main__":
    sys.exit(main())
