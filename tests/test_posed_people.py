"""Clothed people in drawn poses: whole surfaces, the same clothes as standing, the truth of face and body."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial import cKDTree

from jiff.base.files import read_json
from jiff.base.progress import NullProgress
from jiff.body.anny_body import AnnyBody, load_anny_body
from jiff.geometry.inside import inside_mesh
from jiff.geometry.io.mesh_io import load_mesh
from jiff.geometry.raycast import RayScene
from jiff.options.synth import SynthConfig
from jiff.pipelines.synth import run_synth, subject_name
from jiff.synthetic import posed
from jiff.synthetic.carry import carry
from jiff.synthetic.person import BASE_VERTICES, build_person, dress_person
from jiff.synthetic.posed import PosedPerson, posed_person, read_body, standing_person
from jiff.synthetic.scan_files import ScanJob, is_complete, template_triangles
from jiff.synthetic.tears import measure_tears
from jiff.synthetic.template import load_template
from jiff.synthetic.wardrobe import sample_person

COUNT = template_triangles(40_000)
SEED = 3
SKIRT = 12
"""Of seed 3: a woman in a skirt with hanging hair."""


@pytest.fixture(scope="module")
def body() -> AnnyBody:
    return load_anny_body()


def _posed(body: AnnyBody, index: int) -> PosedPerson:
    rng = np.random.default_rng([SEED, index])
    spec = sample_person(rng, body.local_change_labels)
    return posed_person(spec, rng, np.random.default_rng([SEED, index, 1]), COUNT)


@pytest.fixture(scope="module")
def people(body: AnnyBody) -> list[PosedPerson]:
    return [_posed(body, index) for index in (0, 2, SKIRT)]


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two people as files, drawn poses."""
    root = tmp_path_factory.mktemp("posed")
    config = SynthConfig(out=root, count=2, seed=SEED, jobs=1, triangles=40_000, texture_size=256)
    assert run_synth(config, NullProgress()).failures == {}
    return root


@pytest.fixture
def refusals(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bool]]:
    """Refuse the first two carried draws."""
    answers = [False, False, True]
    monkeypatch.setattr(posed, "_good", lambda tears: answers.pop(0))
    yield answers


def test_surfaces_are_whole(people: list[PosedPerson]) -> None:
    for person in people:
        mesh = person.mesh
        assert np.isfinite(mesh.vertices).all() and np.isfinite(mesh.skin).all()
        faces = mesh.faces.astype(np.int64)
        directed = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
        count = len(mesh.vertices)
        forward = np.sort(directed[:, 0] * count + directed[:, 1])
        assert np.array_equal(forward, np.sort(directed[:, 1] * count + directed[:, 0]))
        a, b, c = mesh.vertices[faces].transpose(1, 0, 2)
        assert 0.035 < np.einsum("ij,ij->", a, np.cross(b, c)) / 6 < 0.2
        assert inside_mesh(RayScene(mesh.vertices, mesh.faces), np.stack([e.center for e in mesh.eyes])).all()


def test_lowest_point_lies_on_the_ground_of_the_person(people: list[PosedPerson]) -> None:
    for person in people:
        lowest = person.mesh.vertices[:, 1].min() - person.spec.offset_m[1]
        assert (0.04 <= lowest <= 0.3) if person.airborne else abs(lowest) < 1e-9


def test_draws_repeat(people: list[PosedPerson], body: AnnyBody) -> None:
    again = _posed(body, 2)
    np.testing.assert_array_equal(again.mesh.vertices, people[1].mesh.vertices)
    assert again.record() == people[1].record()


def test_the_recorded_body_is_the_bare_skin(people: list[PosedPerson], body: AnnyBody) -> None:
    template = load_template(COUNT)
    for person in people:
        placed = read_body(json.loads(json.dumps(person.record()))["body"])
        skin = template.matrix @ placed.vertices_world(body)[:BASE_VERTICES]
        distance = np.linalg.norm(skin - person.mesh.skin, axis=1)
        # Hem lines moved a few vertices along the skin.
        assert np.quantile(distance, 0.9) < 1e-4 and distance.max() < 0.02


def test_standing_people_are_those_built_before_and_their_body_is_recorded(body: AnnyBody) -> None:
    rng, other = (np.random.default_rng([SEED, 1]) for _ in range(2))
    person = standing_person(sample_person(rng, body.local_change_labels), rng, COUNT)
    before = build_person(sample_person(other, body.local_change_labels), other, COUNT)
    np.testing.assert_array_equal(person.mesh.vertices, before.vertices)
    record = json.loads(json.dumps(person.record()))["body"]
    placed = read_body(record)
    matrix = load_template(COUNT).matrix
    near = matrix @ placed.vertices_world(body)[:BASE_VERTICES]
    distance = np.linalg.norm(near - person.mesh.skin, axis=1)
    assert np.median(distance) < 3e-3 and np.quantile(distance, 0.99) < 0.015
    turns = {name: np.array(turn) for name, turn in record["bones"].items()}
    exact = body.pose(placed.rest(body), turns) * placed.scale + placed.offset_world
    distance = np.linalg.norm(matrix @ exact[:BASE_VERTICES] - person.mesh.skin, axis=1)
    assert np.quantile(distance, 0.9) < 1e-4


