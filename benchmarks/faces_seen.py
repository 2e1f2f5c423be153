"""Proof of the person networks on known truth: ``python -m benchmarks.faces_seen --people DIR [--count 40] [--seed 47]``.

Held-out synthetic people (other seeds than those the face points were learnt on) before backgrounds of photographic noise:
masks, and faces against the true skin after rigid alignment; then forty sabotaged photos and forty scans, all to be refused.
``--scans`` fits the scans, clean and with a fringe over half of the face, from landmarks, from the points of the frontal picture,
and from those of three pictures together. ``--compare`` fits the same photos also by the detectors that need no networks (Haar, YuNet with ``--detector-model``).
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from scipy.spatial import cKDTree

from benchmarks.face_people import KnownPerson, distance_to_face, known_person
from benchmarks.face_sabotage import KINDS, Sabotage, sabotage
from benchmarks.seen_people import POSE_JOINTS, SeenScan, photograph, seen_scan, true_joints
from jiff.base.errors import FitError
from jiff.face.detect.detector import FaceDetector, HaarDetector, YuNetDetector
from jiff.face.detect.locate import locate_face
from jiff.face.detect.points_detector import PointsDetector, detection_of
from jiff.face.fit.fitting import FaceFitter, FacePose
from jiff.face.fit.photo_fit import fit_photo, photo_refusal
from jiff.face.fit.points_fit import PointsView
from jiff.face.fit.scan_fit import fit_scan
from jiff.face.fit.seen_fit import close_up_in, fit_seen, seen_refusal
from jiff.face.landmarks import similarity
from jiff.face.models.anny_face import load_anny_face
from jiff.face.points import ModelPoints, anny_points
from jiff.face.surface import FaceScene
from jiff.geometry.camera import Camera
from jiff.geometry.mesh import Mesh
from jiff.perception.crop import Crop
from jiff.perception.files import find_networks
from jiff.perception.landmarks import FacePoints, head_window
from jiff.perception.networks import PersonNetworks
from jiff.perception.people import FACE_SCORE, find_people, see_face
from jiff.photo.seen import see_person
from jiff.pipelines.seen_views import TURNED_DEG
from jiff.render.environments import generate_environments

SEED = 47
YAWS_DEG = (0, 15, -30, 45, -10, 30, -45, 5)
BODY_YAWS_DEG = (0, 25, -40, 80, 150, 180, -110, 10)


def aligned_distance(
    vertices: NDArray[np.float64], five: NDArray[np.float64], scan: SeenScan
) -> NDArray[np.float64]:
    """Return the distance [N] of a face to the true skin once it was moved and turned, never scaled, onto it."""
    _, rotation, _ = similarity(five, scan.five_world)
    moved = (vertices - five.mean(0)) @ rotation.T + scan.five_world.mean(0)
    tree, normals = cKDTree(scan.face.vertices), scan.face.vertex_normals()
    for _ in range(15):
        index = tree.query(moved)[1]
        gap = np.einsum("ij,ij->i", moved - scan.face.vertices[index], normals[index])
        target = moved - gap[:, None] * normals[index]
        _, rotation, _ = similarity(moved, target)
        moved = (moved - moved.mean(0)) @ rotation.T + target.mean(0)
    index = tree.query(moved)[1]
    return np.asarray(np.abs(np.einsum("ij,ij->i", moved - scan.face.vertices[index], normals[index])))


class Seer:
    """Sees and fits as the pipelines do."""

    def __init__(self, networks: PersonNetworks) -> None:
        self.networks = networks
        self.model = load_anny_face()
        self.points = anny_points(self.model)
        self.fitter = FaceFitter(self.model)

    def photo(
        self, rgb: NDArray[np.uint8], mask: NDArray[np.uint8], camera: Camera, face: FacePoints | None
    ) -> FacePose:
        """Return the fit to face points of a photo; FitError when it is refused."""
        if face is None or face.score < FACE_SCORE:
            raise FitError("no face is seen in the photo")
        window = head_window(face)
        close_up = close_up_in(window, window.take(rgb, 256), mask, camera)
        found = detection_of(face)
        pose, quality = fit_seen(self.model, self.points, camera, face.points_px, found.points_px, close_up)
        why = seen_refusal(quality, face.points_px, mask)
        if why is not None:
            raise FitError(why)
        return pose

    def photo_without(
        self, rgb: NDArray[np.uint8], mask: NDArray[np.uint8], camera: Camera, detector: FaceDetector
    ) -> FacePose:
        """Return the fit to a photo by landmarks and pixels, as without the networks; FitError when it is refused."""
        found = locate_face(rgb, mask, detector)
        pose, quality = fit_photo(self.model, camera, rgb, mask, found.points_px, found.evidence)
        fitted_px = camera.world_to_pixel(self.model.five_landmarks(pose.vertices(self.model)))
        why = photo_refusal(quality, rgb, found, fitted_px)
        if why is not None:
            raise FitError(why)
        return pose

    def told(self, case: Sabotage) -> FacePoints:
        """Return what the face network makes of the place that a lying detector tells."""
        five = case.detector.five_px
        eyes, mouth = five[:2].mean(0), five[3:].mean(0)
        middle = (eyes + mouth) / 2
        side = max(3.4 * float(np.linalg.norm(mouth - eyes)), 3.6 * float(np.linalg.norm(five[1] - five[0])))
        face = self.networks.face_in(case.picture, Crop((float(middle[0]), float(middle[1])), side))
        if case.kind == "mirrored landmarks":
            points = face.points_px.copy()
            points[:, 0] = 2 * points[:, 0].mean() - points[:, 0]
            return FacePoints(points, face.score)
        return face


class Faces:
    """The faces that one way of fitting finds, against the truth."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.medians: list[float] = []
        self.refused: list[str] = []

    def add(self, seer: Seer, scan: SeenScan, label: str, fit: Callable[[], FacePose]) -> None:
        """Measure one fit, or note why it was refused."""
        try:
            pose = fit()
        except FitError as error:
            self.refused.append(f"{label}: {error}")
            return
        vertices = pose.vertices(seer.model)
        five = seer.model.five_landmarks(vertices)
        self.medians.append(float(np.median(aligned_distance(vertices[seer.model.core], five, scan))))

    def tell(self, console: Console) -> None:
        """Print median, 90 % and refusals."""
        count = len(self.medians) + len(self.refused)
        m = np.array(self.medians or [np.nan])
        console.print(
            f"face of a photo, {self.name}, against true skin, rigidly aligned: median {np.median(m):.3f} cm,"
            f" 90 % {np.percentile(m, 90):.3f} cm, {len(self.medians)} of {count} accepted; refused: {self.refused}"
        )


