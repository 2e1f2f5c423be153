"""Cached labelled points: closed forms on a sphere, balance, seeds, what makes a pool outdated."""

from __future__ import annotations

import dataclasses
import pickle
from pathlib import Path

import numpy as np
import pytest
from tiny_set import CENTER, make_set, person_mesh, sphere_mesh

from jiff.base.errors import ConfigError, DatasetError
from jiff.data import labels
from jiff.data.labels import (
    CATEGORIES,
    LabelPoolConfig,
    build_pool,
    label_pool,
)
from jiff.geometry.mesh import Mesh
from jiff.geometry.surface_points import points_on_surface

SMALL = LabelPoolConfig(near=6000, fine=2000, uniform=2000, volume=4000, face=1000)
RADIUS = 60.0


@pytest.fixture(scope="module")
def sphere_pool():
    mesh = sphere_mesh(48, 96).transformed(np.eye(3) * RADIUS, CENTER)
    box = np.array([[-10.0, 120.0, 0.0], [10.0, 160.0, 80.0]])
    return build_pool(mesh, SMALL, np.random.default_rng(0), box, "sphere")


def _distance(points):
    return np.linalg.norm(points - CENTER, axis=1)


def test_labels_agree_with_the_sphere(sphere_pool):
    points, labels = sphere_pool.sample(np.random.default_rng(1), 4000, fine=0.3, volume=0.2)
    distance = _distance(points)
    # The polyhedron lies up to 0.2 units inside the sphere.
    clear = np.abs(distance - RADIUS) > 0.25
    assert clear.sum() > 3000
    np.testing.assert_array_equal(labels[clear] > 0.5, distance[clear] < RADIUS)


@pytest.mark.parametrize("count", [500, 501])
def test_half_of_a_sample_is_inside(sphere_pool, count):
    points, labels = sphere_pool.sample(np.random.default_rng(2), count)
    assert points.shape == (count, 3)
    assert labels.sum() == count // 2


def test_inner_part_can_be_chosen(sphere_pool):
    points, labels = sphere_pool.sample(np.random.default_rng(2), 1000, inside=0.3)
    assert labels.sum() == 300 and (_distance(points[:300]) < RADIUS).all()


def test_published_mixture_keeps_its_proportions(sphere_pool):
    # Of the outside points, those from the big box are 1/17 * (1 - share) of a mixture of which near is 16/17.
    points, labels = sphere_pool.sample(np.random.default_rng(3), 20_000)
    outside = points[labels < 0.5]
    far = (_distance(outside) > RADIUS + 6 * SMALL.sigma).mean()
    uniform, near = 1 - sphere_pool.share_inside("uniform"), 16 * (1 - sphere_pool.share_inside("near"))
    beyond = 1 - 4 / 3 * np.pi * (RADIUS + 6 * SMALL.sigma) ** 3 / 256**3
    assert far == pytest.approx(
        beyond * uniform / (uniform + near) / (1 - sphere_pool.share_inside("uniform")), rel=0.15
    )


def test_volume_points_measure_the_volume(sphere_pool):
    points, labels = sphere_pool.category("volume", 4000)
    box = (2 * RADIUS + 10) ** 3
    assert labels.mean() == pytest.approx(4 / 3 * np.pi * RADIUS**3 / box, abs=0.03)
    assert points.min() < CENTER.min() - RADIUS


def test_face_points_stay_in_their_box(sphere_pool):
    points, labels = sphere_pool.sample_face(np.random.default_rng(4), 300)
    assert (points >= [-10, 120, 0]).all() and (points <= [10, 160, 80]).all()
    assert 0 < labels.mean() < 1


def test_a_scan_without_a_face_has_no_face_points():
    pool = build_pool(person_mesh((30, 80, 20)), SMALL, np.random.default_rng(0), None, "x")
    points, labels = pool.sample_face(np.random.default_rng(0), 100)
    assert points.shape == (0, 3) and labels.shape == (0,)


def test_category_is_the_same_every_time_and_by_seed_another(sphere_pool):
    first, second = sphere_pool.category("fine", 100, seed=3), sphere_pool.category("fine", 100, seed=3)
    np.testing.assert_array_equal(first[0], second[0])
    assert not np.array_equal(first[0], sphere_pool.category("fine", 100, seed=4)[0])


def test_surface_samples_lie_on_the_surface_evenly(rng):
    mesh = sphere_mesh(48, 96)
    points, index, weights = points_on_surface(mesh, rng.random(20_000), rng)
    np.testing.assert_allclose(weights.sum(axis=1), 1)
    np.testing.assert_allclose(np.linalg.norm(points, axis=1), 1, atol=0.01)
    # Archimedes: the height of a point of the sphere is uniform.
    counts = np.histogram(points[:, 1], bins=10, range=(-1, 1))[0]
    assert np.abs(counts - 2000).max() < 250
    assert index.min() >= 0 and index.max() < len(mesh.faces)


def test_inverted_scan_is_refused():
    mesh = person_mesh((30, 80, 20))
    inverted = Mesh(mesh.vertices, mesh.faces[:, ::-1].copy())
    with pytest.raises(DatasetError, match=r"bad\.obj: hardly a point lies inside"):
        build_pool(inverted, SMALL, np.random.default_rng(0), None, "bad.obj")


def test_bad_pool_options_are_refused():
    with pytest.raises(ConfigError, match="sigma must be positive"):
        LabelPoolConfig(sigma=0)
    with pytest.raises(ConfigError, match="number of face points"):
        LabelPoolConfig(face=0)


def test_pool_is_cached_seeded_and_outdated_by_the_scan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    dataset = make_set(tmp_path, subjects=2, yaws=(0,))
    built: list[str] = []
    original = labels.build_pool
    monkeypatch.setattr(labels, "build_pool", lambda *args: built.append(args[-1]) or original(*args))
    first = label_pool(dataset, "s0", SMALL)
    np.testing.assert_array_equal(first.points_world[:], label_pool(dataset, "s0", SMALL).points_world[:])
    assert len(built) == 1
    other = dataclasses.replace(SMALL, seed=1)
    assert not np.array_equal(label_pool(dataset, "s0", other).points_world[:100], first.points_world[:100])
    # Subjects differ even where their shape would not.
    assert not np.array_equal(label_pool(dataset, "s1", SMALL).points_world[:5], first.points_world[:5])
    assert len(built) == 3
    text = dataset.geometry("s0").read_text()
    dataset.geometry("s0").write_text(text + "# touched\n")
    label_pool(dataset, "s0", SMALL)
    assert len(built) == 4


def test_pool_travels_between_processes_by_path(tmp_path: Path):
    dataset = make_set(tmp_path, subjects=1, yaws=(0,), held_out=0)
    pool = label_pool(dataset, "s0", SMALL)
    pool.sample(np.random.default_rng(0), 10)
    blob = pickle.dumps(pool)
    assert len(blob) < 2000
    np.testing.assert_array_equal(pickle.loads(blob).points_world[:9], pool.points_world[:9])  # noqa: S301
    assert len(pool.total) == len(CATEGORIES)


def test_missing_scan_is_one_sentence(tmp_path: Path):
    dataset = make_set(tmp_path, subjects=1, yaws=(0,), held_out=0)
    dataset.geometry("s0").unlink()
    with pytest.raises(DatasetError, match=r"s0\.obj: no such file; run `jiff data render`"):
        label_pool(dataset, "s0", SMALL)
