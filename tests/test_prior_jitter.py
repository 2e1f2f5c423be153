"""Random misplacement of the face prior in training."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from tiny_set import make_set

from jiff.data.data_config import DataConfig
from jiff.data.dataset import TrainingSet
from jiff.data.face_data import FaceData, no_face_data
from jiff.data.labels import LabelPoolConfig
from jiff.data.prior_jitter import jittered


def _face(rng: np.random.Generator) -> FaceData:
    direction = rng.normal(size=(400, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    vertices = (direction * 12.0 + [1.0, 160.0, 5.0]).astype(np.float32)
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    box = np.array([low[0], high[0], low[1], high[1]], dtype=np.float32)
    return FaceData(vertices, np.full_like(vertices, 0.5), box)


def test_size_is_what_the_border_moves_by(rng: np.random.Generator) -> None:
    face = _face(rng)
    center = np.array([1.0, 160.0, 5.0])
    moved = [jittered(face, 0.8, np.random.default_rng(seed)) for seed in range(400)]
    offsets = np.stack([item.vertices_world - face.vertices_world for item in moved])
    shifts = offsets.mean(axis=1)
    assert shifts.std(axis=0) == pytest.approx(np.full(3, 0.8), rel=0.2)
    assert np.abs(shifts.mean(axis=0)).max() < 0.15
    # What remains is turn and stretch: sqrt(2/3) of a turn's 0.8 per axis times sqrt(3), and half of 0.8 times the part.
    rest = np.linalg.norm(offsets - shifts[:, None], axis=2)
    assert np.sqrt((rest**2).mean()) == pytest.approx(np.sqrt(2 * 0.8**2 + 0.4**2), rel=0.15)
    radii = np.stack([np.linalg.norm(item.vertices_world - center, axis=1) for item in moved])
    assert radii.std() > 0.3
    assert all(item.colors is face.colors for item in moved)


def test_the_box_moves_along(rng: np.random.Generator) -> None:
    face = _face(rng)
    for seed in range(20):
        moved = jittered(face, 0.5, np.random.default_rng(seed))
        low, high = moved.vertices_world.min(axis=0), moved.vertices_world.max(axis=0)
        # Of a ball, whose extent a turn does not change.
        np.testing.assert_allclose(moved.box_world, [low[0], high[0], low[1], high[1]], atol=0.35)
        assert not np.allclose(moved.box_world, face.box_world, atol=0.01)


def test_nothing_moves_without_size_or_face(rng: np.random.Generator) -> None:
    face = _face(rng)
    np.testing.assert_allclose(jittered(face, 0.0, rng).vertices_world, face.vertices_world, atol=1e-4)
    empty = no_face_data()
    assert jittered(empty, 1.0, rng) is empty


def test_training_items_only(tmp_path) -> None:
    dataset = make_set(tmp_path, subjects=2, held_out=0)
    config = DataConfig(
        load_size=64,
        num_sample_inout=50,
        num_sample_face=20,
        labels=LabelPoolConfig(near=3000, fine=300, uniform=300, volume=300, face=300),
    )
    plain = TrainingSet(dataset, ["s0"], config)
    moved = TrainingSet(dataset, ["s0"], dataclasses.replace(config, prior_jitter_cm=1.0))
    before, after, again = plain[(0, 1)].face, moved[(0, 1)].face, moved[(0, 1)].face
    assert np.abs(after.vertices_world - before.vertices_world).max() > 0.1
    np.testing.assert_array_equal(after.vertices_world, again.vertices_world)
    assert np.abs(moved[(1, 1)].face.vertices_world - after.vertices_world).max() > 0.1
    np.testing.assert_array_equal(plain[(0, 1)].images, moved[(0, 1)].images)
    still = moved.without_augmentation()[(0, 1)].face
    np.testing.assert_array_equal(still.vertices_world, plain.faces["s0"].read().vertices_world)


def test_the_largest_jitter_leaves_a_box_that_is_one(rng: np.random.Generator) -> None:
    face = _face(rng)
    boxes = np.stack([jittered(face, 10.0, np.random.default_rng(seed)).box_world for seed in range(400)])
    assert (boxes[:, 0] < boxes[:, 1]).all() and (boxes[:, 2] < boxes[:, 3]).all()
