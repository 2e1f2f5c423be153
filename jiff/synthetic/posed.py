"""A synthetic person in the pose asked for, and the truth about the body below the clothes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from jiff.body.anny_body import load_anny_body
from jiff.body.bones_to_joints import joints_of_bones
from jiff.body.clear_poses import ClearPose, sample_clear_pose
from jiff.body.placed import PlacedBody
from jiff.body.pose import PoseSpec
from jiff.body.poses import EVERYDAY
from jiff.body.skeleton import JointPose
from jiff.synthetic.accessories import tails_of
from jiff.synthetic.caps import Eye
from jiff.synthetic.carry import carry
from jiff.synthetic.person import Dressed, PersonMesh, dress_person
from jiff.synthetic.spec import PersonSpec
from jiff.synthetic.tears import Tears, measure_tears
from jiff.synthetic.template import load_template

DRESSING = PoseSpec(
    kind="dressing", arm_out=(26.0, 26.0), arm_swing=(2.0, 2.0), elbow=(16.0, 16.0), hip=(1.0, 1.0), knee=(4.0, 4.0),
    stance=(3.0, 3.0), toe_out=(6.0, 6.0), lean=(0.0, 0.0, 0.0), head=(0.0, 0.0, 0.0), pelvis_roll=0.0, finger_curl=10.0,
)  # fmt: skip
"""The pose in which people are dressed: arms and legs clear of everything, near the middle of what joints do."""

MOST = Tears(
    stretched=0.012, longest_m=0.03, shell_stretched=0.1, shell_longest_m=0.11, shell_cut=0.02, hands_hidden=0.33,
    arms_hidden=0.12,
)  # fmt: skip
"""Worse than any of these, a draw is refused; chosen by looking at some hundred people."""

_TRIES = 12


@dataclass(frozen=True, eq=False)
class PosedPerson:
    """A person in a pose.

    Attributes:
        spec: who; of people in a drawn pose ``spec.pose`` is what they were dressed in.
        mesh: the person, metres, lowest point at the offset drawn for the person.
        body: the bare body in the same frame.
        kind: of pose, such as "walk/contact" or "stand".
        arms: what the arms do, empty for standing people.
        airborne: whether nothing touches the ground.
        refused: draws that cut into themselves or tore, before this one.
        bones: bone name -> [3, 3] exactly as posed, where ``body.pose`` is only near; else empty.
    """

    spec: PersonSpec
    mesh: PersonMesh
    body: PlacedBody
    kind: str
    arms: str
    airborne: bool
    refused: int
    bones: dict[str, np.ndarray]

    def record(self) -> dict[str, Any]:
        """Return the truth of body and pose as plain numbers and names."""
        body = self.body
        bones = {name: np.asarray(turn).tolist() for name, turn in self.bones.items()}
        return {
            "standing_height_m": self.spec.height_m,
            "pose": {
                "kind": self.kind,
                "arms": self.arms,
                "airborne": self.airborne,
                "refused": self.refused,
            },
            "body": {
                "phenotypes": body.phenotypes,
                "local_changes": body.local_changes,
                "facial_actions": body.facial_actions,
                "scale": body.scale,
                "offset": body.offset_world.tolist(),
                "turns": body.pose.turns.tolist(),
                "hands": body.pose.hands.tolist(),
                **({"bones": bones} if bones else {}),
            },
        }


def read_body(record: dict[str, Any]) -> PlacedBody:
    """Return the bare body, in metres and the scan's frame, of the value of "body" in a scan's truth."""
    return PlacedBody(
        dict(record["phenotypes"]),
        JointPose(np.array(record["turns"], dtype=np.float64), np.array(record["hands"], dtype=np.float64)),
        float(record["scale"]),
        np.array(record["offset"], dtype=np.float64),
        dict(record["local_changes"]),
        dict(record["facial_actions"]),
    )


def _placed(spec: PersonSpec, dressed: Dressed, pose: JointPose, offset: np.ndarray) -> PlacedBody:
    phenotypes = {**spec.phenotypes, "height": dressed.height_share}
    return PlacedBody(phenotypes, pose, dressed.factor, offset, spec.local_changes, spec.facial_actions)


def standing_person(spec: PersonSpec, rng: np.random.Generator, triangles: int) -> PosedPerson:
    """Return a person dressed in the standing or walking pose of the spec; arguments as of ``build_person``."""
    dressed = dress_person(spec, rng, triangles)
    body = _placed(spec, dressed, joints_of_bones(dressed.rotations), dressed.origin)
    return PosedPerson(spec, dressed.mesh, body, spec.pose.kind, "", False, 0, dressed.rotations)


def _room_m(spec: PersonSpec) -> float:
    """Return how far limbs keep from the bare body so that clothes fit between."""
    thick = sum(garment.offset_m for garment in (spec.top, spec.jacket) if garment is not None)
    skirt = 0.0 if tails_of(spec) is None else 0.015
    return float(min(0.5 * thick, 0.025) + skirt)


def _good(tears: Tears) -> bool:
    pairs = zip(vars(tears).values(), vars(MOST).values())
    return all(value <= most for value, most in pairs)


def _settled(mesh: PersonMesh, shift: np.ndarray) -> PersonMesh:
    eyes = tuple(Eye(eye.center + shift, eye.radius, eye.gaze, eye.right, eye.up) for eye in mesh.eyes)
    return replace(mesh, vertices=mesh.vertices + shift, skin=mesh.skin + shift, eyes=(eyes[0], eyes[1]))


def posed_person(
    spec: PersonSpec,
    rng: np.random.Generator,
    pose_rng: np.random.Generator,
    triangles: int,
    poses: str = "varied",
) -> PosedPerson:
    """Return a person in a drawn pose: dressed standing, then carried; draws that tear are drawn again.

    Args:
        spec: who; its own pose is not used.
        rng: folds and locks.
        pose_rng: the pose.
        triangles: of the template.
        poses: see ``jiff.body.poses.sample_joint_pose``.
    """
    spec = replace(spec, pose=DRESSING)
    dressed = dress_person(spec, rng, triangles)
    found = clear_draw(spec, dressed, pose_rng, triangles, poses)
    clear, mesh, refused = found.clear, found.mesh, found.refused
    lift = float(pose_rng.uniform(0.04, 0.3)) if clear.drawn.airborne else 0.0
    shift = np.array([0.0, lift - float(mesh.vertices[:, 1].min()), 0.0]) + np.array(spec.offset_m)
    placed = _placed(spec, dressed, clear.drawn.pose, shift)
    drawn = clear.drawn
    return PosedPerson(
        spec, _settled(mesh, shift), placed, drawn.kind, drawn.arms, drawn.airborne, refused, {}
    )


@dataclass(frozen=True, eq=False)
class ClothedPose:
    """A drawn pose in which neither body nor clothes tear.

    Attributes:
        clear: the pose.
        mesh: the dressed person in it, metres, not on the ground yet.
        refused: draws before it that cut into themselves or tore.
    """

    clear: ClearPose
    mesh: PersonMesh
    refused: int


def clear_draw(
    spec: PersonSpec, dressed: Dressed, rng: np.random.Generator, triangles: int, poses: str = "varied"
) -> ClothedPose:
    """Return a pose for a dressed person; draws that tear are drawn again, some times.

    Args:
        spec: who.
        dressed: in ``DRESSING``.
        rng: of the pose.
        triangles: of the template.
        poses: see ``jiff.body.poses.sample_joint_pose``.
    """
    body, template = load_anny_body(), load_template(triangles)
    refused = 0
    for attempt in range(_TRIES):
        # Should nothing else do for these clothes, standing will.
        kinds = EVERYDAY if attempt >= _TRIES - 4 else poses
        clear = sample_clear_pose(rng, body, dressed.rest, kinds, _room_m(spec))
        mesh = carry(dressed, template, clear.rotations, clear.vertices)
        refused += clear.refused
        if _good(measure_tears(dressed, mesh, template)):
            break
        refused += 1
    return ClothedPose(clear, mesh, refused)
