"""Hands of a fitted body: fingers as part of the pose, and the stage that lays them onto the points that are seen."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from jiff.base.errors import InputError
from jiff.body.anatomy import mirror_pose
from jiff.body.anny_body import load_anny_body
from jiff.body.files import body_of_values, body_values, read_body, write_body
from jiff.body.fit import hands as hands_module
from jiff.body.fit.fitting import BodyFitter
from jiff.body.fit.hand_marks import bends_of, load_hand_marks, palm_normal
from jiff.body.fit.hands import FittedHands, fit_hands
from jiff.body.fit.marks import SKIN_VERTICES
from jiff.body.fit.observed import Observation, SeenHand
from jiff.body.placed import PlacedBody
from jiff.body.placing import moved
from jiff.body.pose_clearance import folded_share
from jiff.body.skeleton import FURTHER, JOINTS, KNUCKLE, SIDEWAYS, JointPose
from jiff.body.torch_body import TorchBody
from jiff.body.torch_skeleton import JointsToBones
from jiff.data.view_bodies import ViewBody, read_view_bodies, write_view_bodies
from jiff.pipelines.rig import photo_hands
from tests.known_person import observed, standing_body

GRIP = ((0.3, 0.2, 0.1), (0.2, 0.3, 0.05), (0.6, 0.7, 0.0), (0.9, 0.9, -0.05), (1.0, 1.0, -0.1))
"""A hand that points: thumb to little finger."""


def with_fingers(placed: PlacedBody, left: object, right: object) -> PlacedBody:
    """Return a body whose fingers bend as told, [5, 3] or one number per hand."""
    fingers = np.stack([np.broadcast_to(np.asarray(hand, dtype=float), (5, 3)) for hand in (left, right)])
    return replace(placed, pose=replace(placed.pose, fingers=fingers))


def hand_points(placed: PlacedBody) -> np.ndarray:
    """Return [2, 21, 3] the points of a body's hands, world units, as a perfect network would see them."""
    body, marks = load_anny_body(), load_hand_marks()
    heads, tips = placed.bones_world(body), marks.tips(placed.vertices_world(body))
    return np.stack([marks.rest_points(k, heads, tips) for k in range(2)])


def seen_of(placed: PlacedBody, *hands: int) -> Observation:
    """Return what is seen of a body with some of its hands (0 left, 1 right), z from the wrist."""
    points = hand_points(placed)
    points[..., 2] -= points[:, :1, 2]
    found = [SeenHand(points[k]) if k in hands else None for k in range(2)]
    blank = np.ones(33)
    return Observation(np.zeros((33, 2)), blank, blank, blank, np.zeros((33, 3)), hands=(found[0], found[1]))


@pytest.fixture(scope="module")
def tools() -> tuple[TorchBody, JointsToBones]:
    torch.set_num_threads(1)
    body = load_anny_body()
    return TorchBody(body, np.arange(4)), JointsToBones(body.bone_labels)


def fitted(placed: PlacedBody, seen: Observation, tools: tuple[TorchBody, JointsToBones]) -> FittedHands:
    return fit_hands(placed, seen, load_hand_marks(), *tools)


def test_drawn_fingers_are_found_again(tools: tuple[TorchBody, JointsToBones]) -> None:
    start = standing_body(lowerarm_L=(-0.6, 0.0, 0.0), lowerarm_R=(-0.9, 0.0, 0.0))
    truth = standing_body(
        lowerarm_L=(-0.6, 0.0, 0.0), lowerarm_R=(-0.9, 0.0, 0.0), wrist_L=(0.3, 0.2, 0.0), wrist_R=(-0.3, 0.3, 0.2)
    )  # fmt: skip
    truth = with_fingers(truth, GRIP, [0.4, 0.5, 0.0])
    found = fitted(start, seen_of(truth, 0, 1), tools)
    assert found.trusted.all() and (found.error < 0.2).all()
    gap = np.linalg.norm(hand_points(found.body) - hand_points(truth), axis=-1)
    before = np.linalg.norm(hand_points(start) - hand_points(truth), axis=-1)
    assert gap.mean() < 0.5 < 4.0 < before.mean(), "depth too, which the picture does not show"
    bends = [bends_of(points) for points in (*hand_points(found.body), *hand_points(truth))]
    assert np.abs(np.stack(bends[:2]) - np.stack(bends[2:])).mean() < 0.15
    # A bend is shared between the hand's curl and the finger's own: the sum counts.
    for k in range(2):
        straight = found.body.pose.hands[k, 0] + found.body.pose.fingers[k, 1:, :2]
        assert (straight > -0.6).all() and (straight < 1.9).all(), "fingers do not bend backwards"


