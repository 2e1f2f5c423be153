"""Faces of prior-held surfaces: what may stand before eyes and nose, and that the head is smooth."""

from __future__ import annotations

import numpy as np

from jiff.face.models.anny_on_body import face_places
from jiff.geometry.mesh import Mesh
from jiff.geometry.smooth import without_specks
from jiff.inference.held import _finer_head
from tests.held_people import inputs, prior
from tests.test_held_depth import field, sphere

NOSE, CHEEKS, CHIN = 1, (50, 280), 152


def before(point: int, distance: float) -> np.ndarray:
    """[1, 3] a place before one of the 468 points of the face, world units."""
    places = face_places()
    chosen = list(places.which).index(point)
    # The skin comes first among the vertices of the prior.
    corners = prior().mesh.vertices[places.corner[chosen]]
    place = (corners * places.share[chosen][:, None]).sum(axis=0)
    return (place + [0.0, 0.0, distance]).astype(np.float32)[None]


def test_strands_before_a_fitted_face_are_no_nose() -> None:
    # The network says: 2 units more everywhere.
    assert field(2.0, face=False).distance(before(NOSE, 1.0))[0] > 0.5
    assert field(2.0).distance(before(NOSE, 1.0))[0] < -0.5
    for point in (NOSE, *CHEEKS):
        assert field(2.0).distance(before(point, 0.05))[0] > 0
        assert field(-2.0).distance(before(point, -0.6))[0] > 0
    # Beards and hair stand off.
    assert field(2.0).distance(before(CHIN, 1.0))[0] > 0.5


def test_the_head_is_smooth() -> None:
    made = field(0.0)
    window = inputs().head_window.astype(float)
    rng = np.random.default_rng(0)
    ball = sphere()
    rough = Mesh(window[:3] + ball.vertices * 5.0, ball.faces)

    class Rough:
        """A ball whose field is off by noise that is finer than a triangle."""

        inputs = made.inputs

        @staticmethod
        def distance(points: np.ndarray) -> np.ndarray:
            gap = 5.0 - np.linalg.norm(points - window[:3], axis=1)
            return (gap + rng.normal(0, 0.15, len(points))).astype(np.float32)

    found = _finer_head(rough, Rough())  # type: ignore[arg-type]
    radius = np.linalg.norm(found.vertices - window[:3], axis=1)
    assert len(found.vertices) > len(rough.vertices)
    # Noise of 0.15 moves vertices by about 0.1; what is smoothed keeps a third.
    assert radius.std() < 0.06 and abs(radius.mean() - 5.0) < 0.05


def test_specks_go_and_lips_stay() -> None:
    ball = sphere()
    low = np.arange(len(ball.vertices)) % 400 == 7
    vertices = 2.0 * ball.vertices
    vertices[low] *= 0.85
    found = without_specks(Mesh(vertices, ball.faces), np.ones(len(vertices)), 8, (0.05, 0.1)).vertices
    radius = np.linalg.norm(found, axis=1)
    assert 0 < low.sum() < 10 and abs(radius[low] - 2.0).max() < 0.1
    far = np.linalg.norm(ball.vertices[:, None] - ball.vertices[low], axis=2).min(axis=1) > 0.5
    np.testing.assert_array_equal(found[far], vertices[far])
    still = without_specks(Mesh(vertices, ball.faces), np.zeros(len(vertices)), 8, (0.05, 0.1)).vertices
    np.testing.assert_array_equal(still, vertices)
