"""``jiff data body`` on a test folder: what it writes, what it refuses, what it leaves alone."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jiff.base.errors import InputError
from jiff.base.progress import NullProgress
from jiff.body.anny_body import load_anny_body
from jiff.body.files import body_of_values, body_values, read_body, write_body
from jiff.body.fit.fitting import BodyFitter
from jiff.data.face_record import FitRecord
from jiff.face.fit.face_pose import FacePose
from jiff.face.landmarks import similarity
from jiff.face.models.anny_face import landmark_vertices, load_anny_face
from jiff.face.models.anny_on_body import with_face
from jiff.geometry.io.mesh_io import load_mesh
from jiff.options.body import BodyConfig
from jiff.pipelines import body as body_pipeline
from jiff.pipelines.body import run_body
from tests.known_person import observed, standing_body, write_framed


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """A folder with a person, one whose landmarks are nonsense, and one nobody looked at, after the command."""
    folder = tmp_path_factory.mktemp("bodies")
    write_framed(folder, "anna")
    write_framed(folder, "ben", scattered=True)
    write_framed(folder, "carl")
    (folder / "carl_person.json").unlink()
    return folder, run_body(BodyConfig(input=folder, jobs=1), NullProgress())


def test_a_person_gets_mesh_arrays_record_and_picture(done: tuple[Path, Any]) -> None:
    folder, report = done
    assert list(report.results) == ["anna"] and set(report.failures) == {"ben", "carl"}
    placed = read_body(folder / "anna_body.json")
    body = load_anny_body()
    truth = standing_body(upperarm_R=(0.0, 0.0, -0.6))
    gap = placed.joints_world(body) - truth.joints_world(body)
    assert np.linalg.norm(gap[:, :2], axis=1).mean() < 4.0, "photo pixels are mapped to the frame's world"
    mesh = load_mesh(folder / "anna_body.obj")
    with np.load(folder / "anna_body.npz", allow_pickle=False) as stored:
        assert stored["vertices_world"].shape == (19158, 3) and stored["joint_sigma_world"].shape == (21, 3)
        assert np.allclose(stored["vertices_world"], placed.vertices_world(body), atol=0.02)
        low, high = stored["vertices_world"][:13380].min(0), stored["vertices_world"][:13380].max(0)
    assert np.allclose(mesh.vertices.min(0), low, atol=1.0) and np.allclose(
        mesh.vertices.max(0), high, atol=1.0
    )
    record = json.loads((folder / "anna_body.json").read_text())
    assert (
        record["residuals"]["folded_skin"] < 0.01 and record["residuals"]["landmarks_median_of_height"] < 0.02
    )
    assert set(record["joint_sigma_world"]) == set(record["body"]["joints"])
    assert (folder / "overlays" / "anna_body.png").is_file()


def test_refusals_name_photo_cause_and_leave_no_body(done: tuple[Path, Any]) -> None:
    folder, report = done
    assert "landmarks" in report.failures["ben"] and "ben.png" in report.failures["ben"]
    assert not (folder / "ben_body.obj").exists()
    with pytest.raises(InputError, match="no body was fitted"):
        read_body(folder / "ben_body.json")
    assert "jiff assets fetch perception" in report.failures["carl"]


def test_complete_people_are_left_alone_until_something_changes(done: tuple[Path, Any]) -> None:
    folder, _ = done
    config = BodyConfig(input=folder, jobs=1, names=("anna",))
    written = (folder / "anna_body.json").stat().st_mtime_ns
    assert run_body(config, NullProgress()).skipped == ["anna"]
    assert (folder / "anna_body.json").stat().st_mtime_ns == written
    write_framed(folder, "anna", scattered=True)
    report = run_body(config, NullProgress())
    assert set(report.failures) == {"anna"} and not (folder / "anna_body.obj").exists(), "no stale result"
    write_framed(folder, "anna")
    assert list(run_body(replace(config, overlays=False), NullProgress()).results) == ["anna"]


def test_the_command_says_what_failed(tmp_path: Path) -> None:
    write_framed(tmp_path, "ben", scattered=True)
    command = [sys.executable, "-m", "jiff_cli", "data", "body", "-i", str(tmp_path), "-j", "1"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.returncode == 1
    assert "ben" in found.stdout + found.stderr and "Traceback" not in found.stderr
    missing = subprocess.run(
        [*command[:-3], str(tmp_path / "none")], capture_output=True, text=True, check=False
    )
    assert missing.returncode != 0 and "none" in missing.stdout + missing.stderr


def test_bodies_survive_being_written() -> None:
    placed = standing_body(head=(0.1, 0.2, 0.3))
    again = body_of_values(json.loads(json.dumps(body_values(placed))), "x")
    assert np.allclose(again.pose.turns, placed.pose.turns, atol=1e-6) and again.scale == placed.scale
    assert again.phenotypes == pytest.approx(placed.phenotypes, abs=1e-5)


_VALUES = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=True) | st.text(max_size=5) | st.integers(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["phenotypes", "turns", "hands", "scale", "offset", "joints", "facial_actions"]), _VALUES
)
def test_damaged_records_are_one_sentence(key: str, value: Any) -> None:
    content = body_values(standing_body())
    content[key] = value
    try:
        placed = body_of_values(content, "anna_body.json")
    except InputError as error:
        assert str(error).startswith("anna_body.json: ")
    else:
        assert np.isfinite(placed.pose.turns).all() and placed.scale > 0


def test_a_fitted_face_is_carried_onto_the_body(tmp_path: Path) -> None:
    body, model = load_anny_body(), load_anny_face()
    placed = standing_body()
    rng = np.random.default_rng(5)
    identity, expression = rng.normal(0, 0.8, model.identity.shape[0]), np.zeros(model.expression.shape[0])
    expression[model.expression_names.index("jawOpen")] = 1.5
    carried = with_face(placed, identity, expression)
    assert carried.facial_actions["jawOpen"] == pytest.approx(0.45)
    # The face model's shape, laid onto the head, is what the head now is, better than the head's own face.
    wanted = model.shape(identity)

    def misfit(rest: np.ndarray) -> float:
        head = rest[landmark_vertices()].astype(np.float64)
        scale, turn, offset = similarity(wanted[model.landmarks68], head)
        return float(
            np.linalg.norm(scale * wanted[model.landmarks68] @ turn.T + offset - head, axis=1)[17:].mean()
        )

    neutral = replace(carried, facial_actions={})
    assert misfit(neutral.rest(body)) < 0.5 * misfit(placed.rest(body))
    moved = np.linalg.norm(neutral.rest(body) - placed.rest(body), axis=1)
    assert 1e-3 < moved.max() < 0.03 and (moved > 1e-6).mean() < 0.2, "the face alone, by millimetres"
    # Far from the border nothing jumps: neighbours move alike.
    ends = body.quads[body.quad_group == 0][:, :2]
    jump = np.linalg.norm(
        (neutral.rest(body) - placed.rest(body))[ends[:, 0]]
        - (neutral.rest(body) - placed.rest(body))[ends[:, 1]],
        axis=1,
    )
    assert jump.max() < 0.006
    write_body(tmp_path / "anna", carried, body, np.ones((21, 3)), {})
    again = read_body(tmp_path / "anna_body.json")
    assert np.allclose(again.vertices_world(body), carried.vertices_world(body), atol=1e-2)
    (tmp_path / "anna_body.npz").write_bytes(b"PK damaged")
    with pytest.raises(InputError, match="does not hold the face"):
        read_body(tmp_path / "anna_body.json")


def test_hands_are_seen_once_their_network_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Regression: folders without records of what was seen were complete for good, fitted without the network of hands."""
    write_framed(tmp_path, "anna")
    (tmp_path / "anna_person.json").unlink()
    networks = SimpleNamespace(sees_hands=False)
    seen = observed(standing_body(upperarm_R=(0.0, 0.0, -0.6)))
    monkeypatch.setattr(body_pipeline, "find_networks", lambda: networks)
    monkeypatch.setattr(body_pipeline, "ensure_networks", lambda progress: networks)
    monkeypatch.setattr(body_pipeline, "observe", lambda *args: seen)
    config = BodyConfig(input=tmp_path, jobs=1, overlays=False)
    assert list(run_body(config, NullProgress()).results) == ["anna"]
    assert run_body(config, NullProgress()).skipped == ["anna"]
    networks.sees_hands = True
    assert list(run_body(config, NullProgress()).results) == ["anna"], "hands are looked for now"
    write_framed(tmp_path, "anna")
    assert list(run_body(config, NullProgress()).results) == ["anna"], "the record is new"
    networks.sees_hands = False
    assert run_body(config, NullProgress()).skipped == ["anna"], "what was seen is told by the record"


