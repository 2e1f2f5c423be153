"""Natural standing and walking poses of the anny skeleton, feet on the ground, arms clear of the body."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from jiff.body.anny_body import AnnyBody


@dataclass(frozen=True)
class PoseSpec:
    """What a person does, angles in degrees.

    Attributes:
        kind: "stand", "contrapposto" or "walk".
        arm_out: (left, right) angle between upper arm and the vertical.
        arm_swing: (left, right) forward swing of the upper arm.
        elbow: (left, right) bend, 0 is straight.
        hip: (left, right) forward swing of the thigh.
        knee: (left, right) bend.
        stance: (left, right) outward angle of the thigh.
        toe_out: (left, right) turn of the foot.
        lean: (pitch, yaw, roll) of the spine.
        head: (pitch, yaw, roll).
        pelvis_roll: tilt of the pelvis, left side up.
        finger_curl: bend per finger joint.
    """

    kind: str
    arm_out: tuple[float, float]
    arm_swing: tuple[float, float]
    elbow: tuple[float, float]
    hip: tuple[float, float]
    knee: tuple[float, float]
    stance: tuple[float, float]
    toe_out: tuple[float, float]
    lean: tuple[float, float, float]
    head: tuple[float, float, float]
    pelvis_roll: float
    finger_curl: float


def sample_pose(rng: np.random.Generator) -> PoseSpec:
    """Draw a pose."""
    kind = str(rng.choice(["stand", "contrapposto", "walk"], p=[0.5, 0.25, 0.25]))

    def pair(low: float, high: float) -> tuple[float, float]:
        return float(rng.uniform(low, high)), float(rng.uniform(low, high))

    out = float(rng.uniform(11, 27))
    arm_out = (out + float(rng.normal(0, 3)), out + float(rng.normal(0, 3)))
    swing, hip, knee = pair(-6, 8), pair(-2, 3), pair(2, 5)
    roll = 0.0
    if kind == "walk":
        stride = float(rng.uniform(10, 19)) * (1 if rng.random() < 0.5 else -1)
        hip = (stride, -0.75 * stride)
        knee = (6.0, 16.0) if stride > 0 else (16.0, 6.0)
        swing = (-stride + float(rng.normal(0, 3)), stride + float(rng.normal(0, 3)))
    elif kind == "contrapposto":
        roll = float(rng.uniform(2, 4.5)) * (1 if rng.random() < 0.5 else -1)
        bent = float(rng.uniform(10, 22))
        hip, knee = ((3.0, bent * 0.6), (3.0, bent)) if roll > 0 else ((bent * 0.6, 3.0), (bent, 3.0))
    return PoseSpec(
        kind=kind,
        arm_out=arm_out,
        arm_swing=swing,
        elbow=pair(8, 38),
        hip=hip,
        knee=knee,
        stance=pair(-2.5, 2.5) if kind != "walk" else pair(-1.0, 1.5),
        toe_out=pair(2, 16),
        lean=(float(rng.normal(1, 2)), float(rng.normal(0, 3)), float(rng.normal(0, 1))),
        head=(float(rng.normal(0, 4)), float(np.clip(rng.normal(0, 6), -12, 12)), float(rng.normal(0, 2))),
        pelvis_roll=roll,
        finger_curl=float(rng.uniform(6, 22)),
    )


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)


def _between(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Return the smallest rotation that takes direction ``start`` to ``end``."""
    a, b = _unit(start), _unit(end)
    axis = np.cross(a, b)
    sine = np.linalg.norm(axis)
    if sine < 1e-9:
        return np.eye(3)
    return Rotation.from_rotvec(axis / sine * np.arctan2(sine, a @ b)).as_matrix()


def _euler(x: float, y: float, z: float) -> np.ndarray:
    return Rotation.from_euler("zyx", [z, y, x], degrees=True).as_matrix()


