"""Environments: projection of caps, exposure, seeds, files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from jiff.base.errors import InputError
from jiff.render.environments import (
    cap_sh,
    damped,
    generate_environments,
    irradiance,
    load_environments,
    sphere_directions,
)
from jiff.render.sh import sh_basis


def test_cap_projection_by_sampling() -> None:
    direction = np.array([0.48, 0.6, 0.64])
    points = sphere_directions(200_000)
    for angle in (0.3, 1.0, np.pi / 2, np.pi):
        inside = points @ direction > np.cos(angle)
        exact = 4 * np.pi / len(points) * sh_basis(points[inside]).sum(0)
        np.testing.assert_allclose(cap_sh(direction, angle), exact, atol=5e-3)


def test_generated_light_is_plausible() -> None:
    environments = generate_environments(60, seed=0)
    normals = sphere_directions(4000)
    front = normals[normals[:, 2] > 0]
    for environment in environments:
        assert irradiance(environment, normals).min() > 0
        shading = irradiance(environment, front) ** (1 / 2.2)
        assert 0.6 < shading.mean() < 1.1
        assert shading.max() < 1.3 and shading.min() > 0.15
        balance = irradiance(environment, front).mean(0)
        assert balance.max() / balance.min() < 1.35
    assert environments.std(0).min() > 0.01  # they differ in every coefficient


def test_ringing_of_a_small_light_is_damped() -> None:
    normals = sphere_directions(2000)
    lamp = np.repeat(cap_sh([0.0, 0.6, 0.8], 0.1)[:, None], 3, axis=1)
    assert irradiance(lamp, normals).min() < 0
    tamed = damped(lamp, normals)
    assert irradiance(tamed, normals).min() > 0.05 * irradiance(tamed, normals).mean()
    np.testing.assert_array_equal(tamed[0], lamp[0])
    room = np.repeat(cap_sh([0.0, 1.0, 0.0], 3.0)[:, None], 3, axis=1)
    np.testing.assert_array_equal(damped(room, normals), room)


def test_seeds() -> None:
    first = generate_environments(5, seed=4)
    np.testing.assert_array_equal(first[:2], generate_environments(2, seed=4))
    assert np.abs(first - generate_environments(5, seed=5)).max() > 0.05
    assert generate_environments(0).shape == (0, 9, 3)


def test_files(tmp_path: Path) -> None:
    environments = generate_environments(3)
    np.save(tmp_path / "many.npy", environments.astype(np.float32))
    np.save(tmp_path / "one.npy", environments[1])
    np.testing.assert_allclose(load_environments(tmp_path / "many.npy"), environments, atol=1e-6)
    np.testing.assert_array_equal(load_environments(tmp_path / "one.npy"), environments[1:2])


def test_published_file(shared: Path) -> None:
    environment = load_environments(shared / "reference" / "render" / "env_sh_single.npy")
    assert environment.shape == (1, 9, 3) and environment[0, 0, 0] == pytest.approx(0.939395)


def test_bad_files_are_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "env.npy"
    with pytest.raises(InputError, match="no such file"):
        load_environments(path)
    bad = [
        np.zeros((2, 3)),
        np.zeros((0, 9, 3)),
        np.zeros((1, 1, 9, 3)),
        np.full((9, 3), np.nan),
        np.array("text"),
    ]
    bad.append(np.array([{"a": 1}], dtype=object))
    for array in bad:
        np.save(path, array)
        with pytest.raises(InputError, match=r"env\.npy"):
            load_environments(path)
    for blob in (b"", b"\x93NUMPY", b"hello", path.read_bytes()[:90]):
        path.write_bytes(blob)
        with pytest.raises(InputError, match=r"env\.npy"):
            load_environments(path)