def test_the_record_tells_the_skin_that_hands_fold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_framed(tmp_path, "anna")
    whole = BodyFitter.fit
    monkeypatch.setattr(
        BodyFitter, "fit", lambda self, seen: replace(whole(self, seen), folded_with_hands=0.025)
    )
    report = run_body(BodyConfig(input=tmp_path, jobs=1, overlays=False), NullProgress())
    assert list(report.results) == ["anna"], "hands may add up to 3 %"
    record = json.loads((tmp_path / "anna_body.json").read_text())
    assert record["residuals"]["folded_skin"] == 0.025


def test_a_face_that_comes_later_is_carried_by_the_body_again(tmp_path: Path) -> None:
    write_framed(tmp_path, "anna")
    config = BodyConfig(input=tmp_path, jobs=1, overlays=False)
    assert list(run_body(config, NullProgress()).results) == ["anna"]
    model = load_anny_face()
    identity = np.zeros(model.identity.shape[0])
    identity[0] = 2.0
    pose = FacePose(1.0, np.eye(3), np.zeros(3), identity, np.zeros(model.expression.shape[0]))
    FitRecord("anny", "test", pose, {}).save(tmp_path / "anna_fit.json")
    assert list(run_body(config, NullProgress()).results) == ["anna"], "the face is new"
    assert len(read_body(tmp_path / "anna_body.json").extra_index) > 1000
    moved = replace(pose, offset=np.ones(3))
    FitRecord("anny", "test", moved, {}).save(tmp_path / "anna_fit.json")
    assert run_body(config, NullProgress()).skipped == ["anna"], "the same face elsewhere"
