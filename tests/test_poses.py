"""The pose model: angles mean what they say, limits hold, draws repeat, bodies stand and do not cut into themselves."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from benchmarks.pose_coverage import drawn_joints
from jiff.body.anatomy import ANGLES, index_of, joint_pose, mirror_angles, mirror_pose
from jiff.body.anny_body import AnnyBody, load_anny_body
from jiff.body.bones_to_joints import joints_of_bones
from jiff.body.clear_poses import posed_clear, sample_clear_pose
from jiff.body.joint_limits import LIMITS
from jiff.body.key_poses import FAMILIES
from jiff.body.pose_clearance import SKIN_VERTICES, ground_offset, self_intersection
from jiff.body.poses import arms_vector, key_angles, sample_angles, sample_joint_pose
from jiff.body.skeleton import JointPose, bone_rotations

SIDES = {"left": "L", "right": "R"}


@pytest.fixture(scope="module")
def body() -> AnnyBody:
    return load_anny_body()


@pytest.fixture(scope="module")
def rest(body: AnnyBody) -> NDArray[np.float32]:
    return body.rest_vertices()


def _heads(body: AnnyBody, rest: NDArray[np.float32], pose: JointPose) -> dict[str, NDArray[np.float64]]:
    heads = body.bone_heads(rest)
    linear, offset = body.bone_transforms(heads, bone_rotations(pose))
    posed = np.einsum("bij,bj->bi", linear, heads) + offset
    return dict(zip(body.bone_labels, posed))


def _angles(**degrees: float) -> NDArray[np.float64]:
    angles = np.zeros(len(ANGLES))
    for name, value in degrees.items():
        angles[index_of(name)] = value
    return angles


def _unit(vector: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(vector / np.linalg.norm(vector))


def test_zero_is_the_anatomical_position(body: AnnyBody, rest: NDArray[np.float32]) -> None:
    at = _heads(body, rest, joint_pose(_angles()))
    for side in "LR":
        chain = [
            ("upperarm01", "lowerarm01"), ("lowerarm01", "wrist"), ("wrist", "finger3-1"),
            ("upperleg01", "lowerleg01"), ("lowerleg01", "foot"),
        ]  # fmt: skip
        for first, second in chain:
            down = _unit(at[f"{second}.{side}"] - at[f"{first}.{side}"])
            assert down[1] < -0.995, (first, side)
        foot = at[f"toe3-1.{side}"] - at[f"foot.{side}"]
        assert abs(np.degrees(np.arctan2(foot[0], foot[2]))) < 2
        # The thumb's side of the hand looks forward.
        across = _unit(at[f"finger2-1.{side}"] - at[f"finger5-1.{side}"])
        assert across[2] > 0.9


@pytest.mark.parametrize("side", SIDES)
def test_angles_turn_the_way_they_are_named(side: str, body: AnnyBody, rest: NDArray[np.float32]) -> None:
    s, out = SIDES[side], 1.0 if side == "left" else -1.0

    def segment(first: str, second: str, **degrees: float) -> NDArray[np.float64]:
        at = _heads(body, rest, joint_pose(_angles(**{f"{side}_{k}": v for k, v in degrees.items()})))
        return _unit(at[f"{second}.{s}"] - at[f"{first}.{s}"])

    def check(found: NDArray[np.float64], x: float, y: float, z: float) -> None:
        np.testing.assert_allclose(found * [out, 1, 1], [x, y, z], atol=0.06)

    check(segment("upperarm01", "lowerarm01", shoulder_flexion=90), 0, 0, 1)
    check(segment("upperarm01", "lowerarm01", shoulder_abduction=90), 1, 0, 0)
    check(segment("upperarm01", "lowerarm01", shoulder_flexion=170), 0, 0.98, 0.17)
    check(segment("lowerarm01", "wrist", elbow=90), 0, 0, 1)
    check(segment("lowerarm01", "wrist", elbow=90, shoulder_rotation=90), 1, 0, 0)
    check(segment("lowerarm01", "wrist", elbow=90, shoulder_rotation=-90), -1, 0, 0)
    check(segment("wrist", "finger3-1", wrist_flexion=60), -0.87, -0.5, 0)
    check(segment("finger5-1", "finger2-1", pronation=80), -0.96, -0.24, 0.17)
    check(segment("upperleg01", "lowerleg01", hip_flexion=90), 0, 0, 1)
    check(segment("upperleg01", "lowerleg01", hip_abduction=45), 0.71, -0.71, 0)
    check(segment("lowerleg01", "foot", knee=90), 0, 0, -1)
    toes = segment("foot", "toe3-1", hip_rotation=40)
    assert toes[0] * out > 0.5 and toes[2] > 0.6
    flat = segment("foot", "toe3-1", hip_flexion=20, knee=20)
    lifted = segment("foot", "toe3-1", ankle=25, ankle_free=1)
    dropped = segment("foot", "toe3-1", ankle=-40, ankle_free=1)
    assert lifted[1] > flat[1] + 0.3 and dropped[1] < flat[1] - 0.4


def test_fingers_close_towards_the_palm(body: AnnyBody, rest: NDArray[np.float32]) -> None:
    opened, closed = (
        _heads(body, rest, joint_pose(_angles(left_finger_curl=c, right_finger_curl=c))) for c in (0.0, 75.0)
    )
    for s, out in (("L", 1.0), ("R", -1.0)):
        tips = [at[f"finger3-3.{s}"] - at[f"finger3-1.{s}"] for at in (opened, closed)]
        assert tips[1][0] * out < tips[0][0] * out - 0.012


def test_trunk_and_head_turn_the_way_they_are_named(body: AnnyBody, rest: NDArray[np.float32]) -> None:
    def up(**degrees: float) -> NDArray[np.float64]:
        at = _heads(body, rest, joint_pose(_angles(**degrees)))
        return _unit(at["neck01"] - at["spine05"])

    straight = up()
    assert up(spine_pitch=40)[2] > straight[2] + 0.2
    assert up(spine_roll=30)[0] > 0.1
    assert up(pelvis_pitch=60)[2] > 0.8
    at = _heads(body, rest, joint_pose(_angles(head_yaw=50)))
    eyes = at["eye.L"] - at["eye.R"]
    # Looking to the own left (+x), the left eye goes back.
    assert eyes[2] < -0.02


def test_draws_repeat_and_differ() -> None:
    first, second = (sample_joint_pose(np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(first.angles, second.angles)
    np.testing.assert_array_equal(first.pose.turns, second.pose.turns)
    rng = np.random.default_rng(3)
    pair = [sample_joint_pose(rng) for _ in range(2)]
    assert np.abs(pair[0].angles - pair[1].angles).max() > 5


def test_limits_hold_and_everyday_is_sixty_per_cent() -> None:
    rng = np.random.default_rng(0)
    drawn = [sample_angles(rng) for _ in range(3000)]
    angles = np.stack([d[0] for d in drawn])
    for k, name in enumerate(ANGLES):
        low, high = LIMITS[name.removeprefix("left_").removeprefix("right_")]
        assert angles[:, k].min() >= low - 1e-9 and angles[:, k].max() <= high + 1e-9, name
    families = [kind.split("/")[0] for _, kind, _, _ in drawn]
    everyday = np.mean([FAMILIES[name].everyday for name in families])
    assert everyday == pytest.approx(0.6, abs=0.03)
    assert set(families) == set(FAMILIES)
    assert {name for name, d in zip(families, drawn) if d[3].airborne} == {"jump", "run"}
    weights = sum(f.weight for f in FAMILIES.values() if f.everyday)
    assert weights / sum(f.weight for f in FAMILIES.values()) == pytest.approx(0.6, abs=0.005)


def test_everyday_is_standing_and_walking_alone() -> None:
    rng = np.random.default_rng(1)
    kinds = {sample_angles(rng, "everyday")[1].split("/")[0] for _ in range(300)}
    assert kinds == {name for name, family in FAMILIES.items() if family.everyday}


def test_every_key_pose_is_within_the_limits() -> None:
    for family in FAMILIES.values():
        for name, key in family.keys.items():
            for arms in key.arms:
                angles = key_angles(key, arms_vector(arms))
                for k, angle in enumerate(ANGLES):
                    low, high = LIMITS[angle.removeprefix("left_").removeprefix("right_")]
                    assert low <= angles[k] <= high, (name, arms, angle, angles[k])


def test_mirrored_pose_mirrors_the_body(body: AnnyBody, rest: NDArray[np.float32]) -> None:
    rng = np.random.default_rng(4)
    for _ in range(3):
        drawn = sample_joint_pose(rng)
        mirrored = joint_pose(mirror_angles(drawn.angles))
        np.testing.assert_allclose(mirrored.turns, mirror_pose(drawn.pose).turns, atol=1e-9)
        np.testing.assert_allclose(mirrored.hands, mirror_pose(drawn.pose).hands, atol=1e-12)
        np.testing.assert_allclose(mirror_angles(mirror_angles(drawn.angles)), drawn.angles)
        one, other = (body.pose(rest, bone_rotations(p))[:SKIN_VERTICES] for p in (drawn.pose, mirrored))
        distance = cKDTree(other).query(one * np.array([-1, 1, 1], np.float32))[0]
        assert distance.max() < 2e-3


def test_clear_poses_are_clear_and_stand(body: AnnyBody, rest: NDArray[np.float32]) -> None:
    rng = np.random.default_rng(6)
    soles = [body.region_vertices(f"foot.{s}") for s in "LR"]
    for _ in range(25):
        clear = sample_clear_pose(rng, body, rest)
        assert self_intersection(clear.vertices) == []
        np.testing.assert_allclose(clear.vertices, body.pose(rest, bone_rotations(clear.drawn.pose)))
        raised = clear.vertices[:, 1] + ground_offset(clear.vertices, clear.drawn.airborne, 0.1)
        assert raised.min() == pytest.approx(0.1 if clear.drawn.airborne else 0.0)
        if clear.drawn.level:
            left, right = (clear.vertices[sole, 1].min() for sole in soles)
            assert abs(left - right) < 0.03, clear.drawn.kind


def test_a_hand_in_the_belly_is_seen_and_mended(body: AnnyBody, rest: NDArray[np.float32]) -> None:
    angles = key_angles(FAMILIES["stand"].keys["even"], arms_vector("hang"))
    angles[index_of("left_shoulder_rotation")], angles[index_of("left_elbow")] = -80, 70
    vertices = body.pose(rest, bone_rotations(joint_pose(angles)))
    found = self_intersection(vertices)
    assert ("arm.L", "trunk") in {(o.limb, o.into) for o in found}
    drawn = sample_joint_pose(np.random.default_rng(0))
    mended = posed_clear(replace(drawn, angles=angles, pose=joint_pose(angles)), body, rest, False, -0.006)
    assert mended is not None and self_intersection(mended.vertices) == []


def test_more_room_is_asked_for_clothes(body: AnnyBody, rest: NDArray[np.float32]) -> None:
    angles = key_angles(FAMILIES["stand"].keys["even"], arms_vector("hang"))
    vertices = body.pose(rest, bone_rotations(joint_pose(angles)))
    assert self_intersection(vertices) == []
    assert self_intersection(vertices, 0.2) != []


def test_joints_come_back_from_bones() -> None:
    rng = np.random.default_rng(8)
    for _ in range(5):
        pose = sample_joint_pose(rng).pose
        found = joints_of_bones(bone_rotations(pose))
        np.testing.assert_allclose(found.turns, pose.turns, atol=1e-6)
        np.testing.assert_allclose(found.hands[:, 0], pose.hands[:, 0], atol=0.1)


def test_coverage_is_measured_on_the_bodys_own_joints(body: AnnyBody, rest: NDArray[np.float32]) -> None:
    names = ["hip", "lForeArm", "rHand", "lShin", "rFoot", "lCollar"]
    angles = np.stack([sample_angles(np.random.default_rng(k))[0] for k in range(4)])
    found = drawn_joints(angles, names)
    for row, places in zip(angles, found):
        at = _heads(body, rest, joint_pose(row))
        bones = ["lowerarm01.L", "wrist.R", "lowerleg01.L", "foot.R", "clavicle.L"]
        true = np.stack([at[b] for b in bones])
        gap = (places[1:] - places[1]) - (true - true[0])
        assert np.abs(gap).max() < 0.02
