"""A person whose body is known, as the pose network would see them without error."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from jiff.body.anny_body import load_anny_body
from jiff.body.fit.marks import SKIN_VERTICES, load_marks
from jiff.body.fit.observed import Observation
from jiff.body.placed import PlacedBody
from jiff.body.skeleton import JOINTS, JointPose
from jiff.geometry.camera import Camera
from jiff.geometry.io.mesh_io import save_image
from jiff.geometry.mesh import Mesh
from jiff.perception.landmarks import POSE_NAMES
from jiff.render.gbuffer import render_gbuffer

SIZE = 256


def standing_body(**turns: tuple[float, float, float]) -> PlacedBody:
    """Return an average adult in the photo's world, arms hanging, with further turns of joints (``upperarm_L=...``)."""
    pose = JointPose.rest()
    pose.turns[JOINTS.index("upperarm.L")] = [0.0, 0.0, -0.55]
    pose.turns[JOINTS.index("upperarm.R")] = [0.0, 0.0, 0.55]
    for name, turn in turns.items():
        pose.turns[JOINTS.index(name.replace("_", "."))] = turn
    return PlacedBody({"gender": 0.4}, pose, 100.0, np.array([0.0, 85.0, 0.0]))


def marks_world(placed: PlacedBody) -> NDArray[np.float64]:
    """Return [33, 3] landmarks of a body, world units."""
    body, marks = load_anny_body(), load_marks()
    points = np.concatenate(
        [placed.vertices_world(body)[marks.vertices], placed.bones_world(body)[marks.bones]]
    )
    return np.asarray(marks.mixture @ points)


def silhouette(placed: PlacedBody) -> NDArray[np.uint8]:
    """Return [256, 256] the body's mask in the canonical camera."""
    body = load_anny_body()
    skin = body.triangles[np.tile(body.quad_group == 0, 2)].astype(np.int64)
    return person_mask_of(Mesh(placed.vertices_world(body)[:SKIN_VERTICES], skin))


def person_mask_of(mesh: Mesh) -> NDArray[np.uint8]:
    """Return [256, 256] the mask of a mesh in the canonical camera."""
    return np.rint(render_gbuffer(mesh, Camera(size=SIZE), 1).coverage() * 255).astype(np.uint8)


def observed(placed: PlacedBody) -> Observation:
    """Return what is seen of a body: exact landmarks, depth and mask, no face."""
    marks = marks_world(placed)
    depth = marks[:, 2] - marks[[23, 24], 2].mean()
    metres = (marks - marks[[23, 24]].mean(axis=0)) / placed.scale
    seen = np.ones(33)
    return Observation(marks[:, :2], depth, seen, seen, metres, None, silhouette(placed) / np.float32(255))


def write_framed(folder: Path, name: str, *, scattered: bool = False) -> None:
    """Write a framed photo whose landmarks are known; the photo is twice as large as the frame and shifted."""
    placed = standing_body(upperarm_R=(0.0, 0.0, -0.6))
    marks = marks_world(placed)
    mask = silhouette(placed)
    save_image(folder / f"{name}.png", np.repeat(mask[..., None], 3, axis=2) // 2)
    save_image(folder / f"{name}_mask.png", mask)
    camera = Camera(size=SIZE)
    pixels = camera.world_to_pixel(marks) * 2 + [30.0, 10.0]
    if scattered:
        pixels = np.random.default_rng(3).uniform(0, 500, (33, 2))
    unit = 2 * camera.half_width_world / SIZE / 2
    metres = (marks - marks[[23, 24]].mean(axis=0)) / placed.scale * [1, -1, -1]
    pose = {
        "names": list(POSE_NAMES), "score": 1.0, "points_px": pixels.tolist(),
        "depth_px": (-(marks[:, 2] - marks[[23, 24], 2].mean()) / unit).tolist(),
        "visibility": [1.0] * 33, "presence": [1.0] * 33, "points_m": metres.tolist(),
    }  # fmt: skip
    record = {"format": 1, "pose": pose, "face": None, "head_window": None}
    (folder / f"{name}_person.json").write_text(json.dumps(record))
    framing = {"frame_to_photo": [[2.0, 0.0, 30.0], [0.0, 2.0, 10.0]], "size": SIZE}
    (folder / f"{name}_framing.json").write_text(json.dumps(framing))