def test_what_is_not_seen_stays_as_it_was(tools: tuple[TorchBody, JointsToBones]) -> None:
    start = standing_body(lowerarm_R=(-0.9, 0.0, 0.0))
    truth = with_fingers(start, 0.4, 0.4)
    untouched = fitted(start, replace(seen_of(truth), hands=(None, None)), tools)
    assert untouched.body is start and np.isnan(untouched.error).all() and not untouched.trusted.any()
    found = fitted(start, seen_of(truth, 1), tools)
    left = [JOINTS.index(f"{joint}.L") for joint in ("upperarm", "lowerarm", "wrist")]
    others = [
        k for k, name in enumerate(JOINTS) if not name.startswith(("upperarm.R", "lowerarm.R", "wrist.R"))
    ]
    assert set(left) < set(others)
    np.testing.assert_array_equal(found.body.pose.turns[others], start.pose.turns[others])
    np.testing.assert_array_equal(found.body.pose.hands[0], start.pose.hands[0])
    assert not found.body.pose.fingers[0].any() and found.body.pose.fingers[1].any()
    assert np.isnan(found.error[0]) and found.error[1] < 0.4 and list(found.trusted) == [False, True]


def test_the_arm_follows_a_hand_that_lies_aside(tools: tuple[TorchBody, JointsToBones]) -> None:
    start = standing_body()
    seen = seen_of(start, 0, 1)
    shifted = [replace(hand, points=hand.points + [2.5, 0.0, 0.0]) for hand in seen.hands if hand is not None]
    found = fitted(start, replace(seen, hands=(shifted[0], shifted[1])), tools)
    assert (found.error < 0.9).all() and found.trusted.all()
    body = load_anny_body()
    step = found.body.bones_world(body) - start.bones_world(body)
    wrist, elbow = (body.bone_labels.index(name) for name in ("wrist.L", "lowerarm01.L"))
    assert step[wrist, 0] > 1.3 and np.abs(step[elbow, :2]).max() < 1.5
    lengths = [
        np.linalg.norm(np.diff(b.bones_world(body)[[elbow, wrist]], axis=0)) for b in (start, found.body)
    ]
    # The hand's size moves the wrist within the arm by some millimetres; limbs do not stretch.
    assert abs(lengths[1] - lengths[0]) < 0.4


def test_hands_elsewhere_or_turned_over_are_not_trusted(tools: tuple[TorchBody, JointsToBones]) -> None:
    start = standing_body()
    seen = seen_of(start, 0)
    hand = seen.hands[0]
    assert hand is not None
    far = replace(seen, hands=(replace(hand, points=hand.points + [80.0, 60.0, 0.0]), None))
    found = fitted(start, far, tools)
    assert found.error[0] > 2.5 and not found.trusted.any()
    np.testing.assert_array_equal(found.body.pose.turns, start.pose.turns)
    assert not found.body.pose.fingers.any()


