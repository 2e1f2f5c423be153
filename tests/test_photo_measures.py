"""The face after alignment of the face alone, its depth, and how a mesh agrees with its own photo."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import cv2
import numpy as np
import pytest
import tiny_person
import trimesh
from scipy.spatial.transform import Rotation

from jiff.geometry.mesh import Mesh
from jiff.geometry.rigid import RigidMotion
from jiff.inference.in_photo import photo_numbers
from jiff.metrics.measure import MetricOptions, measure
from jiff.metrics.registry import METRICS
from jiff.metrics.tables import summarise
from jiff.options.metrics import MetricsConfig
from jiff.photo.test_folder import PersonImage
from jiff.pipelines.metrics import protocol

OPTIONS = MetricOptions(samples=3000, face_samples=5000, volume_spacing_cm=5.0, face_volume_spacing_cm=2.0)
NECK = 150.0
MIDDLE = np.array([0.0, 162.0, 0.0])
BOX = np.array([[-8.0, 153.0, 2.0], [8.0, 172.0, 16.0]])
FACE_KEYS = {"aligned_chamfer_cm", "aligned_normal_deg", "depth_cm", "depth_error_cm"}


def _bump(points: np.ndarray, place: tuple[float, float], width: float, height: float) -> np.ndarray:
    """How far the front of the head stands out [N] around a place (x, y)."""
    squared = ((points[:, :2] - place) ** 2).sum(axis=1)
    return height * np.exp(-squared / (2 * width**2)) * (points[:, 2] > 0)


def _person(nose: float = 2.5, broad: float = 1.0) -> Mesh:
    """A torso, and a head with nose, eye sockets, brow and chin, facing +z."""
    ball = trimesh.creation.icosphere(subdivisions=4)
    head = np.asarray(ball.vertices) * (7.5, 11.0, 9.0) + MIDDLE
    for place, width, height in (
        ((0.0, 162.0), 1.3, nose), ((-3.0, 165.0), 1.2, -1.0), ((3.0, 165.0), 1.2, -1.0), ((0.0, 154.0), 2.0, 1.2),
        ((0.0, 168.0), 2.0, 0.6),
    ):  # fmt: skip
        head[:, 2] += _bump(head, place, width, height)
    head[:, 0] *= broad
    body = np.asarray(ball.vertices) * (25.0, 70.0, 13.0) + (0.0, 75.0, 0.0)
    faces = np.asarray(ball.faces, dtype=np.int64)
    return Mesh(np.concatenate([head, body]), np.concatenate([faces, faces + len(head)]))


def _head_moved(mesh: Mesh, shift: tuple[float, float, float], turn_deg: tuple[float, float, float] = (0, 0, 0)) -> Mesh:  # fmt: skip
    head = mesh.vertices[:, 1] > NECK
    vertices = mesh.vertices.copy()
    turn = Rotation.from_euler("xyz", turn_deg, degrees=True).as_matrix()
    vertices[head] = (vertices[head] - MIDDLE) @ turn.T + MIDDLE + shift
    return Mesh(vertices, mesh.faces)


def _face(pred: Mesh, truth: Mesh) -> dict[str, float]:
    return measure(pred, truth, BOX, OPTIONS)["face"]


def test_a_face_in_the_wrong_depth_is_a_good_face_in_the_wrong_depth() -> None:
    truth = _person()
    for shift in (2.0, -2.0):
        found = _face(_head_moved(truth, (0.0, 0.0, shift)), truth)
        assert found["depth_cm"] == pytest.approx(shift, abs=0.03)
        assert found["depth_error_cm"] == pytest.approx(2.0, abs=0.03)
        assert found["aligned_chamfer_cm"] < 0.01 and found["aligned_normal_deg"] < 0.6
        assert found["chamfer_cm"] > 1.0


def test_a_turned_face_comes_back() -> None:
    truth = _person()
    found = _face(_head_moved(truth, (0.7, -0.6, 1.0), (5.0, -6.0, 3.0)), truth)
    assert found["aligned_chamfer_cm"] < 0.02 < found["chamfer_cm"]
    assert found["aligned_normal_deg"] < 0.6


def test_a_wrong_shape_stays_wrong() -> None:
    """Without its nose, or broader, the face is no better after alignment than its shape allows."""
    truth = _person()
    flat = _face(_person(nose=0.0), truth)
    assert 0.05 < flat["aligned_chamfer_cm"] < 0.4 and flat["aligned_normal_deg"] > 3
    broad = _face(_head_moved(_person(broad=1.25), (0.0, 0.0, 2.0)), truth)
    assert 0.1 < broad["aligned_chamfer_cm"] < broad["chamfer_cm"] and broad["aligned_normal_deg"] > 2
    # A broader face fits further back.
    assert broad["depth_cm"] == pytest.approx(2.4, abs=0.4)


def test_the_depth_of_a_face_without_features() -> None:
    """A ball for a head fits in any position; its depth must not depend on it."""
    truth, pred = _person(), _person()
    count = len(pred.vertices) // 2
    ball = np.asarray(trimesh.creation.icosphere(subdivisions=4).vertices) * 9.0 + MIDDLE
    for shift in (0.0, 2.0):
        head = ball + (0.0, 0.0, shift)
        found = _face(Mesh(np.concatenate([head, pred.vertices[count:]]), pred.faces), truth)
        assert found["depth_cm"] == pytest.approx(shift, abs=0.4)
        assert 0.5 < found["aligned_chamfer_cm"] < found["chamfer_cm"] + 0.05


def test_depth_is_relative_to_the_body_and_a_moved_person_has_none() -> None:
    truth = _person()
    whole = truth.transformed(np.eye(3), (0.0, 0.0, 2.0))
    found = _face(whole, truth)
    assert abs(found["depth_cm"]) < 0.03 and found["aligned_chamfer_cm"] < 0.01
    assert _face(_head_moved(whole, (0, 0, -3.0)), truth)["depth_cm"] == pytest.approx(-3.0, abs=0.05)


def test_numbers_repeat_and_only_faces_have_them() -> None:
    truth = _person()
    pred = _head_moved(truth, (0.0, 0.0, 1.0))
    one, two = measure(pred, truth, BOX, OPTIONS), measure(pred, truth, BOX, OPTIONS)
    assert one == two and set(one["face"]) >= FACE_KEYS and not FACE_KEYS & set(one["body"])
    lines = summarise({"a": one}).lines()
    assert "Depth (cm)" in lines[1] and "Depth" not in lines[0]
    text = protocol(MetricsConfig(Path("a"), Path("b")))
    for metric in METRICS:
        assert metric.text[1:] in text


def test_no_face_and_no_body_are_no_numbers() -> None:
    truth = _person()
    head = truth.faces[(truth.triangles[..., 1] > BOX[0, 1]).all(axis=1)]
    alone = Mesh(truth.vertices, head)
    found = _face(alone, alone)
    assert math.isnan(found["depth_cm"]) and found["aligned_chamfer_cm"] < 1e-6
    gone = _face(truth.transformed(np.eye(3), (0.0, -120.0, 0.0)), truth)
    assert math.isnan(gone["aligned_chamfer_cm"]) and math.isnan(gone["depth_error_cm"])


def test_motions_go_back_and_follow_each_other(rng: np.random.Generator) -> None:
    first, second = (
        RigidMotion(Rotation.random(random_state=k).as_matrix(), rng.normal(size=3)) for k in (1, 2)
    )
    points = rng.normal(size=(9, 3))
    np.testing.assert_allclose(first.undo(first.apply(points)), points, atol=1e-12)
    np.testing.assert_allclose(
        first.then(second).apply(points), second.apply(first.apply(points)), atol=1e-12
    )
    np.testing.assert_allclose(first.turn(points), first.apply(points) - first.offset, atol=1e-12)


def test_a_figure_agrees_with_its_own_photo() -> None:
    mesh, person = tiny_person.figure(), tiny_person.photo()
    found = photo_numbers(mesh, person)
    assert found["silhouette_iou"] > 0.98 and found["color_difference"] < 3.0
    assert mesh.colors is not None
    darker = dataclasses.replace(mesh, colors=mesh.colors - 0.1)
    assert photo_numbers(darker, person)["color_difference"] == pytest.approx(25.5, abs=2.0)
    assert set(photo_numbers(dataclasses.replace(mesh, colors=None), person)) == {"silhouette_iou"}
    # Neither the background of the photo nor the pixels along the rim play a part.
    inner = cv2.erode(person.mask, np.ones((3, 3), np.uint8)) > 0
    bright = PersonImage(np.where(inner[..., None], person.rgb, 255).astype(np.uint8), person.mask)
    assert photo_numbers(mesh, bright) == found
    # Another size of the photo, the same answer.
    large = photo_numbers(mesh, tiny_person.photo(1024))
    assert large["silhouette_iou"] > 0.99 and large["color_difference"] < 3.0


def test_a_figure_beside_its_silhouette() -> None:
    mesh, person = tiny_person.figure(), tiny_person.photo()
    moved = photo_numbers(mesh.transformed(np.eye(3), (16.0, 0.0, 0.0)), person)
    # 16 units are ten pixels of 128.
    mask = person.mask > 0
    shifted = np.roll(mask, 10, axis=1)
    assert moved["silhouette_iou"] == pytest.approx((mask & shifted).sum() / (mask | shifted).sum(), abs=0.01)
    away = photo_numbers(mesh.transformed(np.eye(3), (500.0, 0.0, 0.0)), person)
    assert away == {"silhouette_iou": 0.0}
