"""Learn what the body fit knows of the pose network: ``python -m benchmarks.learn_body --views FILE... --out FOLDER``.

The views come from ``python -m benchmarks.body_views``. Writes ``marks.json`` (where the landmarks lie on the body) and
``regressor.safetensors`` (from landmarks to joint rotations). Takes some minutes on one core.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from safetensors.torch import save_file
from scipy.optimize import nnls
from torch import Tensor

from benchmarks.body_views import VERTEX_STRIDE, Views, read_views
from benchmarks.imagined_views import Habits, imagine
from jiff.body.anny_body import load_anny_body
from jiff.body.fit.marks import SKIN_VERTICES, marks_of
from jiff.body.fit.observed import LANDMARKS, Observation, features, mirrored
from jiff.body.fit.regressor import MIRROR_JOINTS, SHAPES, BodyRegressor
from jiff.body.phenotype import LABELS
from jiff.body.skeleton import JOINT_HEADS
from jiff.body.torch_skeleton import rotation_from_six, rotation_matrix

_SEEN = 0.65
"""Visibility from which a landmark tells where it lies."""
_CANDIDATES, _KEPT = 60, 6
_JITTER = 0.012
_TAPER = 0.03
"""Deviation of how much a photo's scale grows upwards; at the feet of somebody who stands, 5 %."""