def measure(
    seer: Seer, folder: Path, count: int, seed: int, console: Console, others: dict[str, FaceDetector]
) -> None:
    """Print masks and faces of held-out people.

    Args:
        seer: sees and fits.
        folder: keeps the people.
        count: of people.
        seed: of the people.
        console: printed to.
        others: detectors that need no networks, to compare with.
    """
    ious, seconds, framing_failed = [], [], []
    faces = {name: Faces(name) for name in ("the networks", *others)}
    gaps: list[NDArray[np.float64]] = []
    for index in range(count):
        scan = seen_scan(folder, seed, index)
        pitch = (0, 10, -15, 5)[index % 4]
        rgb, mask, body_camera = photograph(scan, index, BODY_YAWS_DEG[index % 8], pitch)
        begun = time.perf_counter()
        try:
            seen = see_person(seer.networks, rgb, str(index), None)
        except Exception as error:  # noqa: BLE001
            framing_failed.append(f"{index}: {error}")
            continue
        seconds.append(time.perf_counter() - begun)
        joints = body_camera.world_to_pixel(true_joints(scan).reshape(-1, 3))
        gaps.append(np.linalg.norm(seen.pose.points_px[np.ravel(POSE_JOINTS)] - joints, axis=1))
        inside, truth = seen.mask >= 128, mask >= 128  # type: ignore[operator]
        ious.append(float((inside & truth).sum() / (inside | truth).sum()))
        rgb, mask, camera = photograph(scan, 7000 + index, YAWS_DEG[index % 8], (0, 8, -8)[index % 3])
        people = find_people(seer.networks, rgb)
        face = see_face(seer.networks, rgb, people[0].pose) if people else None
        label = f"{index} at {YAWS_DEG[index % 8]}"
        faces["the networks"].add(seer, scan, label, partial(seer.photo, rgb, mask, camera, face))
        for name, detector in others.items():
            faces[name].add(seer, scan, label, partial(seer.photo_without, rgb, mask, camera, detector))
    i = np.array(ious)
    console.print(
        f"mask IoU: mean {i.mean():.3f}, median {np.median(i):.3f}, least {i.min():.3f}, {int((i > 0.9).sum())} of {len(i)} above 0.9;"
        f" {np.median(seconds):.2f} s per photo of 1024 pixels; not found: {framing_failed}"
    )
    # 180 world units in a picture of 204.8.
    g, height = np.stack(gaps), 1024 * 180 / 204.8
    per_joint = ", ".join(f"{v:.1f}" for v in g.mean(0).reshape(6, 2).mean(1))
    console.print(
        f"joints: mean {g.mean():.1f} px, median {np.median(g):.1f} px, {100 * g.mean() / height:.2f} % of height;"
        f" shoulders, elbows, wrists, hips, knees, ankles: {per_joint} px"
    )
    for found in faces.values():
        found.tell(console)


