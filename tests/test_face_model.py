"""Landmarks and the free face model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from face_people import model

from jiff.base.errors import AssetError, InputError, UsageError
from jiff.face import landmarks
from jiff.face.model import load_model, save_model
from jiff.face.models.registry import load_face_model


def test_similarity_recovers_a_known_motion(rng):
    points = rng.normal(size=(12, 3))
    q, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    rotation = q * np.sign(np.linalg.det(q))
    scale, found, offset = landmarks.similarity(points, 2.5 * points @ rotation.T + [1, 2, 3])
    assert scale == pytest.approx(2.5)
    np.testing.assert_allclose(found, rotation, atol=1e-12)
    np.testing.assert_allclose(offset, [1, 2, 3], atol=1e-12)


def test_similarity_never_mirrors(rng):
    points = rng.normal(size=(12, 3))
    _, rotation, _ = landmarks.similarity(points, points * [-1, 1, 1])
    assert np.linalg.det(rotation) == pytest.approx(1)


GOOD = np.array([[30, 40], [70, 40], [50, 60], [35, 80], [65, 80]], dtype=float)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda p: p[[1, 0, 2, 4, 3]], "exchanged"),
        (lambda p: p * [1, -1], "exchanged"),
        (lambda p: p[:, ::-1] * [-1, 1], "upright"),
        (lambda p: np.array([*p[:2], [50, 120], *p[3:]]), "nose"),
        (lambda p: p * 0.01, "one another"),
    ],
)
def test_impossible_landmarks_are_refused(change, word):
    assert landmarks.check_five(GOOD) is None
    reason = landmarks.check_five(change(GOOD))
    assert reason is not None and word in reason


def test_landmark_files(tmp_path: Path):
    path = tmp_path / "a_landmarks.txt"
    path.write_text("\n".join(f"{x}, {y}" for x, y in GOOD))
    np.testing.assert_allclose(landmarks.read_landmarks(path), GOOD)
    for text in ("1 2 3", "x y", "nan " * 10):
        path.write_text(text)
        with pytest.raises(InputError, match="a_landmarks"):
            landmarks.read_landmarks(path)


def test_mirror_is_an_involution_and_the_model_obeys_it():
    np.testing.assert_array_equal(landmarks.MIRROR_68[landmarks.MIRROR_68], np.arange(68))
    marks = model().mean[model().landmarks68].astype(float)
    # The mean face is symmetric but for the sampling noise of its people.
    np.testing.assert_allclose(marks[landmarks.MIRROR_68] * [-1, 1, 1], marks, atol=0.15)


def test_landmarks_lie_where_their_names_say():
    m = model()
    marks = m.mean[m.landmarks68].astype(float)
    assert len(set(m.landmarks68.tolist())) == 68
    right_eye, left_eye, nose, right_mouth, left_mouth = m.five_landmarks(m.mean.astype(float))
    assert right_eye[0] < nose[0] < left_eye[0] and right_mouth[0] < left_mouth[0]
    assert nose[2] == pytest.approx(m.mean[:, 2].max(), abs=0.3)
    assert marks[8, 1] < right_mouth[1] < nose[1] < right_eye[1] < marks[19, 1]
    assert 5 < left_eye[0] - right_eye[0] < 8.5, "eyes are about 6.5 cm apart"
    assert (np.diff(marks[:9, 1]) < 0).all(), "the jaw goes down from the ear to the chin"


def test_triangles_face_outward_and_arrays_fit():
    m = model()
    v = m.mean.astype(float)
    a, b, c = v[m.triangles.T]
    cross = np.cross(b - a, c - a)
    center = v[:, 2].min() * np.array([0, 0, 1.0])
    outward = np.einsum("ij,ij->i", cross, (a + b + c) / 3 - center) > 0
    assert outward.mean() > 0.88, "nostrils and lips turn inward, nothing else"
    assert 3000 < len(v) < 12000 and m.core.sum() > 1000
    assert m.identity.shape[1:] == m.expression.shape[1:] == m.mean.shape
    assert len(m.expression_names) == len(m.expression) == 51


def test_border_is_no_saw():
    """The model ends in smooth lines: hairline, ears, jaw."""
    m = model()
    edges = np.sort(m.triangles[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
    unique, count = np.unique(edges, axis=0, return_counts=True)
    border = unique[count == 1]
    # Openings of eyes, mouth and nostrils have borders too.
    inner = m.mean[m.landmarks68[27:]].astype(float)
    v = m.mean.astype(float)
    outer = np.linalg.norm(v[border[:, 0], None] - inner[None], axis=2).min(1) > 2.5
    border = border[outer]
    turns = []
    for vertex in np.unique(border):
        around = border[(border == vertex).any(1)]
        if len(around) == 2:
            a, b = (v[row[row != vertex][0]] - v[vertex] for row in around)
            turns.append(
                np.degrees(np.pi - np.arccos(np.clip(a @ b / np.linalg.norm(a) / np.linalg.norm(b), -1, 1)))
            )
    assert len(turns) > 80
    assert np.percentile(turns, 90) < 35 and np.median(turns) < 15


def test_actions_move_what_they_name():
    m = model()
    rest = m.mean.astype(float)

    def moved(name: str) -> np.ndarray:
        weights = np.zeros(len(m.expression))
        weights[m.expression_names.index(name)] = 2.0
        return m.shape(None, weights) - rest

    chin, brow = m.landmarks68[8], m.landmarks68[19]
    assert moved("jawOpen")[chin, 1] < -0.5
    assert abs(moved("jawOpen")[brow, 1]) < 0.05
    upper_lid, lower_lid = m.landmarks68[[43, 44]], m.landmarks68[[46, 47]]
    blink = moved("eyeBlinkLeft")
    assert blink[upper_lid, 1].mean() < blink[lower_lid, 1].mean() - 0.2


def test_shape_is_linear_and_short_coefficients_mean_the_first_ones(rng):
    m = model()
    one, two = rng.normal(size=(2, len(m.identity)))
    mean = m.mean.astype(float)
    sum_of_parts = m.shape(one) + m.shape(two) - mean
    np.testing.assert_allclose(m.shape(one + two), sum_of_parts, atol=1e-4)
    np.testing.assert_allclose(m.shape(one[:3]), m.shape([*one[:3], *np.zeros(len(one) - 3)]), atol=1e-5)


def test_identity_directions_are_uncorrelated_and_sorted():
    # Principal directions of one refined surface are nearly orthogonal.
    flat = model().identity[:20].reshape(20, -1).astype(float)
    size = np.linalg.norm(flat, axis=1)
    assert (np.diff(size[:10]) < 0.1 * size[0]).all() and size[0] > 5 * size[19]
    cosine = (flat @ flat.T) / np.outer(size, size)
    assert np.abs(cosine - np.eye(20)).max() < 0.35


def test_texture_stays_in_range(rng):
    for _ in range(5):
        colors = model().texture(3 * rng.normal(size=len(model().texture_basis)))
        assert colors.min() >= 0 and colors.max() <= 1
    m = model()
    lip_middle = m.mean[m.landmarks68[[57, 66]]].mean(0)
    lips = m.texture()[np.linalg.norm(m.mean - lip_middle, axis=1).argmin()]
    cheek = m.texture()[m.landmarks68[2]]
    assert lips[0] - lips[1] > cheek[0] - cheek[1]


def test_saved_model_is_the_same_and_damage_is_named(tmp_path: Path):
    path = tmp_path / "model.safetensors"
    save_model(model(), path)
    again = load_model(path)
    np.testing.assert_array_equal(again.identity, model().identity)
    assert again.expression_names == model().expression_names
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(AssetError, match=r"model\.safetensors"):
        load_model(path)


def test_unknown_model_name():
    with pytest.raises(UsageError, match="anny, bfm"):
        load_face_model("nobody")
