"""Views that nobody rendered: drawn bodies with landmarks off by what the pose network was off by in real views.

Thousands a second, so that the regressor knows many more poses than can be rendered; rendered views come after.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from torch import Tensor

from benchmarks.body_views import Views
from jiff.body.anny_body import load_anny_body
from jiff.body.fit.marks import BodyMarks
from jiff.body.fit.observed import FEATURES, HIPS, LANDMARKS, Observation
from jiff.body.fit.regressor import SHAPES
from jiff.body.key_poses import FAMILIES
from jiff.body.poses import sample_joint_pose
from jiff.body.skeleton import JOINT_HEADS, JointPose
from jiff.body.torch_body import PHENOTYPES, TorchBody
from jiff.body.torch_skeleton import JointsToBones
from jiff.synthetic.sitter import drawn_turn

_BATCH = 256
_RARE = 0.5
"""Share of draws that are made of other than everyday poses."""


def places_of(
    marks: BodyMarks, twin: TorchBody, turns: Tensor, hands: Tensor, phenotypes: Tensor
) -> tuple[Tensor, Tensor]:
    """Return landmarks [B, 33, 3] and bones [B, 163, 3], metres; ``twin`` holds ``marks.vertices`` alone."""
    rest, heads = twin.rest(twin.shape_weights(phenotypes))
    linear, offset = twin.bone_transforms(heads, JointsToBones(twin.body.bone_labels)(turns, hands))
    bones = (linear @ heads[..., None])[..., 0] + offset
    points = torch.cat([twin.pose(rest, linear, offset), bones[:, torch.from_numpy(marks.bones)]], dim=1)
    return torch.as_tensor(marks.mixture, dtype=torch.float32) @ points, bones


def _in_hips(points: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(points - points[..., list(HIPS), :].mean(axis=-2, keepdims=True))


def _rather_rare(rng: np.random.Generator) -> JointPose:
    """Draw a pose; everyday ones, of which most draws are, less often than they come."""
    drawn = sample_joint_pose(rng)
    wanted = rng.random() < _RARE
    while wanted and FAMILIES[drawn.kind.split("/")[0]].everyday:
        drawn = sample_joint_pose(rng)
    return drawn.pose


class Habits:
    """How what the pose network says differs from the truth, view by view.

    Args:
        views: with perceived landmarks.
        marks: where they lie on the body.
    """

    def __init__(self, views: Views, marks: BodyMarks) -> None:
        twin = TorchBody(load_anny_body(), marks.vertices)
        turns, hands = (torch.tensor(a, dtype=torch.float32) for a in (views.turns, views.hands))
        found, bones = places_of(
            marks, twin, turns, hands, torch.tensor(views.phenotypes, dtype=torch.float32)
        )
        true = found.double().numpy()
        # Phenotypes tell a body to some per cent; its own bones tell the rest.
        body = bones.double().numpy()
        own = np.linalg.norm(views.bones - views.bones[:, :1], axis=2).mean(axis=1)
        factor = own / np.linalg.norm(body - body[:, :1], axis=2).mean(axis=1)
        true = true * factor[:, None, None] + (views.bones[:, :1] - body[:, :1] * factor[:, None, None])
        size = np.array([seen.size for seen in views.observations()])[:, None, None]
        self.points = (views.points - true[..., :2]) / size
        flat = _in_hips(true) / size
        depth = views.depth[..., None] / size
        depth = depth - depth[:, list(HIPS)].mean(axis=1, keepdims=True)
        self.depth_factor = float((depth[..., 0] * flat[..., 2]).sum() / (flat[..., 2] ** 2).sum())
        self.depth = depth[..., 0] - self.depth_factor * flat[..., 2]
        self.metre_factor = float((views.metres * flat).sum() / (flat**2).sum())
        self.metres = views.metres - self.metre_factor * flat
        self.visibility = views.visibility


def imagine(
    habits: Habits, marks: BodyMarks, count: int, seed: int
) -> tuple[NDArray[np.float32], dict[str, Tensor]]:
    """Return features [N, 241] and truth as of ``learn_body.targets``, without mirror images."""
    rng = np.random.default_rng([seed, 0x1DEA])
    body = load_anny_body()
    twin = TorchBody(body, marks.vertices)
    heads = [body.bone_labels.index(name) for name in JOINT_HEADS]
    rows: list[NDArray[np.float32]] = []
    truth: dict[str, list[NDArray[np.float64]]] = {}
    for start in range(0, count, _BATCH):
        batch = min(_BATCH, count - start)
        turns, hands = np.zeros((batch, 21, 3)), np.zeros((batch, 2, 3))
        for k in range(batch):
            pose = _rather_rare(rng)
            turns[k], hands[k] = pose.turns, pose.hands
        turns[:, 1:] += rng.normal(0, 1, (batch, 20, 3)) * rng.choice([0.0, 0.08, 0.2], (batch, 1, 1))
        for k in range(batch):
            turns[k, 0] = (drawn_turn(rng) * Rotation.from_rotvec(turns[k, 0])).as_rotvec()
        phenotypes = np.full((batch, len(PHENOTYPES)), 0.5)
        for name in SHAPES:
            phenotypes[:, PHENOTYPES.index(name)] = rng.uniform(0.05, 0.95, batch)
        phenotypes[:, PHENOTYPES.index("age")] = rng.uniform(2 / 3, 1.0, batch)
        with torch.inference_mode():
            found, bones = places_of(
                marks, twin, *(torch.tensor(a, dtype=torch.float32) for a in (turns, hands, phenotypes))
            )
        true, joints = found.double().numpy(), bones.double().numpy()[:, heads]
        for k in range(batch):
            pick = int(rng.integers(len(habits.points)))
            much = float(rng.uniform(0.6, 1.3))
            gap = true[k, :, :2] - true[k, :, :2].mean(axis=0)
            size = float(np.sqrt((gap**2).sum(axis=1).mean()))
            flat = _in_hips(true[k]) / size
            points = true[k, :, :2] / size + much * habits.points[pick]
            depth = habits.depth_factor * flat[:, 2] + much * habits.depth[pick]
            metres = habits.metre_factor * flat + much * habits.metres[pick]
            seen = Observation(points, depth, habits.visibility[pick], np.ones(LANDMARKS), metres)
            ratio = seen.size
            # The head's own turn is seen where the face is.
            face = np.zeros(10)
            head = (
                Rotation.from_rotvec(turns[k, 0])
                * Rotation.from_rotvec(turns[k, 1])
                * Rotation.from_rotvec(turns[k, 2])
            )
            head = head * Rotation.from_rotvec(turns[k, 3]) * Rotation.from_rotvec(turns[k, 4])
            looks = (head * Rotation.from_rotvec(rng.normal(0, 0.06, 3))).as_matrix()
            if looks[2, 2] > 0.1 and rng.random() < 0.9:
                face = np.append(looks.T.ravel(), 1.0)
            row = [
                (points - points[list(HIPS)].mean(axis=0)).ravel() / ratio, depth / ratio, seen.visibility,
                (metres * 2.5).ravel(), face,
            ]  # fmt: skip
            rows.append(np.concatenate(row).astype(np.float32))
            whole = size * ratio
            for name, value in {
                "turns": turns[k], "hands": hands[k], "joints": (joints[k] - joints[k, :1]) / whole,
                "shift": much * habits.points[pick] / ratio, "scale": np.array(1.0 / whole),
                "shape": phenotypes[k, [PHENOTYPES.index(n) for n in SHAPES]],
            }.items():  # fmt: skip
                truth.setdefault(name, []).append(np.asarray(value))
    stacked = np.stack(rows)
    if stacked.shape[1] != FEATURES:
        raise AssertionError(stacked.shape)
    tensors = {name: torch.tensor(np.stack(values), dtype=torch.float32) for name, values in truth.items()}
    return stacked, tensors