@pytest.mark.parametrize("inside", [0, 1, 12])
def test_hands_outside_of_the_photo_move_no_arm(inside: int, tools: tuple[TorchBody, JointsToBones]) -> None:
    """Regression: with no point in the photo the error was 0, and arms went where the network imagined a hand."""
    start = standing_body()
    truth = with_fingers(standing_body(lowerarm_L=(-0.3, 0.0, 0.0), lowerarm_R=(-0.3, 0.0, 0.0)), 0.4, 0.4)
    seen = seen_of(truth, 0, 1)
    hand = seen.hands[0]
    assert hand is not None
    # The border of the photo lies between the points of the left hand; the right one is all in it.
    border = [-np.inf, *np.sort(hand.points[:, 0]), np.inf]
    cut = replace(seen, photo_high=(float(np.mean(border[inside : inside + 2])) if inside else 0.0, np.inf))
    assert (hand.points[:, 0] < cut.photo_high[0]).sum() == inside
    found = fitted(start, cut, tools)
    assert np.isnan(found.error[0]) and not found.trusted[0]
    left = [JOINTS.index(f"{joint}.L") for joint in ("upperarm", "lowerarm", "wrist")]
    np.testing.assert_array_equal(found.body.pose.turns[left], start.pose.turns[left])
    np.testing.assert_array_equal(found.body.pose.hands[0], start.pose.hands[0])
    assert not found.body.pose.fingers[0].any() and "l-hand-scale-incr" not in found.body.local_changes
    assert found.trusted[1] and found.body.pose.fingers[1].any()


def test_a_distance_that_is_no_number_is_given_up(
    tools: tuple[TorchBody, JointsToBones], monkeypatch: pytest.MonkeyPatch
) -> None:
    start = standing_body()
    nothing = torch.full((2, 2), torch.nan)
    monkeypatch.setattr(hands_module._Problem, "error", lambda self, points: (nothing, nothing))
    found = fitted(start, seen_of(with_fingers(start, 0.4, 0.4), 0, 1), tools)
    assert np.isnan(found.error).all() and not found.trusted.any() and not found.body.pose.fingers.any()
    np.testing.assert_array_equal(found.body.pose.turns, start.pose.turns)


def test_the_fit_ends_with_hands_and_is_the_same_without(tools: tuple[TorchBody, JointsToBones]) -> None:
    fitter = BodyFitter(steps=4)
    truth = with_fingers(standing_body(lowerarm_L=(-0.7, 0.0, 0.0)), 0.5, 0.3)
    plain = observed(truth)
    without, with_hands = fitter.fit(plain), fitter.fit(replace(plain, hands=seen_of(truth, 0, 1).hands))
    assert np.isnan(without.hand_error).all() and not without.hands_seen.any()
    assert not without.body.pose.fingers.any() and "l-hand-scale-incr" not in without.body.local_changes
    assert with_hands.hands_seen.all() and (with_hands.hand_error < 1.0).all()
    np.testing.assert_array_equal(without.landmark_error, with_hands.landmark_error)
    # Acceptance goes by the body's own share; that of the body as it is, is told besides.
    assert without.folded_with_hands is None and with_hands.folded_share == without.folded_share
    skin = with_hands.body.vertices_world(fitter.body)[:SKIN_VERTICES] / with_hands.body.scale
    assert with_hands.folded_with_hands == folded_share(skin)


def test_fingers_bend_towards_the_palm_on_both_sides() -> None:
    body, straight = load_anny_body(), standing_body()
    for part in (KNUCKLE, FURTHER, SIDEWAYS):
        bent = np.zeros((5, 3))
        bent[1:, part] = 0.4
        points, before = hand_points(with_fingers(straight, bent, bent)), hand_points(straight)
        step = points - before
        # Both sides do the mirror image of each other.
        np.testing.assert_allclose(step[0] * [-1, 1, 1], step[1], atol=0.02)
        for k, palm in enumerate((-1.0, 1.0)):
            tips = step[k, [8, 12, 16, 20]]
            if part == SIDEWAYS:
                across = before[k, 5] - before[k, 17]
                assert (tips @ across > 0).all()
                continue
            # Wrist, index and little finger run the other way round on the other hand.
            inward = palm * palm_normal(before[k])
            assert (tips @ inward > 1.0).all()
            assert (before[k, 4] - before[k, [5, 9, 13, 17]].mean(axis=0)) @ inward > 0, "the thumb's side"
            assert (bends_of(points[k])[1:].sum(axis=1) > bends_of(before[k])[1:].sum(axis=1) + 0.2).all()
    mirrored = mirror_pose(with_fingers(straight, GRIP, 0.1).pose)
    np.testing.assert_array_equal(mirrored.fingers[1], GRIP)
    swapped = hand_points(replace(straight, pose=mirrored))
    np.testing.assert_allclose(
        swapped[1] * [-1, 1, 1], hand_points(with_fingers(straight, GRIP, 0.1))[0], atol=0.05
    )
    whole = moved(with_fingers(straight, GRIP, 0.1), body, np.eye(3), np.zeros(3))
    np.testing.assert_array_equal(whole.pose.fingers[0], GRIP)


