"""The body fit: what it begins from, what it makes small, and bodies it must find again."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
import torch

from jiff.body.anny_body import load_anny_body
from jiff.body.fit.acceptance import MOST_FOLDED, MOST_LANDMARKS
from jiff.body.fit.clearance import Clearance
from jiff.body.fit.energy import Energy, FitWeights, geman, hinge_cost
from jiff.body.fit.fitting import BodyFit, BodyFitter, outside_share
from jiff.body.fit.marks import load_marks
from jiff.body.fit.observed import FEATURES, MIRROR_33, Observation, features, mirrored
from jiff.body.fit.regressor import MIRROR_JOINTS, load_regressor, predict
from jiff.body.legs import LEGS, leg_changes, leg_value
from jiff.body.pose_clearance import folded_share
from jiff.body.skeleton import JOINTS
from tests.known_person import observed, standing_body


@pytest.fixture(scope="module")
def fitter() -> BodyFitter:
    torch.set_num_threads(1)
    return BodyFitter()


@pytest.fixture(scope="module")
def stepping() -> tuple[Observation, BodyFit]:
    """One person with a knee raised and an arm out, and their fit."""
    torch.set_num_threads(1)
    placed = standing_body(
        upperleg_L=(-0.7, 0.0, 0.0), lowerleg_L=(0.9, 0.0, 0.0), upperarm_R=(0.0, 0.0, -0.5)
    )
    seen = observed(placed)
    return seen, BodyFitter().fit(seen)


def test_marks_are_mixtures_of_the_body() -> None:
    marks = load_marks()
    assert marks.mixture.shape[0] == 33 and np.allclose(marks.mixture.sum(axis=1), 1)
    assert (marks.mixture >= 0).all() and (marks.spread < 0.03).all()
    # Left and right are each other's mirror images on the symmetric body.
    body = load_anny_body()
    rest = body.rest_vertices()
    points = np.concatenate([rest[marks.vertices], body.bone_heads(rest)[marks.bones]])
    places = marks.mixture @ points
    assert np.abs(places[list(MIRROR_33)] * [-1, 1, 1] - places).max() < 0.05


def test_features_know_neither_place_nor_size() -> None:
    seen = observed(standing_body())
    moved = dataclasses.replace(
        seen, points=seen.points * 1.7 + [20.0, -4.0], depth=seen.depth * 1.7, metres=seen.metres
    )
    assert features(seen).shape == (FEATURES,)
    assert np.allclose(features(seen), features(moved), atol=1e-5)
    assert np.allclose(features(mirrored(mirrored(seen))), features(seen), atol=1e-6)


def test_prediction_of_the_mirror_image_is_mirrored() -> None:
    seen = observed(standing_body(upperarm_L=(0.0, 0.3, 0.6), head=(0.0, 0.4, 0.0)))
    plain, other = predict(load_regressor(), seen), predict(load_regressor(), mirrored(seen))
    flip = np.array([-1.0, 1.0, 1.0])
    assert np.allclose(other.joints[list(MIRROR_JOINTS)] * flip, plain.joints, atol=1e-3)
    swapped = flip[:, None] * other.turns[list(MIRROR_JOINTS)] * flip
    assert np.allclose(swapped, plain.turns, atol=1e-4)
    assert np.allclose(np.linalg.det(plain.turns), 1, atol=1e-5)
    assert other.scale == pytest.approx(plain.scale, rel=1e-5)


def test_a_known_body_is_found_again(stepping: tuple[Observation, BodyFit]) -> None:
    _, fit = stepping
    body = load_anny_body()
    truth = standing_body(
        upperleg_L=(-0.7, 0.0, 0.0), lowerleg_L=(0.9, 0.0, 0.0), upperarm_R=(0.0, 0.0, -0.5)
    )
    gap = fit.body.joints_world(body) - truth.joints_world(body)
    # Across the picture to some centimetres; the prior's habits of a real network are not those of exact landmarks.
    assert np.linalg.norm(gap[:, :2], axis=1).mean() < 4.0
    assert np.median(fit.landmark_error) < 0.015
    knee = (
        fit.body.joints_world(body)[JOINTS.index("lowerleg.L")]
        - fit.body.joints_world(body)[JOINTS.index("upperleg.L")]
    )
    assert knee[2] > 8.0, "the raised knee is in front"
    assert fit.outside_share < 0.1 and fit.folded_share < MOST_FOLDED and fit.refusal is None
    assert fit.joint_sigma.shape == (21, 3) and (fit.joint_sigma > 0).all()
    assert fit.body.phenotypes["cupsize"] == 0.15, "clothes add to a flat chest"


def test_legs_are_as_long_as_they_look(fitter: BodyFitter) -> None:
    stiff = BodyFitter(weights=FitWeights(legs_sigma=1e-3))
    for value in (-0.7, 0.6):
        seen = observed(dataclasses.replace(standing_body(), local_changes=leg_changes(value)))
        free, held = fitter.fit(seen), stiff.fit(seen)
        # Scale and height explain a part.
        assert set(free.body.local_changes) == set(LEGS)
        assert 0.1 < leg_value(free.body.local_changes) * np.sign(value) < abs(value)
        assert abs(leg_value(held.body.local_changes)) < 0.01
        assert free.landmark_error.mean() < held.landmark_error.mean()


def test_fits_are_the_same_every_time(fitter: BodyFitter, stepping: tuple[Observation, BodyFit]) -> None:
    seen, first = stepping
    again = fitter.fit(seen)
    assert np.array_equal(again.body.pose.turns, first.body.pose.turns)
    assert again.body.scale == first.body.scale


def test_landmarks_that_are_no_person_are_refused(fitter: BodyFitter) -> None:
    rng = np.random.default_rng(1)
    seen = observed(standing_body())
    scattered = dataclasses.replace(seen, points=rng.uniform(-90, 180, (33, 2)), mask=None)
    fit = fitter.fit(scattered)
    assert np.median(fit.landmark_error) > MOST_LANDMARKS
    assert "landmarks" in str(fit.refusal)


def test_clearance_tells_a_hand_inside_the_trunk() -> None:
    body = load_anny_body()
    cost = Clearance(body.bone_labels)
    free = standing_body()
    inside = standing_body(upperarm_L=(0.0, 0.0, -0.75), lowerarm_L=(0.0, -1.4, -1.2))
    for placed, sinks in ((free, False), (inside, True)):
        bones = torch.tensor(placed.bones_world(body), dtype=torch.float32)
        found = float(cost(bones, torch.tensor(placed.scale)))
        share = folded_share(placed.vertices_world(body) / placed.scale)
        assert (found > 5.0) == sinks and (share > MOST_FOLDED) == sinks


def test_terms_of_the_energy() -> None:
    assert float(geman(torch.tensor(1e6), 3.0)) == pytest.approx(9.0, rel=1e-3)
    assert float(geman(torch.tensor(0.01), 30.0)) == pytest.approx(0.01, rel=1e-3)
    turns = torch.zeros(21, 3)
    turns[JOINTS.index("lowerleg.L"), 0] = turns[JOINTS.index("lowerleg.R"), 0] = 0.6
    bent = float(hinge_cost(turns))
    assert bent < 1e-6 < float(hinge_cost(-turns))


def test_feet_reach_where_the_mask_shows_shoes() -> None:
    points = standing_body(foot_L=(0.9, 0.0, 0.0))
    seen, level = (
        observed(points),
        observed(standing_body()),
    )
    # Heel and ball are seen where a level foot's would be; only the mask tells.
    toes = seen.points.copy()
    toes[[29, 31]] = level.points[[29, 31]]
    seen = dataclasses.replace(seen, points=toes)
    body = load_anny_body()
    foot = body.moved_by(("toe",), ".L")
    assert 0 < foot.sum() < 1500 and not (foot & body.moved_by(("toe",), ".R")).any()
    truth = points.vertices_world(body)[foot][:, :2]

    def off(weights: FitWeights) -> float:
        found = BodyFitter(weights=weights).fit(seen).body.vertices_world(body)[foot][:, :2]
        return float(np.linalg.norm(found - truth, axis=1).mean())

    with_mask, without = off(FitWeights()), off(FitWeights(tips=0.0, feet_free=1.0, feet_sure=1.0))
    assert with_mask < 0.75 * without


def test_skin_outside_of_the_mask_is_counted() -> None:
    placed = standing_body()
    seen = observed(placed)
    skin = placed.vertices_world(load_anny_body())[:13380]
    assert outside_share(skin, seen, 170.0) < 0.01
    assert outside_share(skin + [60.0, 0.0, 0.0], seen, 170.0) > 0.8


def test_those_who_lean_are_drawn_above_their_feet_and_those_who_jump_are_not() -> None:
    height, weights = 170.0, FitWeights()
    stands = SimpleNamespace(height=height, weights=weights, grounded=1.0)
    feet = torch.tensor([[-10.0, 5.0, 0.0], [10.0, 5.0, 0.0]])

    def pull(deviations: float, who: SimpleNamespace = stands) -> float:
        before = torch.tensor(deviations * weights.balance_sigma * height, requires_grad=True)
        skin = torch.stack([torch.zeros(()), torch.tensor(90.0), before])[None]
        Energy.balance(cast("Energy", who), skin, feet, weights.robust[-1]).backward()
        assert before.grad is not None
        return float(before.grad)

    assert pull(0.0) == 0 and pull(1.0) > 0 > pull(-1.0)
    # Three deviations are 26 cm of a person of 170: one who leans, not one who jumps.
    assert pull(3.0) > pull(1.0) and pull(20.0) < 0.1 * pull(3.0)
    assert pull(3.0, SimpleNamespace(height=height, weights=weights, grounded=0.0)) == 0
