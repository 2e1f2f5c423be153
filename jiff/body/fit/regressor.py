"""From landmarks to joint rotations: start and prior of the body fit, and how far both may be trusted.

A small network that has seen what the pose network makes of people whose bodies are known (``python -m
benchmarks.learn_body``): it undoes that network's habits, such as a forward lean and elbows that are always in front.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from jiff.body.fit.observed import FEATURES, LANDMARKS, MIRROR_33, Observation, features, mirrored
from jiff.body.skeleton import JOINTS
from jiff.body.torch_skeleton import rotation_from_six

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHAPES = ("gender", "muscle", "weight", "height", "proportions")
"""Phenotypes that are told; the others are those of an average adult."""
MIRROR_JOINTS = tuple(
    JOINTS.index(name[:-1] + ("R" if name[-1] == "L" else "L")) if name[-2:] in (".L", ".R") else k
    for k, name in enumerate(JOINTS)
)
_J = len(JOINTS)
_PARTS = {
    "six": 6 * _J, "hands": 6, "joints": 3 * _J, "joints_log": 3 * _J, "turns_log": _J, "shift": 2 * LANDMARKS,
    "shift_log": LANDMARKS, "scale": 1, "shape": len(SHAPES),
}  # fmt: skip
_FILE = "regressor.safetensors"


class BodyRegressor(nn.Module):
    """Fully connected network on ``features``; inputs are standardised by what it was trained on."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, width: int = 384, layers: int = 3) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(FEATURES))
        self.register_buffer("deviation", torch.ones(FEATURES))
        sizes = [FEATURES, *[width] * layers]
        self.hidden = nn.ModuleList(nn.Linear(a, b) for a, b in itertools.pairwise(sizes))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(layers))
        self.out = nn.Linear(width, sum(_PARTS.values()))

    def forward(self, inputs: Tensor, drop: float = 0.0) -> dict[str, Tensor]:
        """Return the parts of [B, 241] features.

        ``six`` [B, 21, 6] rotations in the photo's frame, ``hands`` [B, 2, 3], ``joints`` [B, 21, 3] places from the root
        and ``shift`` [B, 33, 2] of the landmarks against the body's, both in units of ``Observation.size``, ``scale`` [B]
        world units per metre over that size, ``shape`` [B, 5] of ``SHAPES``; ``..._log`` natural logarithms of standard
        deviations.
        """
        x = ((inputs - self.mean) / self.deviation).clamp(-6, 6)
        for number, (layer, norm) in enumerate(zip(self.hidden, self.norms)):
            step = nn.functional.dropout(nn.functional.gelu(norm(layer(x))), drop, drop > 0)
            x = step if number == 0 else x + step
        parts = dict(zip(_PARTS, self.out(x).split(list(_PARTS.values()), dim=1)))
        parts["six"] = parts["six"].unflatten(1, (_J, 6)) + parts["six"].new_tensor([1.0, 0, 0, 0, 1.0, 0])
        parts["hands"] = parts["hands"].unflatten(1, (2, 3))
        for name in ("joints", "joints_log"):
            parts[name] = parts[name].unflatten(1, (_J, 3))
        parts["shift"] = parts["shift"].unflatten(1, (LANDMARKS, 2))
        parts["scale"] = parts["scale"][:, 0].exp()
        parts["shape"] = parts["shape"].sigmoid()
        return parts


@dataclass(frozen=True, eq=False)
class Prediction:
    """What the regressor tells of one person, in the photo's frame, world units.

    Attributes:
        turns: [21, 3, 3] rotations of ``JOINTS``.
        turns_sigma: [21] their standard deviations, radians.
        hands: [2, 3], see ``JointPose``.
        joints: [21, 3] places from the root.
        joints_sigma: [21, 3].
        shift: [33, 2] how far the landmarks lie from the body's own.
        shift_sigma: [33].
        scale: world units per metre of anny's body.
        phenotypes: of ``SHAPES``.
    """

    turns: NDArray[np.float64]
    turns_sigma: NDArray[np.float64]
    hands: NDArray[np.float64]
    joints: NDArray[np.float64]
    joints_sigma: NDArray[np.float64]
    shift: NDArray[np.float64]
    shift_sigma: NDArray[np.float64]
    scale: float
    phenotypes: dict[str, float]


def _averaged(parts: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the mean of a prediction (first of the batch) and that of the mirror image (second)."""
    sign = parts["six"].new_tensor([-1.0, 1.0, 1.0])
    swap, marks = list(MIRROR_JOINTS), list(MIRROR_33)
    matrices = rotation_from_six(parts["six"])
    # M R M of the other side, with M the mirror at x = 0.
    other = sign[:, None] * matrices[1][swap] * sign
    both = (matrices[0] + other) / 2
    u, _, vt = torch.linalg.svd(both)
    result = {
        "turns": u
        @ torch.diag_embed(torch.stack([torch.ones(_J), torch.ones(_J), torch.linalg.det(u @ vt)], dim=1))
        @ vt
    }
    for name in ("joints_log", "turns_log"):
        result[name] = (parts[name][0] + parts[name][1][swap]) / 2
    result["joints"] = (parts["joints"][0] + parts["joints"][1][swap] * sign) / 2
    result["hands"] = (parts["hands"][0] + parts["hands"][1].flip(0)) / 2
    result["shift"] = (parts["shift"][0] + parts["shift"][1][marks] * sign[:2]) / 2
    result["shift_log"] = (parts["shift_log"][0] + parts["shift_log"][1][marks]) / 2
    for name in ("scale", "shape"):
        result[name] = parts[name].mean(dim=0)
    return result


@torch.inference_mode()
def predict(network: BodyRegressor, seen: Observation) -> Prediction:
    """Return what the network tells, the mean of both mirror images."""
    inputs = torch.from_numpy(np.stack([features(seen), features(mirrored(seen))]))
    found = {name: part.double().numpy() for name, part in _averaged(network(inputs)).items()}
    size = seen.size
    return Prediction(
        turns=found["turns"],
        turns_sigma=np.exp(found["turns_log"]),
        hands=found["hands"],
        joints=found["joints"] * size,
        joints_sigma=np.exp(found["joints_log"]) * size,
        shift=found["shift"] * size,
        shift_sigma=np.exp(found["shift_log"]) * size,
        scale=float(found["scale"]) * size,
        phenotypes={name: float(value) for name, value in zip(SHAPES, found["shape"])},
    )


@lru_cache(maxsize=1)
def load_regressor() -> BodyRegressor:
    """Return the network that the package brings, ready to predict."""
    from safetensors.torch import load

    stored = load((resources.files("jiff.body.fit") / _FILE).read_bytes())
    width, layers = stored["hidden.0.weight"].shape[0], sum(name.startswith("norms.") for name in stored) // 2
    network = BodyRegressor(width, layers)
    network.load_state_dict({name: value.float() for name, value in stored.items()})
    return network.eval()