def learn_marks(views: Views) -> list[dict[str, object]]:
    """Return per landmark its mixture of points of the body, and its spread."""
    vertices, bones = views.vertices[:, :, :2], views.bones[:, :, :2]
    height = 1.7 * views.scale
    rows: list[dict[str, object]] = []
    for mark in range(LANDMARKS):
        seen = np.flatnonzero(views.visibility[:, mark] > _SEEN)
        seen = seen[:: max(1, len(seen) // 900)]
        target = views.points[seen, mark]
        candidates = np.concatenate([vertices[seen], bones[seen]], axis=1)
        skin = np.arange(vertices.shape[1]) * VERTEX_STRIDE
        number = np.concatenate([skin, SKIN_VERTICES + np.arange(bones.shape[1])])
        gap = (candidates - target[:, None]) / height[seen, None, None]
        # The bend of a face may hide a landmark; what is off by a tenth of the body is another thing.
        cost = np.minimum((gap**2).sum(axis=2), 0.03**2).mean(axis=0)
        best = np.argsort(cost)[:_CANDIDATES]
        good = (gap[:, best[0]] ** 2).sum(axis=1) < 0.05**2
        design = gap[good][:, best].transpose(0, 2, 1).reshape(-1, len(best))
        # Shares of sum 1 that are not negative: what is left of the gaps is least.
        heavy = 10.0 * np.sqrt(len(design)) * 0.01
        found, _ = nnls(
            np.vstack([design, np.full((1, len(best)), heavy)]), np.append(np.zeros(len(design)), heavy)
        )
        top = np.argsort(-found)[:_KEPT]
        found, _ = nnls(
            np.vstack([design[:, top], np.full((1, len(top)), heavy)]),
            np.append(np.zeros(len(design)), heavy),
        )
        share = found / found.sum()
        rest = design[:, top] @ share
        rows.append(
            {
                "mixture": {
                    str(number[best[k]]): round(float(s), 4) for k, s in zip(top, share) if s > 0.005
                },
                "spread": round(float(np.sqrt(np.mean(np.minimum(rest**2, 0.05**2)))), 5),
            }
        )
    return rows


def mark_points(rows: list[dict[str, object]], views: Views) -> NDArray[np.float64]:
    """Return [N, 33, 2] true places of the landmarks."""
    result = np.zeros((len(views.points), LANDMARKS, 2))
    for mark, row in enumerate(rows):
        mixture: dict[str, float] = row["mixture"]  # type: ignore[assignment]
        total = sum(mixture.values())
        for key, share in mixture.items():
            k = int(key)
            part = (
                views.vertices[:, k // VERTEX_STRIDE, :2]
                if k < SKIN_VERTICES
                else views.bones[:, k - SKIN_VERTICES, :2]
            )
            result[:, mark] += share / total * part
    return result


def _mirror_turns(turns: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(turns[:, list(MIRROR_JOINTS)] * [1.0, -1.0, -1.0])


def targets(views: Views, observations: list[Observation], marks: NDArray[np.float64]) -> dict[str, Tensor]:
    """Return what the network has to tell, see ``BodyRegressor.forward``; the second half is mirrored."""
    from jiff.body.fit.observed import MIRROR_33

    body = load_anny_body()
    joints = views.bones[:, [body.bone_labels.index(name) for name in JOINT_HEADS]]
    joints = joints - joints[:, :1]
    size = np.array([seen.size for seen in observations])
    shift = (views.points - marks) / size[:, None, None]
    flip = np.array([-1.0, 1.0, 1.0])
    shape = views.phenotypes[:, [LABELS.index(name) for name in SHAPES]]
    twice = {
        "turns": np.concatenate([views.turns, _mirror_turns(views.turns)]),
        "hands": np.concatenate([views.hands, views.hands[:, ::-1]]),
        "joints": np.concatenate([joints, joints[:, list(MIRROR_JOINTS)] * flip])
        / np.tile(size, 2)[:, None, None],
        "shift": np.concatenate([shift, shift[:, list(MIRROR_33)] * flip[:2]]),
        "scale": np.tile(views.scale / size, 2),
        "shape": np.concatenate([shape, shape]),
    }
    tensors = {
        name: torch.tensor(np.ascontiguousarray(value), dtype=torch.float32) for name, value in twice.items()
    }
    tensors["turns"] = rotation_matrix(tensors["turns"])
    return tensors


def _turn_in_plane(
    inputs: Tensor, truth: dict[str, Tensor], angle: Tensor
) -> tuple[Tensor, dict[str, Tensor]]:
    """Return features and truth of photos turned about the line of sight by [B] radians."""
    turn = rotation_matrix(torch.stack([torch.zeros_like(angle), torch.zeros_like(angle), angle], dim=1))
    flat = turn[:, :2, :2]
    n = LANDMARKS
    points = inputs[:, : 2 * n].unflatten(1, (n, 2)) @ flat.transpose(1, 2)
    metres = inputs[:, 4 * n : 7 * n].unflatten(1, (n, 3)) @ turn.transpose(1, 2)
    face = inputs[:, 7 * n : 7 * n + 9].unflatten(1, (3, 3)) @ turn.transpose(1, 2)
    parts = [
        points.flatten(1),
        inputs[:, 2 * n : 4 * n],
        metres.flatten(1),
        face.flatten(1),
        inputs[:, 7 * n + 9 :],
    ]
    new = dict(truth)
    new["turns"] = torch.cat([turn[:, None] @ truth["turns"][:, :1], truth["turns"][:, 1:]], dim=1)
    new["joints"] = truth["joints"] @ turn.transpose(1, 2)
    new["shift"] = truth["shift"] @ flat.transpose(1, 2)
    return torch.cat(parts, dim=1), new


def _taper(inputs: Tensor, truth: dict[str, Tensor], strength: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """Return features and truth of photos whose scale grows upwards by [B] a unit of ``Observation.size``.

    As of a camera that looks down, or of people with short legs: legs that look short must not be told to point away.
    """
    n = LANDMARKS
    flat = inputs[:, : 2 * n].unflatten(1, (n, 2))
    points = flat * (1 + strength[:, None, None] * flat[..., 1:])

    def size(places: Tensor) -> Tensor:
        gap = places - places.mean(dim=1, keepdim=True)
        return (gap**2).sum(-1).mean(1).sqrt()

    # Features and truth are in units of the size, which has changed.
    unit = size(flat) / size(points)
    parts = [
        (points * unit[:, None, None]).flatten(1),
        inputs[:, 2 * n : 3 * n] * unit[:, None],
        inputs[:, 3 * n :],
    ]
    new = dict(truth)
    joints = truth["joints"]
    factor = 1 + strength[:, None, None] * joints[..., 1:2]
    new["joints"] = (
        joints * torch.cat([factor, factor, torch.ones_like(factor)], dim=-1) * unit[:, None, None]
    )
    new["shift"] = truth["shift"] * unit[:, None, None]
    new["scale"] = truth["scale"] * unit
    return torch.cat(parts, dim=1), new


def _angle(a: Tensor, b: Tensor) -> Tensor:
    trace = (a.transpose(-1, -2) @ b).diagonal(dim1=-2, dim2=-1).sum(-1)
    return torch.acos(((trace - 1) / 2).clamp(-0.999999, 0.999999))


def loss_of(found: dict[str, Tensor], truth: dict[str, Tensor]) -> Tensor:
    """Return the loss: rotations by their matrices, everything with a deviation by its likelihood."""
    matrices = rotation_from_six(found["six"])
    square = ((matrices - truth["turns"]) ** 2).sum((-1, -2))
    loss = square.mean() * 2.0
    angle = _angle(matrices.detach(), truth["turns"])
    log = found["turns_log"].clamp(-5, 1.5)
    loss = loss + 0.1 * (log + 0.5 * (angle / 3**0.5) ** 2 * (-2 * log).exp()).mean()
    log = found["joints_log"].clamp(-6, 1)
    gap = found["joints"] - truth["joints"]
    loss = loss + 0.2 * (log + 0.5 * gap**2 * (-2 * log).exp()).mean() + 2.0 * gap.abs().mean()
    log = found["shift_log"].clamp(-6, 1)
    gap2 = ((found["shift"] - truth["shift"]) ** 2).sum(-1).clamp(max=0.25)
    loss = loss + 0.1 * (2 * log + 0.5 * gap2 * (-2 * log).exp()).mean()
    loss = loss + 0.3 * ((found["scale"] / truth["scale"]).log().abs()).mean()
    return (
        loss
        + 0.3 * ((found["shape"] - truth["shape"]) ** 2).mean()
        + 0.1 * ((found["hands"] - truth["hands"]) ** 2).mean()
    )


def train(
    network: BodyRegressor,
    inputs: Tensor,
    truth: dict[str, Tensor],
    share: Tensor,
    steps: int,
    rate: float,
    console: Console,
    held: Tensor,
) -> None:
    """Train a network on views [N, 241], drawn by ``share`` [N]; report on those of the first that are ``held``."""
    generator = torch.Generator().manual_seed(steps)
    torch.manual_seed(steps)
    network.train()
    optimiser = torch.optim.AdamW(network.parameters(), rate, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=steps + 1)
    batch, n = 192, LANDMARKS
    checked = torch.nonzero(held)[:, 0]
    for step in range(steps):
        chosen = torch.multinomial(share, batch, replacement=True, generator=generator)
        own = {name: value[chosen] for name, value in truth.items()}
        angle = 0.12 * torch.randn(batch, generator=generator)
        given, own = _taper(inputs[chosen], own, _TAPER * torch.randn(batch, generator=generator))
        given, own = _turn_in_plane(given, own, angle)
        noise = _JITTER * torch.randn(batch, given.shape[1], generator=generator)
        noise[:, 3 * n : 4 * n] = 0
        noise[:, 7 * n :] = 0
        loss = loss_of(network(given + noise, 0.1), own)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        if (step + 1) % max(1, steps // 4) == 0:
            with torch.inference_mode():
                found = network(inputs[checked])
                angle = _angle(rotation_from_six(found["six"]), truth["turns"][checked]).rad2deg()
                gap = (found["joints"] - truth["joints"][checked]) / truth["scale"][checked][:, None, None]
                console.print(
                    f"step {step + 1}: loss {float(loss):.3f}; held out: joints {100 * float(gap.norm(dim=-1).mean()):.2f} cm,"
                    f" turns {float(angle.mean()):.1f} degrees, root {float(angle[:, 0].median()):.1f}"
                )
    network.eval()


def main() -> int:
    """Learn from views and write both files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--views", type=Path, nargs="+", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=8000)
    parser.add_argument("--imagined", type=int, default=60_000)
    parser.add_argument("--seed", type=int, default=5)
    options = parser.parse_args()
    console = Console()
    torch.set_num_threads(1)
    views = read_views(options.views)
    rows = learn_marks(views)
    spread = np.array([row["spread"] for row in rows], dtype=np.float64)
    console.print(
        f"{len(views.points)} views; spread of the landmarks, % of height: {(100 * spread).round(2).tolist()}"
    )
    text = ",\n".join(json.dumps(row) for row in rows)
    (options.out / "marks.json").write_text(f"[\n{text}\n]\n")
    observations = views.observations()
    inputs = np.stack(
        [features(seen) for seen in observations] + [features(mirrored(seen)) for seen in observations]
    )
    truth = targets(views, observations, mark_points(rows, views))
    people = np.tile(views.seed, 2)
    held = torch.from_numpy(people >= np.sort(np.unique(people))[-max(1, len(np.unique(people)) // 12)])
    marks = marks_of(rows)
    habits = Habits(views, marks)
    imagined, theirs = imagine(habits, marks, options.imagined, options.seed)
    theirs["turns"] = rotation_matrix(theirs["turns"])
    console.print(f"imagined {len(imagined)} views")
    given = torch.from_numpy(inputs)
    network = BodyRegressor()
    network.mean.copy_(given.mean(0))
    network.deviation.copy_(given.std(0).clamp(min=0.02))
    everything = {name: torch.cat([truth[name], theirs[name]]) for name in truth}
    share = torch.cat(
        [torch.full((len(given),), 0.3 / len(given)), torch.full((len(imagined),), 0.7 / len(imagined))]
    )
    share[: len(given)][held] = 0
    train(
        network,
        torch.cat([given, torch.from_numpy(imagined)]),
        everything,
        share,
        options.steps,
        2e-3,
        console,
        held,
    )
    share = torch.where(held, 0.0, 1.0)
    train(network, given, truth, share, options.steps // 4, 4e-4, console, held)
    stored = {name: value.half().contiguous() for name, value in network.state_dict().items()}
    save_file(stored, options.out / "regressor.safetensors")
    console.print(f"wrote {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