class Poser:
    """Turns a ``PoseSpec`` into bone rotations for one body shape."""

    def __init__(self, body: AnnyBody, rest: np.ndarray) -> None:
        self.body = body
        self.rest = rest
        self.heads = body.bone_heads(rest)
        self._index = {name: i for i, name in enumerate(body.bone_labels)}

    def _joint(self, name: str) -> np.ndarray:
        return self.heads[self._index[name]]

    def _arm(self, rotations: dict[str, np.ndarray], spec: PoseSpec, side: str, extra_out: float) -> None:
        s, k = (1.0, 0) if side == "L" else (-1.0, 1)
        shoulder, elbow, wrist = (self._joint(f"{n}.{side}") for n in ("upperarm01", "lowerarm01", "wrist"))
        out, swing = np.radians(spec.arm_out[k] + extra_out), np.radians(spec.arm_swing[k])
        upper = np.array([s * np.sin(out), -np.cos(out) * np.cos(swing), np.cos(out) * np.sin(swing)])
        turn = _between(elbow - shoulder, upper)
        # The collar bone takes a fifth of the way, which keeps the shoulder's skin from pinching.
        vector = Rotation.from_matrix(turn).as_rotvec()
        part = Rotation.from_rotvec(0.2 * vector).as_matrix()
        rotations[f"shoulder01.{side}"] = part
        rotations[f"upperarm01.{side}"] = part.T @ turn
        now = turn @ (wrist - elbow)
        flat = np.cross(upper, now)
        rest_bend = np.arctan2(np.linalg.norm(flat), upper @ now)
        axis = turn.T @ _unit(flat)
        change = np.radians(spec.elbow[k]) - rest_bend
        rotations[f"lowerarm01.{side}"] = Rotation.from_rotvec(axis * change).as_matrix()
        for finger in range(2, 6):
            root, tip = self._joint(f"finger{finger}-1.{side}"), self._joint(f"finger{finger}-3.{side}")
            across = self._joint(f"finger2-1.{side}") - self._joint(f"finger5-1.{side}")
            curl = _unit(np.cross(np.cross(tip - root, across), tip - root)) * -s
            for joint in (1, 2, 3):
                name = f"finger{finger}-{joint}.{side}"
                amount = np.radians(spec.finger_curl * (1.0 + 0.12 * (finger - 2)))
                rotations[name] = Rotation.from_rotvec(curl * amount).as_matrix()

    def _leg(
        self, rotations: dict[str, np.ndarray], spec: PoseSpec, side: str, pelvis: np.ndarray, knee: float
    ) -> None:
        s, k = (1.0, 0) if side == "L" else (-1.0, 1)
        hip, joint, ankle = (self._joint(f"{n}.{side}") for n in ("upperleg01", "lowerleg01", "foot"))
        out, swing = np.radians(spec.stance[k]), np.radians(spec.hip[k])
        thigh = np.array([s * np.sin(out), -np.cos(out) * np.cos(swing), np.cos(out) * np.sin(swing)])
        turn = _between(joint - hip, thigh)
        rotations[f"upperleg01.{side}"] = pelvis.T @ turn
        shin = turn @ (ankle - joint)
        rest_bend = np.arctan2(np.cross(thigh, shin) @ np.array([1.0, 0, 0]), thigh @ shin)
        axis = turn.T @ np.array([1.0, 0.0, 0.0])
        bend = Rotation.from_rotvec(axis * (np.radians(knee) - rest_bend)).as_matrix()
        rotations[f"lowerleg01.{side}"] = bend
        heel = max(0.0, -spec.hip[k]) * 1.4 + max(0.0, knee - 10) * 0.6 if spec.kind == "walk" else 0.0
        if spec.kind == "walk" and spec.hip[k] > 0:
            heel = -0.5 * spec.hip[k]
        foot = _euler(heel, s * spec.toe_out[k], 0)
        rotations[f"foot.{side}"] = (turn @ bend).T @ foot

    def rotations(
        self,
        spec: PoseSpec,
        knee: tuple[float, float] | None = None,
        extra_out: tuple[float, float] = (0.0, 0.0),
    ) -> dict[str, np.ndarray]:
        """Return bone name -> rotation, see ``AnnyBody.pose``."""
        knee = knee or spec.knee
        pelvis = _euler(0, 0, spec.pelvis_roll)
        rotations = {"root": pelvis}
        spine = _euler(spec.lean[0] / 3, spec.lean[1] / 3, (spec.lean[2] - 1.3 * spec.pelvis_roll) / 3)
        for name in ("spine04", "spine03", "spine02"):
            rotations[name] = spine
        neck = _euler(spec.head[0] / 2, spec.head[1] / 2, (spec.head[2] + 0.3 * spec.pelvis_roll) / 2)
        rotations["neck02"], rotations["head"] = neck, neck
        for k, side in enumerate("LR"):
            self._leg(rotations, spec, side, pelvis, knee[k])
            self._arm(rotations, spec, side, extra_out[k])
        return rotations

    def _lowest(self, rotations: dict[str, np.ndarray]) -> tuple[float, float]:
        linear, offset = self.body.bone_transforms(self.heads, rotations)
        result = []
        for side in "LR":
            bone = self._index[f"foot.{side}"]
            sole = self.rest[self.body.region_vertices(f"foot.{side}")]
            result.append(float((sole @ linear[bone].T + offset[bone])[:, 1].min()))
        return result[0], result[1]

    def solve(self, spec: PoseSpec, arm_clearance: float) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Return posed vertices (all base vertices) and the rotations used.

        The knee on the lower side bends until both feet touch the ground; arms go out until they clear the body.

        Args:
            spec: the pose asked for.
            arm_clearance: least distance between the skin of arm and body, metres.
        """
        knee = list(spec.knee)
        for _ in range(6):
            left, right = self._lowest(self.rotations(spec, (knee[0], knee[1])))
            if abs(left - right) < 0.004:
                break
            low = 0 if left < right else 1
            knee[low] = min(knee[low] + float(np.clip(260 * abs(left - right), 1.5, 9)), 60.0)
        extra = [0.0, 0.0]
        arm = {side: self._vertices_of(side) for side in "LR"}
        trunk = self._trunk()
        for attempt in range(7):
            rotations = self.rotations(spec, (knee[0], knee[1]), (extra[0], extra[1]))
            posed = self.body.pose(self.rest, rotations)
            tree = cKDTree(posed[trunk])
            tight = [bool(tree.query(posed[arm[side]])[0].min() < arm_clearance) for side in "LR"]
            if not any(tight) or attempt == 6:
                break
            extra = [e + (5.0 if t else 0.0) for e, t in zip(extra, tight)]
        return posed, rotations

    def _bones(self, prefixes: tuple[str, ...], side: str = "") -> np.ndarray:
        chosen = [i for n, i in self._index.items() if n.startswith(prefixes) and n.endswith(side)]
        share = np.where(np.isin(self.body.bone_index[:13380], chosen), self.body.bone_weight[:13380], 0).sum(
            axis=1
        )
        return np.flatnonzero(share > 0.8)

    def _vertices_of(self, side: str) -> np.ndarray:
        return self._bones(("lowerarm", "wrist", "finger", "metacarpal"), side)[::3]

    def _trunk(self) -> np.ndarray:
        return self._bones(("spine", "pelvis", "upperleg", "root", "breast", "lowerleg"))[::2]
