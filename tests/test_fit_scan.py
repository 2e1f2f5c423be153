"""Fits of surfaces with known truth, and refusals."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from face_people import distance_to_truth, model, person

from jiff.base.errors import FitError
from jiff.face.detect.detector import Detection, HaarDetector
from jiff.face.fit.fitting import FaceFitter, FacePose, start_from_landmarks
from jiff.face.fit.quality import FitLimits, measure_fit, refusal
from jiff.face.fit.scan_fit import fit_scan
from jiff.face.surface import FaceScene
from jiff.geometry.camera import Camera, rotation_x, rotation_y
from jiff.geometry.mesh import Mesh

FITTER = FaceFitter(model())


def random_pose(rng: np.random.Generator) -> FacePose:
    m = model()
    expression = np.zeros(len(m.expression))
    for name in ("jawOpen", "mouthSmileLeft", "mouthSmileRight"):
        expression[m.expression_names.index(name)] = 0.8
    return FacePose(
        scale=1.1,
        rotation=rotation_y(0.3) @ rotation_x(-0.15),
        offset=np.array([3.0, 165.0, 7.0]),
        identity=rng.normal(size=len(m.identity)) * 0.7,
        expression=expression,
    )


def test_known_face_is_recovered_from_its_own_surface(rng):
    m, truth = model(), random_pose(rng)
    vertices = truth.vertices(m)
    scene = FaceScene(Mesh(vertices, m.triangles))
    five = m.five_landmarks(vertices) + rng.normal(size=(5, 3)) * 0.3
    start = start_from_landmarks(m, five)
    surface = scene.around(start.offset, start.rotation)
    pose = FITTER.fit(surface, start, five)
    error = np.linalg.norm(pose.vertices(m) - vertices, axis=1)[m.core]
    # Beside the surface distance this is the distance to the very vertex, sliding included.
    assert np.median(error) < 0.1 and np.percentile(error, 90) < 0.25
    before = np.linalg.norm(start.vertices(m) - vertices, axis=1)[m.core]
    assert np.median(before) > 4 * np.median(error)


def test_hair_over_the_forehead_hardly_matters(rng):
    m, truth = model(), random_pose(rng)
    vertices = truth.vertices(m)
    hidden = truth.place(m.mean.astype(float))
    local_y = m.mean[:, 1]
    hair = vertices + 1.2 * truth.rotation[:, 2]
    chosen = (local_y > 5.0) & (m.mean[:, 0] > -2)
    keep = chosen[m.triangles].all(1)
    both = Mesh(
        np.concatenate([vertices, hair]), np.concatenate([m.triangles, m.triangles[keep] + len(hair)])
    )
    five = m.five_landmarks(vertices)
    start = start_from_landmarks(m, five)
    pose = FITTER.fit(FaceScene(both).around(start.offset, start.rotation), start, five)
    error = np.linalg.norm(pose.vertices(m) - vertices, axis=1)[m.core]
    assert hidden.shape == vertices.shape
    assert np.percentile(error, 90) < 0.3


def test_fit_moves_with_the_world(rng):
    m, truth = model(), random_pose(rng)
    turn = rotation_y(np.radians(25))
    results = []
    for rotation in (np.eye(3), turn):
        vertices = truth.vertices(m) @ rotation.T
        five = m.five_landmarks(vertices)
        start = start_from_landmarks(m, five)
        surface = FaceScene(Mesh(vertices, m.triangles)).around(start.offset, start.rotation)
        results.append(FITTER.fit(surface, start, five).vertices(m) @ rotation)
    assert np.abs(results[0] - results[1]).max() < 0.05


def test_synthetic_person_is_fitted_within_a_millimetre():
    p, m = person(), model()
    fit = fit_scan(FITTER, FaceScene(p.mesh), Camera(), p.picture, p.mask, HaarDetector())
    error = distance_to_truth(fit.pose.vertices(m)[m.core], p.face)
    assert np.median(error) < 0.10 and np.percentile(error, 90) < 0.25
    assert fit.quality.overlap > 0.85 and refusal(fit.quality, FitLimits()) is None
    # What the fit says about itself is what the truth says.
    assert fit.quality.median == pytest.approx(np.median(error), abs=0.02)


def test_clay_close_up_serves_when_the_picture_shows_nothing():
    p, m = person(), model()
    blank = np.zeros_like(p.picture)
    fit = fit_scan(FITTER, FaceScene(p.mesh), Camera(), blank, p.mask, HaarDetector())
    assert "clay" in fit.evidence.source
    assert np.median(distance_to_truth(fit.pose.vertices(m)[m.core], p.face)) < 0.10


class _Fixed:
    """A detector that says what it is told, at pixels of the whole 512-px picture."""

    name = "fixed"

    def __init__(self, points_px: np.ndarray) -> None:
        self.points = points_px

    def detect(self, image_rgb: np.ndarray) -> list[Detection]:
        if image_rgb.shape[0] != 1024:
            return []
        points = self.points * 2
        low, high = points.min(0), points.max(0)
        grow = 0.6 * (high - low)
        return [Detection(np.concatenate([low - grow, high + grow]), points, 0.9, "yunet")]


def sabotaged(kind: str) -> tuple[Mesh, np.ndarray, np.ndarray]:
    """Return mesh, mask and false landmarks."""
    p, m = person(), model()
    five = Camera().world_to_pixel(
        fit_scan(FITTER, FaceScene(p.mesh), Camera(), p.picture, p.mask, HaarDetector()).pose.place(
            model().five_landmarks(m.mean.astype(float))
        )
    )
    if kind == "mirrored":
        return p.mesh, p.mask, five[[1, 0, 2, 4, 3]]
    if kind == "chest":
        return p.mesh, p.mask, five + [0, 70]
    if kind == "beside":
        return p.mesh, p.mask, five + [60, 0]
    if kind == "too small":
        return p.mesh, p.mask, five.mean(0) + 0.35 * (five - five.mean(0))
    back = p.mesh.transformed(rotation_y(np.pi))
    return back, p.mask[:, ::-1].copy(), np.stack([512 - five[:, 0], five[:, 1]], 1)[[1, 0, 2, 4, 3]]


@pytest.mark.parametrize("kind", ["mirrored", "chest", "beside", "too small", "back of the head"])
def test_sabotage_is_refused(kind: str):
    mesh, mask, five = sabotaged(kind)
    with pytest.raises(FitError):
        fit_scan(FITTER, FaceScene(mesh), Camera(), np.zeros((512, 512, 3), np.uint8), mask, _Fixed(five))


def test_each_limit_refuses():
    m, pose = model(), FacePose(1.0, np.eye(3), np.zeros(3), np.zeros(len(model().identity)), np.zeros(51))
    surface = FaceScene(Mesh(pose.vertices(m), m.triangles)).around(pose.offset, pose.rotation)
    five = m.five_landmarks(pose.vertices(m))[:, :2] * 10
    good = measure_fit(m, pose, surface, five_px=(five, five))
    assert refusal(good, FitLimits()) is None
    for change in (
        {"median": 0.2}, {"p90": 0.6}, {"features_p90": 0.6}, {"overlap": 0.5}, {"scale": 2.0}, {"yaw_deg": 80.0},
        {"pitch_deg": -70.0}, {"roll_deg": 60.0}, {"coefficient_rms": 3.0}, {"median": float("nan")},
        {"landmark_relative": 0.6, "landmark_px": 9.0},
    ):  # fmt: skip
        assert refusal(replace(good, **change), FitLimits()) is not None, change


def test_distance_that_a_fit_reports_is_the_distance(rng):
    m, pose = model(), FacePose(1.0, np.eye(3), np.zeros(3), np.zeros(len(model().identity)), np.zeros(51))
    surface = FaceScene(Mesh(pose.vertices(m), m.triangles)).around(pose.offset, pose.rotation)
    at_place = measure_fit(m, pose, surface)
    ahead = measure_fit(m, replace(pose, offset=np.array([0, 0, 0.3])), surface)
    assert at_place.median < 0.01 and at_place.overlap > 0.9
    assert 0.15 < ahead.median < 0.3
