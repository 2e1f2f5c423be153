"""Bodies: anny on torch against NumPy, and the fit to people seen by the person networks against the regressor alone."""

from __future__ import annotations

import time

import numpy as np
import torch

from benchmarks.bodies_seen import measure
from benchmarks.body_views import Views, make_views
from benchmarks.row import Row, best_seconds
from jiff.body.anny_body import load_anny_body
from jiff.body.fit.fitting import BodyFitter
from jiff.body.fit.regressor import load_regressor, predict
from jiff.body.poses import sample_joint_pose
from jiff.body.skeleton import JOINT_HEADS, bone_rotations
from jiff.body.torch_body import TorchBody, default_phenotypes
from jiff.body.torch_skeleton import JointsToBones
from jiff.face.models.anny_on_body import face_places
from jiff.perception.files import find_networks

SEED = 940_000
_BATCH = 16


def _twin_row() -> Row:
    """Return the time of posing 16 whole bodies."""
    body = load_anny_body()
    rng = np.random.default_rng(SEED)
    poses = [sample_joint_pose(rng).pose for _ in range(_BATCH)]
    rest = body.rest_vertices()

    def one_by_one() -> None:
        for pose in poses:
            body.pose(rest, bone_rotations(pose))

    torch_body = TorchBody(body)
    bones = JointsToBones(body.bone_labels)
    turns = torch.tensor(np.stack([pose.turns for pose in poses]), dtype=torch.float32)
    hands = torch.tensor(np.stack([pose.hands for pose in poses]), dtype=torch.float32)

    with torch.inference_mode():
        vertices, heads = torch_body.rest(torch_body.shape_weights(default_phenotypes(1)))

    def together() -> None:
        with torch.inference_mode():
            linear, offset = torch_body.bone_transforms(heads.expand(_BATCH, -1, -1), bones(turns, hands))
            torch_body.pose(vertices.expand(_BATCH, -1, -1), linear, offset)

    return Row(
        "16 whole bodies posed on torch, one core (NumPy one by one)",
        best_seconds(together),
        "s",
        best_seconds(one_by_one),
    )


def run(quick: bool) -> list[Row]:
    """Fit the bodies of twelve people in drawn poses; ``quick`` three."""
    torch.set_num_threads(1)
    networks = find_networks()
    if networks is None:
        raise RuntimeError("the person networks are missing; run `jiff assets fetch perception`")
    rows = [row for row, _ in make_views(networks, SEED, 3 if quick else 12, 1)]
    views = Views(**{name: np.stack([np.asarray(row[name]) for row in rows]) for name in rows[0]})
    body, network = load_anny_body(), load_regressor()
    fitter = BodyFitter(body, face=face_places())
    heads = [body.bone_labels.index(name) for name in JOINT_HEADS]
    seconds, told_seconds, joints, told_joints, landmarks = [], [], [], [], []
    for k in range(len(views.points)):
        seen = views.observation(k)
        begun = time.perf_counter()
        told = predict(network, seen)
        told_seconds.append(time.perf_counter() - begun)
        fit = fitter.fit(seen, told)
        seconds.append(time.perf_counter() - begun)
        found = measure(fit, views, k, body)
        joints.append(found["joints"])
        landmarks.append(found["landmarks"])
        true = views.bones[k][heads]
        gap = np.linalg.norm(told.joints - (true - true[0]), axis=1)
        told_joints.append(float(gap.mean()) * 100 / float(views.scale[k]))
    return [
        _twin_row(),
        Row("body of a photo, one core (regressor alone)", float(np.median(seconds)), "s", float(np.median(told_seconds)), target="3 s"),
        Row("joints off, drawn poses, roots laid onto each other (regressor alone)", float(np.mean(np.array(joints, dtype=np.float64))), "cm", float(np.mean(told_joints)), target="6 cm"),
        Row("landmarks off in the picture, of the height", float(np.mean(np.array(landmarks, dtype=np.float64))), "%", target="1 %"),
    ]  # fmt: skip
