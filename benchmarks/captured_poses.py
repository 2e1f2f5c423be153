"""Anny's joints fitted to captured poses: what poses and body fits are measured on. Nothing captured is kept here."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from jiff.body.anny_body import load_anny_body
from jiff.body.skeleton import JOINTS, JointPose
from jiff.body.torch_body import TorchBody, default_phenotypes
from jiff.body.torch_skeleton import JointsToBones

_BONES = {
    "hip": ("upperleg01.L", "upperleg01.R"), "abdomen": ("spine05",), "chest": ("spine03",), "neck": ("neck01",), "head": ("head",),
    "Shldr": ("upperarm01",), "ForeArm": ("lowerarm01",), "Hand": ("wrist",), "Thigh": ("upperleg01",), "Shin": ("lowerleg01",),
    "Foot": ("foot",),
}  # fmt: skip
_LOOSE = ("hip", "abdomen", "chest", "neck", "head")
"""Places of these differ between skeletons."""


def read_captured(path: Path) -> tuple[list[str], NDArray[np.float64]]:
    """Return names [21] and joints [N, 21, 3] of captured poses, y up, facing +z."""
    with np.load(path, allow_pickle=False) as stored:
        return [str(name) for name in stored["names"]], stored["joints"].astype(np.float64)


def _targets(names: list[str]) -> list[tuple[int, list[str], float]]:
    rows = []
    for k, name in enumerate(names):
        side = {"l": ".L", "r": ".R"}.get(name[0], "") if name[1:2].isupper() else ""
        bones = _BONES.get(name[1:] if side else name)
        if bones is not None:
            rows.append((k, [bone + side for bone in bones], 0.3 if name in _LOOSE else 1.0))
    return rows


def fit_captured(
    path: Path, chosen: NDArray[np.int64], steps: int = 250
) -> tuple[list[JointPose], NDArray[np.float64]]:
    """Return a ``JointPose`` per chosen pose, and the mean distance [N] of limb joints as a share of the height.

    Joint places say nothing about twists: those stay near rest.
    """
    names, joints = read_captured(path)
    body = load_anny_body()
    twin = TorchBody(body, np.arange(3))
    weights = twin.shape_weights(default_phenotypes(1))
    _, heads = twin.rest(weights)
    count = len(chosen)
    heads = heads.expand(count, -1, -1)
    bones = JointsToBones(body.bone_labels)
    rows = _targets(names)
    index = [[body.bone_labels.index(name) for name in group] for _, group, _ in rows]
    target = torch.tensor(joints[chosen][:, [k for k, _, _ in rows]], dtype=torch.float32) * 1.75
    weight = torch.tensor([w for _, _, w in rows])
    turns = torch.zeros(count, len(JOINTS), 3, requires_grad=True)
    scale = torch.zeros(count, requires_grad=True)
    offset = target[:, :1].clone().requires_grad_()
    stiff = torch.full((len(JOINTS), 3), 0.02)
    for k, name in enumerate(JOINTS):
        kind = name.split(".")[0]
        if kind in ("wrist", "toes", "foot", "head"):
            stiff[k] = 0.2
        if kind in ("clavicle", "spine", "chest", "neck"):
            stiff[k] = 0.08
        if kind == "lowerleg":
            stiff[k] = torch.tensor([0.01, 1.0, 1.0])
    optimiser = torch.optim.Adam([turns, scale, offset], 0.05)
    hands = torch.full((count, 2, 3), 0.15)
    hands[..., 2] = 0.0

    def places() -> torch.Tensor:
        linear, shift = twin.bone_transforms(heads, bones(turns, hands))
        posed = (linear @ heads[..., None])[..., 0] + shift
        found = torch.stack([posed[:, group].mean(dim=1) for group in index], dim=1)
        return found * scale.exp()[:, None, None] + offset

    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = 0.06 * (1 - step / steps) + 0.004
        optimiser.zero_grad()
        gap = ((places() - target) ** 2).sum(-1)
        # Knees bend backwards only.
        knees = turns[:, [JOINTS.index("lowerleg.L"), JOINTS.index("lowerleg.R")], 0]
        loss = (gap * weight).sum() + 0.05 * (turns**2 * stiff).sum() + (knees.clamp(max=0.0) ** 2).sum()
        loss.backward()
        optimiser.step()
    with torch.no_grad():
        limb = weight == 1.0
        error = (places() - target).norm(dim=-1)[:, limb].mean(dim=1) / 1.75
    found = [
        JointPose(t.numpy().astype(np.float64), h.numpy().astype(np.float64))
        for t, h in zip(turns.detach(), hands)
    ]
    return found, error.numpy().astype(np.float64)