def test_a_draw_keeps_looks_and_clothes(people: list[PosedPerson], body: AnnyBody) -> None:
    rng = np.random.default_rng([SEED, 0])
    spec = sample_person(rng, body.local_change_labels)
    drawn = people[0].spec
    assert (drawn.top, drawn.bottom, drawn.hair, drawn.looks) == (
        spec.top,
        spec.bottom,
        spec.hair,
        spec.looks,
    )


def test_carrying_to_the_same_pose_moves_nothing(body: AnnyBody) -> None:
    rng = np.random.default_rng([SEED, SKIRT])
    spec = sample_person(rng, body.local_change_labels)
    assert spec.bottom.kind == "skirt" and spec.hair.style in ("bob", "long")
    dressed = dress_person(spec, rng, COUNT)
    same = carry(dressed, load_template(COUNT), dressed.rotations, body.pose(dressed.rest, dressed.rotations))
    count = len(dressed.layered.vertices)
    moved = np.linalg.norm(same.vertices + dressed.origin - dressed.mesh.vertices, axis=1)
    assert moved[:count].max() < 1e-5
    shells = [range(first, last) for name, first, last in dressed.parts if name in ("skirt", "hair")]
    rigid = np.setdiff1d(np.arange(len(moved)), np.concatenate([np.arange(count), *map(np.array, shells)]))
    assert moved[rigid].max() < 1e-5
    # Skirt and hair are pushed clear of what they touch already.
    assert all(np.median(moved[list(shell)]) < 0.004 for shell in shells)
    tears = measure_tears(dressed, same, load_template(COUNT))
    assert tears.stretched == 0 and tears.longest_m < 1e-5


def test_torn_surfaces_are_told(body: AnnyBody, people: list[PosedPerson]) -> None:
    rng = np.random.default_rng([SEED, 0])
    dressed = dress_person(sample_person(rng, body.local_change_labels), rng, COUNT)
    vertices = dressed.mesh.vertices.copy()
    chosen = load_template(COUNT).part[dressed.layered.source] == 2
    vertices[: len(chosen)][chosen] += [0.3, 0.0, 0.0]
    tears = measure_tears(dressed, replace(dressed.mesh, vertices=vertices), load_template(COUNT))
    assert tears.longest_m > 0.03 and not posed._good(tears)
    vertices = dressed.mesh.vertices.copy()
    hand = chosen & (load_template(COUNT).limb[dressed.layered.source] > 1.2)
    middle = dressed.mesh.skin[load_template(COUNT).part == 0].mean(axis=0)
    vertices[: len(chosen)][hand] += middle - vertices[: len(chosen)][hand].mean(axis=0)
    tears = measure_tears(dressed, replace(dressed.mesh, vertices=vertices), load_template(COUNT))
    assert tears.hands_hidden > 0.33 and not posed._good(tears)


def test_refused_draws_are_drawn_again(
    body: AnnyBody, refusals: list[bool], people: list[PosedPerson]
) -> None:
    person = _posed(body, 2)
    assert refusals == [] and person.refused >= 2
    assert np.abs(person.body.pose.turns - people[1].body.pose.turns).max() > 0.01


def test_scan_files_tell_face_and_body(scans: Path, body: AnnyBody) -> None:
    for index in range(2):
        name = subject_name(index)
        mesh = load_mesh(scans / name / f"{name}.obj")
        truth = read_json(scans / name / f"{name}_truth.json")
        assert truth["recipe"]["poses"] == "varied"
        assert truth["height_m"] == pytest.approx(np.ptp(mesh.vertices[:, 1]), abs=2e-6)
        assert 1.5 <= truth["standing_height_m"] <= 1.95
        assert set(truth["pose"]) == {"kind", "arms", "airborne", "refused"}
        arrays = np.load(scans / name / f"{name}_truth.npz")
        visible = arrays["face_vertices"][arrays["face_visible"]]
        assert cKDTree(mesh.vertices).query(visible)[0].max() < 1e-3
        skin = read_body(truth["body"]).vertices_world(body)
        assert cKDTree(skin[:BASE_VERTICES]).query(arrays["landmarks"])[0].max() < 0.012
        for center in arrays["eye_centers"]:
            assert np.linalg.norm(skin[13380:] - center, axis=1).min() < 0.02


def test_sets_are_complete_for_their_own_poses_only(scans: Path, tmp_path: Path) -> None:
    def job(folder: Path, poses: str) -> ScanJob:
        return ScanJob(folder / subject_name(0), SEED, 0, 40_000, 256, poses)

    assert is_complete(job(scans, "varied"))
    verdict = is_complete(job(scans, "standing"))
    assert not verdict and "poses" in verdict.reason
    config = SynthConfig(
        out=tmp_path, count=1, seed=SEED, jobs=1, triangles=40_000, texture_size=256, poses="standing"
    )
    run_synth(config, NullProgress())
    # What earlier versions wrote knew of no poses.
    record = tmp_path / subject_name(0) / f"{subject_name(0)}_truth.json"
    truth = read_json(record)
    del truth["recipe"]["poses"]
    record.write_text(json.dumps(truth))
    assert is_complete(job(tmp_path, "standing"))
    assert not is_complete(job(tmp_path, "varied"))
