"""Faces from the network's points: closed forms, other models, and the commands on real photos."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tiny_person
from face_people import model, person, write_subject

from jiff.base.progress import NullProgress
from jiff.face.fit.carried_points import carried_points
from jiff.face.fit.fitting import FacePose
from jiff.face.fit.points_fit import fit_points
from jiff.face.fit.seen_fit import fit_seen, seen_refusal, share_on_person
from jiff.face.points import anny_points, barycentric, learnt_points
from jiff.geometry.camera import Camera, rotation_x, rotation_y
from jiff.options.face import FaceConfig
from jiff.options.reconstruct import ReconstructConfig
from jiff.perception.networks import PersonNetworks
from jiff.pipelines.face import run_face
from jiff.pipelines.reconstruct import run_reconstruct


def _seen(yaw_deg: float, scale: float = 1.0) -> tuple[FacePose, np.ndarray]:
    """A posed face and its 468 points in the canonical camera's pixels."""
    m, camera = model(), Camera()
    pose = FacePose(
        scale, rotation_y(np.radians(yaw_deg)) @ rotation_x(0.15), np.array([3.0, 160.0, 5.0]),
        0.7 * np.random.default_rng(1).normal(size=len(m.identity)), np.zeros(len(m.expression)),
    )  # fmt: skip
    points = anny_points(m, habits=False)
    world = points.on(pose.vertices(m))
    mesh = np.zeros((468, 3))
    mesh[points.which, :2] = camera.world_to_pixel(world)
    mesh[points.which, 2] = -(world[:, 2] - world[:, 2].mean()) / (2 * camera.half_width_world / 512)
    return pose, mesh


@pytest.mark.parametrize("yaw", [0.0, 30.0, -55.0])
@pytest.mark.parametrize("scale", [0.8, 1.3])
def test_exact_points_give_the_face_back(yaw: float, scale: float) -> None:
    truth, mesh = _seen(yaw, scale)
    m, points = model(), anny_points(model(), habits=False)
    found = fit_points(m, points, Camera(), mesh)
    gap = (found.pose.vertices(m) - truth.vertices(m))[m.core]
    assert np.linalg.norm(gap[:, :2], axis=1).mean() < 0.25 * scale
    assert found.pose.scale == pytest.approx(scale, rel=0.08)
    angle = np.degrees(np.arccos(np.clip((np.trace(found.pose.rotation.T @ truth.rotation) - 1) / 2, -1, 1)))
    assert angle < 5
    assert found.residual < 0.25


def test_mirrored_points_are_no_face() -> None:
    _, mesh = _seen(20.0)
    mesh[:, 0] = 2 * mesh[:, 0].mean() - mesh[:, 0]
    points = anny_points(model())
    five = np.array([[190.0, 60], [210, 60], [200, 70], [195, 80], [205, 80]])
    pose, quality = fit_seen(model(), points, Camera(), mesh, five)
    mask = np.full((512, 512), 255, np.uint8)
    assert seen_refusal(quality, mesh, mask) is not None
    assert np.isfinite(pose.scale)


def test_a_face_beside_the_person_is_refused() -> None:
    _, mesh = _seen(0.0)
    mask = np.zeros((512, 512), np.uint8)
    assert share_on_person(mesh, mask) == 0.0
    five = mesh[[33, 263, 1, 61, 291], :2]
    _, quality = fit_seen(model(), anny_points(model()), Camera(), mesh, five)
    assert "lies on the person" in (seen_refusal(quality, mesh, mask) or "")
    assert seen_refusal(quality, mesh, np.full((512, 512), 255, np.uint8)) is None


def test_points_are_carried_to_other_models() -> None:
    m = model()
    own = anny_points(m)
    carried = carried_points(m, m)
    assert carried is not None
    gap = np.linalg.norm(carried.on(m.mean.astype(float)) - own.on(m.mean.astype(float)), axis=1)
    assert np.median(gap) < 0.15
    which, places, spread = learnt_points()
    assert len(which) > 440 and (spread > 0).all() and np.isfinite(places).all()
    # Eyes, nose tip and mouth corners lie where the model's own landmarks are.
    five = np.stack([places[np.isin(which, k)].mean(0) for k in ((33, 133), (263, 362), (1,), (61,), (291,))])
    assert np.linalg.norm(five - m.five_landmarks(m.mean.astype(float)), axis=1).max() < 1.2


