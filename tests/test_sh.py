"""Spherical harmonics: orthonormality, rotation law, closed forms, and the published renderer's images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from jiff.geometry.camera import Camera, rotation_y
from jiff.geometry.io.mesh_io import load_mesh, load_texture
from jiff.geometry.raycast import RayScene
from jiff.render.sh import (
    CLAMPED_COSINE,
    clamped_cosine_sh,
    environment_in_model_frame,
    rotate_sh,
    sh_basis,
    sh_rotation,
    shade,
)


def sphere_quadrature(order: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """Gauss-Legendre in z times equal angles: exact for polynomials up to degree 2 * order - 1."""
    z, weight = np.polynomial.legendre.leggauss(order)
    phi = (np.arange(2 * order) + 0.5) * np.pi / order
    radius = np.sqrt(1 - z**2)[:, None]
    points = np.stack(
        [radius * np.cos(phi), radius * np.sin(phi), np.broadcast_to(z[:, None], (order, 2 * order))], -1
    )
    return points.reshape(-1, 3), np.repeat(weight * np.pi / order, 2 * order)


def unit(rng: np.random.Generator, count: int) -> np.ndarray:
    vectors = rng.normal(size=(count, 3))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_basis_is_orthonormal() -> None:
    points, weights = sphere_quadrature()
    basis = sh_basis(points)
    np.testing.assert_allclose(np.einsum("n,ni,nj->ij", weights, basis, basis), np.eye(9), atol=1e-12)


def test_basis_order_and_signs() -> None:
    value = sh_basis(np.array([0.6, 0.0, 0.8]))
    np.testing.assert_allclose(
        value[[0, 1, 2, 3, 7]], [0.2820948, 0, 0.4886025 * 0.8, 0.4886025 * 0.6, 1.0925484 * 0.48], atol=1e-6
    )
    np.testing.assert_allclose(sh_basis([0, 1, 0])[[1, 6, 8]], [0.4886025, -0.3153916, -0.5462742], atol=1e-6)


def test_rotation_law(rng: np.random.Generator) -> None:
    normals = unit(rng, 50)
    for rotation in Rotation.random(20, random_state=3).as_matrix():
        np.testing.assert_allclose(
            sh_basis(normals @ rotation.T), sh_basis(normals) @ sh_rotation(rotation).T, atol=1e-12
        )


def test_rotation_composes_and_batches() -> None:
    a, b = Rotation.random(2, random_state=5).as_matrix()
    np.testing.assert_allclose(sh_rotation(a @ b), sh_rotation(a) @ sh_rotation(b), atol=1e-12)
    np.testing.assert_allclose(sh_rotation(a).T, sh_rotation(a.T), atol=1e-12)
    np.testing.assert_array_equal(sh_rotation(np.stack([a, b]))[1], sh_rotation(b))


def test_rotating_an_environment_leaves_the_input(rng: np.random.Generator) -> None:
    environment = rng.normal(size=(9, 3))
    before = environment.copy()
    turned = rotate_sh(environment, rotation_y(0.3))
    np.testing.assert_array_equal(environment, before)
    assert np.abs(turned - before).max() > 0.05
    # A light straight above is unmoved by a turn about y.
    np.testing.assert_allclose(
        rotate_sh(sh_basis([0, 1, 0]), rotation_y(1.0)), sh_basis([0, 1, 0]), atol=1e-12
    )


def test_clamped_cosine_by_quadrature(rng: np.random.Generator) -> None:
    normal = unit(rng, 1)[0]
    points, weights = sphere_quadrature(200)
    exact = (weights * np.maximum(points @ normal, 0)) @ sh_basis(points)
    np.testing.assert_allclose(clamped_cosine_sh(normal), exact, atol=2e-4)
    assert CLAMPED_COSINE.tolist() == pytest.approx([np.pi] + [2 * np.pi / 3] * 3 + [np.pi / 4] * 5)


def test_turned_subject_sees_the_light_from_the_camera(rng: np.random.Generator) -> None:
    """A sphere looks the same at any yaw: the normal R n shades like n shaded by the turned frame."""
    normals, environment = unit(rng, 30), np.abs(rng.normal(size=(9, 3))) * 0.1
    environment[0] += 2
    rotation = Rotation.random(random_state=7).as_matrix()
    shaded = shade(clamped_cosine_sh(normals), environment, rotation)
    np.testing.assert_allclose(
        shaded, shade(clamped_cosine_sh(normals @ rotation.T), environment), atol=1e-12
    )
    direct = clamped_cosine_sh(normals) @ environment_in_model_frame(environment, rotation)
    np.testing.assert_allclose(shaded**2.2, direct, atol=1e-12)


def test_shading_clamps_negative_radiance_and_keeps_float32() -> None:
    environment = np.zeros((9, 3))
    environment[1] = -1.0
    result = shade(clamped_cosine_sh([0, 1, 0]).astype(np.float32), environment)
    assert result.dtype == np.float32
    np.testing.assert_array_equal(result, 0)


@pytest.mark.parametrize("yaw", [0, 36, 180, 288])
def test_published_views_are_met(shared: Path, yaw: int) -> None:
    """Large-scale shading of the published renderer's images; texture filtering is the renderer's own test."""
    import cv2

    folder = shared / "reference" / "render"
    mesh = load_mesh(folder / "scan_0001" / "0001.obj")
    assert mesh.texture is not None and mesh.uv is not None and mesh.faces_uv is not None
    prt = np.loadtxt(folder / "scan_0001" / "bounce" / "bounce0.txt")
    prt_faces = np.load(folder / "scan_0001" / "bounce" / "face.npy")
    environment = np.load(folder / "env_sh_single.npy")[0]
    camera = Camera.at_yaw(
        yaw, center_world=np.array([-0.0049, 90.0, -0.38434])
    )  # the published median centre
    rows, columns = np.mgrid[:512, :512] + 0.5
    origins, direction = camera.pixel_rays(np.stack([columns, rows], -1).reshape(-1, 2))
    hits = RayScene(mesh.vertices, mesh.faces).intersect(origins, direction)
    face = hits.face[hits.hit]
    v, w = hits.barycentric[hits.hit].T
    weights = np.stack([1 - v - w, v, w], -1)
    pixel_prt = np.einsum("nk,nkc->nc", weights, prt[prt_faces[face]])
    uv = np.einsum("nk,nkc->nc", weights, mesh.uv[mesh.faces_uv[face]])
    size = np.array(mesh.texture.shape[1::-1])
    texel = np.clip((np.stack([uv[:, 0], 1 - uv[:, 1]], -1) * size).astype(int), 0, size - 1)
    albedo = mesh.texture[texel[:, 1], texel[:, 0]] / 255.0
    image = np.zeros((512 * 512, 3))
    image[hits.hit] = 255 * np.clip(albedo * shade(pixel_prt, environment, camera.rotation), 0, 1)
    expected = load_texture(folder / "expected" / "RENDER" / "0001" / f"{yaw}_0_00.jpg").astype(float)
    inside = cv2.erode(hits.hit.reshape(512, 512).astype(np.uint8), np.ones((5, 5))) > 0
    difference = (image.reshape(512, 512, 3) - expected) * inside[..., None]
    smooth = cv2.GaussianBlur(difference, (0, 0), 4)[inside]
    assert np.abs(smooth).max() < 4.0
    assert np.sqrt((smooth**2).mean()) < 0.8