def measure_scans(seer: Seer, folder: Path, count: int, seed: int, console: Console) -> None:
    """Print the fits to scans that begin with landmarks, with one picture's points, and with those of three pictures."""
    detector, camera = PointsDetector(seer.networks), Camera()
    ways = ("landmarks", "points of one picture", "points of three pictures")
    found: dict[tuple[str, str], list[NDArray[np.float64]]] = {}
    for index in range(count):
        scan = seen_scan(folder, seed, index)
        light = generate_environments(1, index)[0]
        cameras = [Camera.at_yaw(yaw) for yaw in (0, *TURNED_DEG)]
        frames = [scan.shaded.render(own, light, samples=4) for own in cameras]

        def look(five: NDArray[np.float64]) -> list[PointsView]:
            seen = [
                (own, detector.face_at(frame.image, own.world_to_pixel(five)))
                for own, frame in zip(cameras[1:], frames[1:])  # noqa: B023
            ]
            return [PointsView(own, face.points_px) for own, face in seen if face is not None]

        for kind, mesh in (("clean", scan.mesh), ("fringe", with_fringe(scan))):
            for way in ways:
                points = None if way == ways[0] else seer.points
                try:
                    fit = fit_scan(
                        seer.fitter, FaceScene(mesh), camera, frames[0].image, frames[0].mask, detector,
                        points=points, look=look if way == ways[2] else None,
                    )  # fmt: skip
                except FitError:
                    continue
                gap = distance_to_face(fit.pose.vertices(seer.model)[seer.model.core], scan.face)
                found.setdefault((kind, way), []).append(np.percentile(gap, [50, 90]))
    for (kind, way), rows in found.items():
        both = np.array(rows)
        console.print(
            f"scan, {kind}, {way}: {len(rows)} of {count} accepted, median of the medians {np.median(both[:, 0]):.4f} cm,"
            f" of the 90 % {np.median(both[:, 1]):.3f} cm, worst {both[:, 0].max():.3f} and {both[:, 1].max():.3f} cm"
        )


def with_fringe(scan: SeenScan) -> Mesh:
    """Return the scan with 1.2 cm of hair over the left half of the forehead and the left eye."""
    mesh, eyes = scan.mesh, scan.five_world[:2].mean(0)
    up = eyes - scan.five_world[3:].mean(0)
    from_eyes = mesh.vertices - eyes
    height = from_eyes @ (up / np.linalg.norm(up))
    near = (np.linalg.norm(from_eyes, axis=1) < 11) & (from_eyes[:, 2] > -4)
    share = np.clip((height + 0.8) / 0.6, 0, 1) * np.clip((from_eyes[:, 0] + 1) / 0.6, 0, 1) * near
    return Mesh(mesh.vertices + 1.2 * share[:, None] * mesh.vertex_normals(), mesh.faces)


def _attempts(seer: Seer, case: Sabotage) -> dict[str, Callable[[], object]]:
    """Return the ways in which a sabotaged case is tried; each must raise FitError."""

    def scan(detector: FaceDetector, points: ModelPoints | None = None) -> Callable[[], object]:
        return lambda: fit_scan(
            seer.fitter, FaceScene(case.mesh), Camera(), case.picture, case.mask, detector, points=points
        )

    ways: dict[str, Callable[[], object]] = {
        "photo": lambda: seer.photo(case.picture, case.mask, Camera(), seer.told(case)),
        "scan": scan(case.detector),
    }
    if case.kind in ("face turned away", "no face"):
        ways["scan seen by the networks"] = scan(PointsDetector(seer.networks))
        ways["scan begun with face points"] = scan(PointsDetector(seer.networks), seer.points)
    return ways


def prove_refusals(seer: Seer, cache: Path, count: int, seed: int, console: Console) -> None:
    """Print how many sabotaged photos and scans were accepted."""
    accepted: list[str] = []
    reasons: Counter[str] = Counter()
    tried = 0
    for number in range(count):
        kind = KINDS[number % len(KINDS)]
        person: KnownPerson = known_person(seed, number, cache)
        case = sabotage(kind, person, known_person(seed, (number + 7) % count, cache), number)
        for way, attempt in _attempts(seer, case).items():
            tried += 1
            try:
                attempt()
            except FitError as error:
                reasons[f"{way}: {str(error).split('(')[0][:70]}"] += 1
                continue
            accepted.append(f"{way}: {kind} {number}")
    console.print(f"sabotage: {len(accepted)} of {tried} accepted {accepted}")
    for reason, times in reasons.most_common(12):
        console.print(f"  {times} x {reason}")


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faces_seen", description=__doc__)
    parser.add_argument("--people", type=Path, required=True, help="folder that keeps the people")
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--measure-only", action="store_true", help="leave the sabotage out")
    parser.add_argument("--compare", action="store_true", help="fit the photos also without the networks")
    parser.add_argument("--detector-model", type=Path, help="YuNet file, to compare with it too")
    parser.add_argument("--scans", action="store_true", help="measure the fits to scans, and nothing else")
    options = parser.parse_args()
    networks = find_networks()
    if networks is None:
        parser.error("the networks are missing; run `jiff assets fetch perception`")
    console, seer = Console(width=160), Seer(networks)
    if options.scans:
        measure_scans(seer, options.people, options.count, options.seed, console)
        return 0
    others: dict[str, FaceDetector] = {"Haar": HaarDetector()} if options.compare else {}
    if options.compare and options.detector_model is not None:
        others["YuNet"] = YuNetDetector(options.detector_model)
    measure(seer, options.people, options.count, options.seed, console, others)
    if options.measure_only:
        return 0
    prove_refusals(seer, options.people / "known", options.count, options.seed, console)
    return 0


if __name__ == "__main__":
    sys.exit(main())