def test_barycentric_coordinates(rng: np.random.Generator) -> None:
    corners = rng.normal(size=(10, 3, 3))
    share = rng.dirichlet([1, 1, 1], 10)
    points = np.einsum("ni,nij->nj", share, corners)
    np.testing.assert_allclose(barycentric(points, corners), share, atol=1e-9)


def _jiff(*words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "jiff_cli", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def test_photos_to_faces_by_the_commands(networks: PersonNetworks, shared: Path, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for name in ("person_13.jpg", "person_17.jpg"):
        shutil.copy(shared / "people" / name, photos / name)
    (photos / "broken.jpg").write_bytes(b"no picture")
    done = _jiff("data", "frame", "-i", photos, "-o", tmp_path / "test")
    assert done.returncode == 1 and "2 photos done, 1 failed" in done.stderr + done.stdout
    assert "Traceback" not in done.stderr
    person = json.loads((tmp_path / "test" / "person_13_person.json").read_text())
    assert len(person["pose"]["points_px"]) == 33 and len(person["face"]["points_px"]) == 468
    framing = json.loads((tmp_path / "test" / "person_13_framing.json").read_text())
    back = np.array(framing["frame_to_photo"])
    nose = np.linalg.solve(back[:, :2], np.array(person["pose"]["points_px"][0]) - back[:, 2])
    assert 0 < nose[0] < framing["size"] and nose[1] < 0.35 * framing["size"]
    done = _jiff("data", "face", "-i", tmp_path / "test", "-j", 1)
    assert done.returncode == 0, done.stderr
    for name in ("person_13", "person_17"):
        assert (tmp_path / "test" / f"{name}_mesh.obj").is_file()
        fit = json.loads((tmp_path / "test" / f"{name}_fit.json").read_text())
        assert fit["accepted"] and fit["method"] == "face points" and fit["quality"]["points"] < 1.4
    # A profile to the subject's left, and a head leant on a hand.
    yaw = json.loads((tmp_path / "test" / "person_13_fit.json").read_text())["quality"]["yaw_deg"]
    assert 35 < yaw < 75
    again = _jiff("data", "face", "-i", tmp_path / "test", "-j", 1)
    assert again.returncode == 0 and "complete" in again.stdout + again.stderr


def test_a_processed_set_is_seen_by_the_same_networks(networks: PersonNetworks, tmp_path: Path) -> None:
    root = tmp_path / "set"
    write_subject(root, "front", person().mesh, yaws=(0, 90))
    write_subject(root, "back", person().mesh.transformed(rotation_y(np.pi)), yaws=(0,))
    report = run_face(FaceConfig(input=root, jobs=1), NullProgress())
    assert list(report.results) == ["front"] and list(report.failures) == ["back"]
    assert report.results["front"]["evidence"] == "points on the frontal image"
    assert report.results["front"]["median_cm"] < 0.1


def test_a_photo_alone_goes_through_all_steps(networks: PersonNetworks, shared: Path, tmp_path: Path) -> None:
    checkpoint = tiny_person.train_networks(tmp_path / "run", steps=40)
    shutil.copy(shared / "people" / "person_17.jpg", tmp_path / "anna.jpg")
    config = ReconstructConfig(
        tmp_path / "anna.jpg", tmp_path / "out", checkpoint=checkpoint, resolution=48, format=("obj",), device="cpu"
    )  # fmt: skip
    progress = NullProgress()
    report = run_reconstruct(config, progress)
    assert list(report.results) == ["anna"], report.failures
    crops = tmp_path / "out" / "crops"
    assert (crops / "anna_mesh.obj").is_file() and (crops / "anna_person.json").is_file()
    assert not [w for w in progress.warnings if "mask" in w], "a mask that was seen is no guess"
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["people"]["anna"]["framing"]["mask"] == "person networks"
    assert run_reconstruct(config, NullProgress()).skipped == ["anna"]