def test_files_hold_fingers_and_those_of_earlier_versions_none(tmp_path: Path) -> None:
    placed = with_fingers(standing_body(), GRIP, 0.25)
    values = json.loads(json.dumps(body_values(placed)))
    np.testing.assert_allclose(body_of_values(values, "x").pose.fingers, placed.pose.fingers, atol=1e-6)
    assert "fingers" not in body_values(standing_body())
    del values["fingers"]
    assert not body_of_values(values, "x").pose.fingers.any()
    with pytest.raises(InputError, match="does not hold a body"):
        body_of_values(values | {"fingers": [[1.0]]}, "x")
    with pytest.raises(InputError, match="no body"):
        body_of_values(values | {"fingers": [[[float("nan")] * 3] * 5] * 2}, "x")
    body = load_anny_body()
    write_body(tmp_path / "a", placed, body, np.ones((21, 3)), {"hands_seen": [True, False]})
    assert list(photo_hands(tmp_path / "a_body.json")) == [True, False]
    np.testing.assert_allclose(
        read_body(tmp_path / "a_body.json").pose.fingers, placed.pose.fingers, atol=1e-6
    )
    with np.load(tmp_path / "a_body.npz") as stored:
        np.testing.assert_array_equal(stored["fingers"], placed.pose.fingers)
    write_body(tmp_path / "b", placed, body, np.ones((21, 3)), {})
    assert list(photo_hands(tmp_path / "b_body.json")) == [False, False]
    for wrong in ("yes", [1, 0], [True, None], [True], {"0": True}):
        write_body(tmp_path / "c", placed, body, np.ones((21, 3)), {"hands_seen": wrong})
        with pytest.raises(InputError, match="which hands were seen"):
            photo_hands(tmp_path / "c_body.json")
    (tmp_path / "d_body.json").write_text("[true, false]")
    with pytest.raises(InputError, match="which hands were seen"):
        photo_hands(tmp_path / "d_body.json")


def test_fits_to_views_hold_no_hands_and_files_that_do_are_read(tmp_path: Path) -> None:
    placed = with_fingers(replace(standing_body(), local_changes={}), GRIP, 0.25)
    names = tuple(placed.phenotypes)
    write_view_bodies(tmp_path / "v.npz", [ViewBody("0_0_00", "", placed, np.eye(3))], names)
    found = read_view_bodies(tmp_path / "v.npz")[0].body
    assert found is not None and not found.pose.fingers.any()
    np.testing.assert_array_equal(found.pose.turns, placed.pose.turns)
    with np.load(tmp_path / "v.npz") as stored:
        assert "fingers" not in stored.files
        old = {name: stored[name] for name in stored.files}
    np.savez(tmp_path / "old.npz", **old, fingers=np.zeros((1, 2, 5, 3)))
    older = read_view_bodies(tmp_path / "old.npz")[0].body
    assert older is not None and not older.pose.fingers.any()
    np.testing.assert_array_equal(older.pose.turns, placed.pose.turns)
    assert not JointPose(placed.pose.turns, placed.pose.hands).fingers.any()
